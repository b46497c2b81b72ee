"""Data folders that releases left, opened by this version."""
