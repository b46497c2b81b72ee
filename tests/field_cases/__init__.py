"""Cases seen in the field, each from the events or files that showed it."""
