"""margin_platform/liquidation: what to sell, and the proof that it is the least."""
