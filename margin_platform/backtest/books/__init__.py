"""The books a backtest can run over: generated, from a file, or live."""
