"""What backtests found: measures, plots, the report and the comparison of policies."""
