"""margin_platform/ledger: positions and cash, each event applied once."""
