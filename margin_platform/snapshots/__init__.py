"""What the stream of margin snapshots does to events, without Spark."""
