"""Notices to customers of calls, restrictions and orders;
delivery is repeated until it is proven, each notice recorded once.
"""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.topics import written_by_a_job
from jobs.span_runs.run_report import RunReport, report
from jobs.span_runs.staying import followed
from jobs.span_runs.topic_span import RETRIES, SpanConfig, one_of
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS, NOTIFICATIONS, RESTRICTIONS
from margin_platform.orchestration.dagster_internals import UnresolvedAssetJobDefinition
from margin_platform.store.progress import Consumer
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.notifier import NotifierResource

ANNOUNCED = (MARGIN_CALLS, RESTRICTIONS, LIQUIDATION_ORDERS)


class AnnouncedSpan(SpanConfig):
    """Offsets of a topic whose events concern the customer."""

    topic: str = Field(
        default=MARGIN_CALLS,
        pattern=one_of(*ANNOUNCED),
        description="the topic to announce: " + ", ".join(ANNOUNCED),
    )


@dg.multi_asset(name="notify", specs=written_by_a_job(NOTIFICATIONS))
def notify(
    context: dg.OpExecutionContext,
    config: AnnouncedSpan,
    kafka: KafkaResource,
    decisions: DecisionsResource,
    notifier: NotifierResource,
) -> Iterator[dg.AssetMaterialization]:
    """Send the notices of a span of margin.calls.v1, restrictions.v1 or liquidation.orders.v1, of what
    follows it while the run stays, and whatever else is due.
    """
    from margin_platform.notification.announcing import announce  # see jobs/enforcement.py

    with RunReport(context) as said, kafka.bus() as bus, decisions.store() as store, kafka.bus() as accounts:
        sender = notifier.notifier(store, decisions.policy)
        reads = followed(context, kafka, bus, store, Consumer.NOTIFICATION, config.span(bus))
        for read, messages in announce(bus, accounts, sender, reads, notifier.now, context.run_id):
            said.add(messages, cause="a further attempt was due" if read is None else str(read.span))
    yield from ()  # what was written is in the log already, part by part


@dg.op
def repeat(
    context: dg.OpExecutionContext,
    kafka: KafkaResource,
    decisions: DecisionsResource,
    notifier: NotifierResource,
) -> None:
    """Send the notices whose next attempt is due."""
    from margin_platform.notification.announcing import resend

    with kafka.bus() as bus, decisions.store() as store:
        sender = notifier.notifier(store, decisions.policy)
        sent = resend(bus, sender, notifier.now(), context.run_id)
        report(context, sent, cause="a further attempt was due")


notification_job = dg.define_asset_job(
    "notification",
    selection=dg.AssetSelection.assets(notify).without_checks(),
    executor_def=dg.in_process_executor,
    tags=RETRIES,
    description=f"{', '.join(ANNOUNCED)} -> SNS, SendGrid, SMTP, and notifications.v1.",
)


@dg.job(name="notification_retry", executor_def=dg.in_process_executor, tags=RETRIES)
def notification_retry_job() -> None:
    """Retry notices not yet delivered by SNS, SendGrid or SMTP, and report on notifications.v1."""
    repeat()


ASSETS = [notify]
JOBS: list[dg.JobDefinition | UnresolvedAssetJobDefinition] = [notification_job, notification_retry_job]
