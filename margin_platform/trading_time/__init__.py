"""The exchange's sessions and the clocks of New York."""
