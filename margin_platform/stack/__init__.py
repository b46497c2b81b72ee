"""The local stack: real Kafka, Spark's packages, an AWS endpoint, Dagster and the dashboard on one machine, without containers."""
