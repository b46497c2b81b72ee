"""scripts/: the set-up of a checkout."""
