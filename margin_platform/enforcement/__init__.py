"""Decisions of the ladder and of liquidation, recorded in the store and published."""
