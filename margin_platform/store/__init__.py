"""The decision store: tables, transactions, the outbox and the audit chain."""
