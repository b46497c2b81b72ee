"""margin_platform/enforcement: decisions, the liquidation desk, reservations and the order gate."""
