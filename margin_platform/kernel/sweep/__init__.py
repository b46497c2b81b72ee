"""The compiled walk over accounts: its columns, its phases, and the rules of one account."""
