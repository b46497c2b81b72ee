"""One topic or condition a file: a pure decision and its glue."""
