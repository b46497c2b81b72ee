"""The firm's limits: alerts for changes of level in a span of firm.risk.v1, sent to the firm's own people."""

from collections.abc import Iterator, Sequence

import dagster as dg
from pydantic import Field

from assets.keys import FIRM_ALERTS, topic_key
from assets.presentation import links
from jobs.span_runs.run_report import report
from jobs.span_runs.topic_span import RETRIES, SpanConfig, at, one_of, reported
from margin_platform.contracts.messages import FIRM_RISK, NOTIFICATIONS, Event
from margin_platform.firm.limits import FirmAlert, alerts_of
from margin_platform.notification.message import FIRM, firm_notice
from margin_platform.store.outbox import publish
from margin_platform.store.undecided import read_span
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from resources.notifier import NotifierResource


class FirmSpanConfig(SpanConfig):
    """The span, and the levels before it: with them the run repeated finds the same changes.

    The first offset must be given: from another one, or with other levels, the alerts are other ones.
    """

    topic: str = Field(default=FIRM_RISK, pattern=one_of(FIRM_RISK), description="firm.risk.v1, and no other")
    start: int = Field(ge=0, description="first offset; copy it from the run that is to be repeated")
    levels: dict[str, str] = Field(
        default={},
        description="level of each limit before the span (CLEAR, WARNING, BREACH); empty means all CLEAR",
    )


def notice(alert: FirmAlert, run_id: str) -> Event:
    """Build the notifications.v1 event of an alert."""
    return {
        "account_id": FIRM,
        "notification_id": alert.alert_id,
        "kind": f"FIRM_{alert.kind.upper()}_{alert.level}",
        "text": alert.sentence(),
        "alert": alert.as_event(),
        "run_id": run_id,
        "timestamp": alert.timestamp,
    }


def shown(
    alerts: Sequence[FirmAlert], cause: str
) -> dict[str, int | str | dg.MarkdownMetadataValue | dg.TimestampMetadataValue | dg.NullMetadataValue]:
    """Return what the UI shows of the alerts of a run."""
    return {
        "dagster/row_count": len(alerts),
        "alerts": dg.MetadataValue.md("\n".join(f"- {a.sentence()}" for a in alerts)),
        "accounts": links.accounts([account for a in alerts for account in a.accounts]),
        "newest_event_time": at(max(a.timestamp for a in alerts)),
        "caused_by": cause,
    }


SPEC = dg.AssetSpec(
    FIRM_ALERTS,
    deps=[topic_key(FIRM_RISK)],
    group_name="firm",
    kinds={"kafka"},
    owners=["team:risk"],
    skippable=True,
    description="Changes of level of the firm's limits, sent to its own people and to notifications.v1.",
)


@dg.multi_asset(name="alert", specs=[SPEC])
def alert(
    context: dg.OpExecutionContext,
    config: FirmSpanConfig,
    kafka: KafkaResource,
    decisions: DecisionsResource,
    notifier: NotifierResource,
) -> Iterator[dg.AssetMaterialization]:
    """Send one notice per change of level, on notifications.v1 and to the firm's own address; its id is the
    same when the run is repeated.
    """
    with kafka.bus() as bus, decisions.store() as store:
        span = config.span(bus)
        read = read_span(reported(context), bus, span)
        alerts, _ = alerts_of((event for _, event in read.events), config.levels, decisions.policy.firm)
        notices = [(NOTIFICATIONS, notice(a, context.run_id)) for a in alerts]
        for topic, event in notices:
            bus.produce(topic, event)
            context.log.warning(event["text"])
        bus.flush()
        sender = notifier.notifier(store, decisions.policy)
        held = sender.tell(
            [firm_notice(a) for a in alerts], notifier.firm_contact(), notifier.now(), context.run_id
        )
        # a customer's notice is its own run's to send
        sent = sender.deliver(notifier.now(), context.run_id, FIRM)
        publish(store, bus)
        if alerts:
            yield dg.AssetMaterialization(FIRM_ALERTS, metadata=shown(alerts, str(span)))
        report(context, [*notices, *held, *sent], cause=str(span))


firm_alert_job = dg.define_asset_job(
    "firm_alert",
    selection=dg.AssetSelection.assets(alert).without_checks(),
    executor_def=dg.in_process_executor,
    tags=RETRIES,
    description="firm.risk.v1 -> notifications.v1, and the firm's own people by SNS, SendGrid or SMTP.",
)

ASSETS = [alert]
JOBS = [firm_alert_job]
