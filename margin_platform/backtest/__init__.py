"""Backtests: history through the same kernel and ladder as live."""
