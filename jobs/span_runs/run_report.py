"""What an op wrote to a topic, as Dagster keeps it:
one event per topic, with the ids, the run's cause and its offsets.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from assets.keys import topic_key
from assets.presentation import links
from jobs.span_runs.topic_span import at, named
from margin_platform.contracts.messages import LIQUIDATION_ORDERS, MARGIN_CALLS, NOTIFICATIONS, Event

ID_FIELDS: Mapping[str, str] = {
    MARGIN_CALLS: "call_id",
    LIQUIDATION_ORDERS: "order_id",
    NOTIFICATIONS: "notification_id",
}
_NAMED_IN_TAG = 8


class RunReport:
    """The report of one run, which may come in parts: a run that stays works on one span after the other."""

    def __init__(self, context: dg.OpExecutionContext) -> None:
        self._context = context
        self._accounts: dict[str, None] = {}
        self._tags: dict[str, str] = {}

    def add(self, messages: Iterable[tuple[str, Event]], cause: str) -> None:
        """Record messages by topic under this run, and tag it. cause: what they follow from."""
        by_topic: dict[str, list[Event]] = defaultdict(list)
        for topic, event in messages:
            by_topic[topic].append(event)
        for topic, events in by_topic.items():
            self._context.log_event(
                dg.AssetMaterialization(topic_key(topic), metadata=_metadata(topic, events, cause))
            )
            self._accounts |= dict.fromkeys(_all("account_id", events))
        tags = tag(list(self._accounts))
        if tags != self._tags:
            self._context.instance.add_run_tags(self._context.run_id, tags)
            self._tags = tags


def report(context: dg.OpExecutionContext, messages: Iterable[tuple[str, Event]], cause: str) -> None:
    """Record the messages of a run that works on one thing (see `RunReport`)."""
    RunReport(context).add(messages, cause)


def _metadata(
    topic: str, events: Sequence[Event], cause: str
) -> dict[str, str | int | dg.TimestampMetadataValue | dg.NullMetadataValue | dg.MarkdownMetadataValue]:
    return {
        "dagster/row_count": len(events),
        "ids": named([str(event.get(ID_FIELDS.get(topic, ""), event["account_id"])) for event in events]),
        "accounts": links.accounts(_all("account_id", events)),
        "episodes": named(_all("correlation_id", events)),
        "actions": named(_all("action", events)),
        "caused_by": cause,
        "snapshots": named(_all("calc_id", events) or _all("causation_id", events)),
        "newest_event_time": at(max((int(e.get("timestamp") or 0) for e in events), default=0)),
    }


def tag(accounts: Sequence[str]) -> dict[str, str]:
    """Make the run tag of accounts: margin/account for one, margin/accounts for some of several and
    how many more; none for none.
    """
    unique = list(dict.fromkeys(accounts))
    if not unique:
        return {}
    return {"margin/accounts" if len(unique) > 1 else "margin/account": named(unique, _NAMED_IN_TAG)}


def _all(name: str, events: Sequence[Event]) -> list[str]:
    return [str(event[name]) for event in events if event.get(name)]
