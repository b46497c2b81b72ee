"""Price histories: read, checked, repaired and replayed."""
