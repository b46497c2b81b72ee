"""The ladder's run: every status event of a span is decided, stored and published, each exactly once whoever repeats the run."""

import dagster as dg

from jobs.produced import report
from jobs.topic_span import RETRIES, SpanConfig, read_span
from margin_platform.enforcement import Enforcer
from margin_platform.outbox import publish
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


@dg.op
def enforce(context: dg.OpExecutionContext, config: SpanConfig, kafka: KafkaResource, decisions: DecisionsResource) -> None:
    """Warnings, calls, restrictions and liquidation requests of one span of margin.status.v1."""
    with kafka.bus() as bus, decisions.store() as store:
        read = read_span(context, bus, config)
        messages = Enforcer(store, decisions.policy).handle_many(read.sourced, run_id=context.run_id)
        publish(store, bus)
        count = report(context, messages, cause=f"{config.topic}[{config.partition}] {config.start}-{config.end}")
    context.log.info(f"{len(read.events)} status events, {count} messages")


@dg.job(name="enforcement", executor_def=dg.in_process_executor, tags=RETRIES)
def enforcement_job() -> None:
    """margin.status.v1 -> margin.calls.v1, restrictions.v1, audit.v1."""
    enforce()


JOBS = [enforcement_job]
SCHEDULES: list[dg.ScheduleDefinition] = []
