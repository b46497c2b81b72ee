"""Publishes what a run committed and did not live to send: the other half of the outbox."""

import dagster as dg

from jobs.span_runs.topic_span import RETRIES
from margin_platform.store.outbox import publish
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


@dg.op
def relay(context: dg.OpExecutionContext, kafka: KafkaResource, decisions: DecisionsResource) -> None:
    """Publish every message left in the outbox, in the order it was committed."""
    with kafka.bus() as bus, decisions.store() as store:
        context.log.info(f"{publish(store, bus)} messages published")


@dg.job(name="outbox_relay", executor_def=dg.in_process_executor, tags=RETRIES)
def outbox_relay_job() -> None:
    """Publish messages left in the outbox to their topics."""
    relay()


JOBS = [outbox_relay_job]
