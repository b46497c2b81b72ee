"""margin_platform/market: the gates of prices."""
