"""The ladder's run: every status event of a span is decided, stored and published, each exactly once
also when a run is repeated.
"""

import dagster as dg
from pydantic import Field

from jobs.span_runs.run_report import report
from jobs.span_runs.topic_span import RETRIES, SpanConfig, one_of, undecided
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.contracts.offsets import Span
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.bus import Bus
from margin_platform.store.outbox import publish
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from margin_platform.store.unit_of_work import Message
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


class StatusSpan(SpanConfig):
    """Offsets of margin.status.v1."""

    topic: str = Field(
        default=MARGIN_STATUS, pattern=one_of(MARGIN_STATUS), description="margin.status.v1, and no other"
    )


def decide(
    context: dg.OpExecutionContext, bus: Bus, store: Store, enforcer: Enforcer, span: Span
) -> tuple[int, list[Message]]:
    """Decide every undecided status event up to the span's end;
    return how many there were and the messages that follow.
    """
    count, messages = 0, []
    for read in undecided(context, bus, store, Consumer.ENFORCEMENT, span):
        messages += enforcer.handle_many(read.sourced, context.run_id, read.span)
        count += len(read.events)
    return count, messages


@dg.op
def enforce(
    context: dg.OpExecutionContext, config: StatusSpan, kafka: KafkaResource, decisions: DecisionsResource
) -> None:
    """Decide warnings, calls, restrictions and liquidation requests up to the end of a span of
    margin.status.v1.
    """
    with kafka.bus() as bus, decisions.store() as store:
        span = config.span(bus)
        count, messages = decide(context, bus, store, Enforcer(store, decisions.policy), span)
        publish(store, bus)
        report(context, messages, cause=str(span))
    context.log.info(f"{count} status events, {len(messages)} messages")


@dg.job(name="enforcement", executor_def=dg.in_process_executor, tags=RETRIES)
def enforcement_job() -> None:
    """Read margin.status.v1; write margin.calls.v1, restrictions.v1 and audit.v1."""
    enforce()


JOBS = [enforcement_job]
