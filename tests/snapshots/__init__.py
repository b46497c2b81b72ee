"""margin_platform/snapshots: what the margin engine publishes, and when."""
