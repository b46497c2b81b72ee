"""Orders for the accounts whose call asked for a liquidation:
the minimum that restores compliance, each account once.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.topics import written_by_a_job
from jobs.span_runs.run_report import RunReport
from jobs.span_runs.staying import followed
from jobs.span_runs.topic_span import RETRIES, SpanConfig, one_of
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS
from margin_platform.store.progress import Consumer
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource


class CallsSpan(SpanConfig):
    """Offsets of margin.calls.v1."""

    topic: str = Field(
        default=MARGIN_CALLS, pattern=one_of(MARGIN_CALLS), description="margin.calls.v1, and no other"
    )


@dg.multi_asset(name="liquidate", specs=written_by_a_job(LIQUIDATION_ORDERS))
def liquidate(
    context: dg.OpExecutionContext, config: CallsSpan, kafka: KafkaResource, decisions: DecisionsResource
) -> Iterator[dg.AssetMaterialization]:
    """Answer the requests for orders of a span of margin.calls.v1,
    and of what follows it while the run stays.
    """
    from margin_platform.enforcement.acting import answer_parts  # see jobs/enforcement.py

    with RunReport(context) as said, kafka.bus() as bus, decisions.store() as store, kafka.bus() as prices:
        reads = followed(context, kafka, bus, store, Consumer.LIQUIDATION, config.span(bus))
        answers = answer_parts(bus, prices, store, decisions.policy, reads, context.run_id)
        for read, messages in answers:
            said.add(messages, cause=str(read.span))
    yield from ()  # what was written is in the log already, part by part


liquidation_job = dg.define_asset_job(
    "liquidation",
    selection=dg.AssetSelection.assets(liquidate).without_checks(),
    executor_def=dg.in_process_executor,
    tags=RETRIES,
    description="margin.calls.v1 (action LIQUIDATE) -> liquidation.orders.v1.",
)

ASSETS = [liquidate]
JOBS = [liquidation_job]
