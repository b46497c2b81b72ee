"""One run of a backtest, bar by bar."""
