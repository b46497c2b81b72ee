"""The margin stream by account shard, inside Spark's own state store."""
