"""Dagster's own parts as this platform runs them: home, run coordinator, run launcher."""
