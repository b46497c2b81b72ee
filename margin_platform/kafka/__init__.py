"""Kafka from Python: the bus, the event clock, the administration of topics."""
