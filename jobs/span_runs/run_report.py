"""What an op wrote to a topic, as Dagster keeps it:
one event per topic, with the ids, the run's cause and its offsets.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

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
_NAMED_IN_TAG, _NAMED_CAUSES = 8, 8
_SHARED_SECONDS = 5.0


class RunReport:
    """The report of one run, which may come in parts: a run that stays works on one span after the other.

    Parts that come fast share a report: each of its events is several commits of Dagster's, for which the
    next part would wait. What is left is reported at the end of the `with` statement.
    """

    def __init__(self, context: dg.OpExecutionContext, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds, monotonic."""
        self._context, self._clock = context, clock
        self._accounts: dict[str, None] = {}
        self._tags: dict[str, str] = {}
        self._waiting: list[tuple[str, Event]] = []
        self._causes: list[str] = []
        self._reported_at = -math.inf

    def __enter__(self) -> RunReport:
        return self

    def __exit__(self, *_: object) -> None:
        self._report()

    def add(self, messages: Iterable[tuple[str, Event]], cause: str) -> None:
        """Record messages by topic under this run, and tag it. cause: what they follow from."""
        self._waiting += messages
        self._causes.append(cause)
        if self._clock() - self._reported_at >= _SHARED_SECONDS:
            self._report()
            self._reported_at = self._clock()

    def _report(self) -> None:
        by_topic: dict[str, list[Event]] = defaultdict(list)
        for topic, event in self._waiting:
            by_topic[topic].append(event)
        cause = named(self._causes, _NAMED_CAUSES)
        self._waiting, self._causes = [], []
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
