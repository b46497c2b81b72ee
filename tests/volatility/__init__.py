"""margin_platform/volatility: the tiers and their hysteresis."""
