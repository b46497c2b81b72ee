"""The jars of Kafka and of Spark's connectors, pinned by version and checksum."""
