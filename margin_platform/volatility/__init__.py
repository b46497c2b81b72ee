"""Volatility and beta estimated from daily closes."""
