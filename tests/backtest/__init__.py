"""margin_platform/backtest: prices, books, replay, reports and equality with the live engine."""
