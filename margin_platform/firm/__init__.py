"""The firm's own risk: what is left unsecured over all accounts, and its limits."""
