"""What a ledger keeps as columns: fills, ids that were booked, positions."""
