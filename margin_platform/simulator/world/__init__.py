"""The simulated world: clock, Kafka, Spark, Dagster, providers, market and customers around the product."""
