"""Margin as a pure function of a book, a market and a policy, on columns."""
