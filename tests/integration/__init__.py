"""Several real parts together: the local stack, a secured broker, one account from end to end."""
