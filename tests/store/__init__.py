"""margin_platform/store: the outbox, crashes, and one moment for each reader."""
