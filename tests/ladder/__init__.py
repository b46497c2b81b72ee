"""margin_platform/ladder: the states of an account in a call."""
