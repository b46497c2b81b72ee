"""What an op wrote to a topic, as Dagster keeps it:
one event per topic, with the ids, the run's cause and its offsets.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from assets.keys import topic_key
from jobs.span_runs.topic_span import named
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS, NOTIFICATIONS, Event

ID_FIELDS: Mapping[str, str] = {
    MARGIN_CALLS: "call_id",
    LIQUIDATION_ORDERS: "order_id",
    NOTIFICATIONS: "notification_id",
}
_NAMED_IN_TAG = 8


def report(context: dg.OpExecutionContext, messages: Iterable[tuple[str, Event]], cause: str) -> int:
    """Record messages by topic under this run, and tag it; return how many there were. `cause` names what
    they follow from.

    `cause` names what they follow from.
    """
    by_topic: dict[str, list[Event]] = defaultdict(list)
    for topic, event in messages:
        by_topic[topic].append(event)
    for topic, events in by_topic.items():
        ids = [str(event.get(ID_FIELDS.get(topic, ""), event["account_id"])) for event in events]
        context.log_event(
            dg.AssetMaterialization(
                topic_key(topic),
                metadata={
                    "dagster/row_count": len(events),
                    "ids": named(ids),
                    "accounts": named([str(e["account_id"]) for e in events]),
                    "actions": named([str(e["action"]) for e in events if "action" in e]),
                    "caused_by": cause,
                    "snapshots": named(_all("calc_id", events) or _all("causation_id", events)),
                },
            )
        )
    everything = [event for events in by_topic.values() for event in events]
    tags = tag("account", _all("account_id", everything)) | tag("episode", _all("correlation_id", everything))
    if tags:
        context.instance.add_run_tags(context.run_id, tags)
    return len(everything)


def tag(what: str, values: Sequence[str]) -> dict[str, str]:
    """Make a run tag of accounts or episodes: margin/account for one, margin/accounts for some of several and
    how many more; none for none.
    """
    unique = list(dict.fromkeys(values))
    return (
        {f"margin/{what}" + ("s" if len(unique) > 1 else ""): named(unique, _NAMED_IN_TAG)} if unique else {}
    )


def _all(name: str, events: Sequence[Event]) -> list[str]:
    return [str(event[name]) for event in events if event.get(name)]
