"""margin_platform/dashboard: its server, and its page in a real browser."""
