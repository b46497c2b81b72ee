"""Streaming and batch queries: Spark, free of Dagster."""
