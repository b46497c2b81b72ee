"""The ladder's run: every status event of a span is decided, stored and published, each exactly once
also when a run is repeated.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.topics import written_by_a_job
from jobs.span_runs.run_report import RunReport
from jobs.span_runs.staying import followed
from jobs.span_runs.topic_span import RETRIES, SpanConfig, one_of
from margin_platform.contracts.messages import AUDIT, MARGIN_CALLS, MARGIN_STATUS, RESTRICTIONS
from margin_platform.store.progress import Consumer
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


class StatusSpan(SpanConfig):
    """Offsets of margin.status.v1."""

    topic: str = Field(
        default=MARGIN_STATUS, pattern=one_of(MARGIN_STATUS), description="margin.status.v1, and no other"
    )


@dg.multi_asset(name="enforce", specs=written_by_a_job(MARGIN_CALLS, RESTRICTIONS, AUDIT))
def enforce(
    context: dg.OpExecutionContext, config: StatusSpan, kafka: KafkaResource, decisions: DecisionsResource
) -> Iterator[dg.AssetMaterialization]:
    """Decide warnings, calls, restrictions and liquidation requests of a span of margin.status.v1,
    and of what follows it while the run stays.
    """
    # the kernel behind the ladder is imported by the run (worker_start has it before the fork)
    from margin_platform.enforcement.acting import decide_parts
    from margin_platform.enforcement.enforcer import Enforcer

    events, sent = 0, 0
    with RunReport(context) as said, kafka.bus() as bus, decisions.store() as store:
        enforcer = Enforcer(store, decisions.policy)
        reads = followed(context, kafka, bus, store, Consumer.ENFORCEMENT, config.span(bus))
        for read, messages in decide_parts(bus, enforcer, reads, context.run_id):
            said.add(messages, cause=str(read.span))
            events, sent = events + len(read.events), sent + len(messages)
    context.log.info(f"{events} status events, {sent} messages")
    yield from ()  # what was written is in the log already, part by part


enforcement_job = dg.define_asset_job(
    "enforcement",
    selection=dg.AssetSelection.assets(enforce).without_checks(),
    executor_def=dg.in_process_executor,
    tags=RETRIES,
    description="margin.status.v1 -> margin.calls.v1, restrictions.v1, audit.v1.",
)

ASSETS = [enforce]
JOBS = [enforcement_job]
