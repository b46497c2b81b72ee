"""The local stack: Kafka, an AWS endpoint, Dagster and the dashboard on one machine, without containers."""
