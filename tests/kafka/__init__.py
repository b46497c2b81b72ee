"""margin_platform/kafka: the bus against a real broker."""
