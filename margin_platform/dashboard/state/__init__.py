"""What the dashboard knows, in memory: accounts, the firm, the feed of decisions."""
