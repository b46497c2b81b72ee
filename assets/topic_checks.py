"""What must hold on the topics that the jobs decide: readable messages, and nothing left undecided.

How old the newest decision is says nothing: a calm market makes no call. What shows that a job stands still
is an event that waits for it. Its age is the freshness of these topics.
"""

from __future__ import annotations

import time

import dagster as dg

from assets.keys import topic_key
from margin_platform.contracts import messages as e
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.bus import Bus
from margin_platform.store import progress
from margin_platform.store.progress import Consumer
from resources.decisions import NOTHING_DECIDED, DecisionsResource
from resources.kafka import UNAVAILABLE, KafkaResource

_READ = 200  # newest messages of a partition
_SHOWN = 5
MAY_WAIT_SECONDS = 300.0
# By whom, and from which topics, what is on a topic is decided.
DECIDED_FROM: dict[str, tuple[Consumer, tuple[str, ...]]] = {
    e.MARGIN_CALLS: (Consumer.ENFORCEMENT, (e.MARGIN_STATUS,)),
    e.RESTRICTIONS: (Consumer.ENFORCEMENT, (e.MARGIN_STATUS,)),
    e.LIQUIDATION_ORDERS: (Consumer.LIQUIDATION, (e.MARGIN_CALLS,)),
    e.NOTIFICATIONS: (Consumer.NOTIFICATION, (e.MARGIN_CALLS, e.RESTRICTIONS, e.LIQUIDATION_ORDERS)),
}


def newest(bus: Bus, topic: str) -> list[Record]:
    """Return the newest messages of each partition."""
    oldest = bus.beginning_offsets(topic)
    return [
        record
        for partition, end in bus.end_offsets(topic).items()
        for record in bus.read_range(topic, partition, max(oldest[partition], end - _READ), end)
    ]


def refusals(records: list[Record]) -> list[str]:
    """Return where a message breaks its contract, and how."""
    found = []
    for record in records:
        try:
            e.decode(record.topic, record.value)
        except e.BadEvent as error:
            found.append(f"{record.topic}[{record.partition}]@{record.offset}: {error}")
    return found


def contract_check(topic: str) -> dg.AssetChecksDefinition:
    """Build a check that the newest messages of a topic keep its contract."""

    @dg.asset_check(
        asset=topic_key(topic),
        name="messages_keep_their_contract",
        description=f"The newest {_READ} messages of each partition can be read as {topic} declares them.",
    )
    def check(kafka: KafkaResource) -> dg.AssetCheckResult:
        try:
            with kafka.bus() as bus:
                records = newest(bus, topic)
        except UNAVAILABLE as error:
            return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})
        broken = refusals(records)
        return dg.AssetCheckResult(
            passed=not broken,
            metadata={
                "messages": len(records),
                "broken": len(broken),
                "examples": "; ".join(broken[:_SHOWN]),
            },
        )

    return check


def waits_since(bus: Bus, decided: dict[tuple[str, int], int], topics: tuple[str, ...]) -> int | None:
    """Return when Kafka recorded the oldest undecided event (epoch milliseconds); None where none waits.

    decided: the next offset by topic and partition.
    """
    times = []
    for topic in topics:
        oldest = bus.beginning_offsets(topic)
        for partition, end in bus.end_offsets(topic).items():
            first = max(oldest[partition], decided.get((topic, partition), 0))
            if first < end:
                times += [r.timestamp_ms for r in bus.read_range(topic, partition, first, first + 1)]
    return min(times, default=None)


def keeps_up_check(topic: str) -> dg.AssetChecksDefinition:
    """Build a check that no event waits too long for the decision that this topic would carry."""
    consumer, sources = DECIDED_FROM[topic]

    @dg.asset_check(
        asset=topic_key(topic),
        name="no_event_waits_for_a_decision",
        description=(
            f"No event of {', '.join(sources)} is undecided by {consumer.value} for more than "
            f"{MAY_WAIT_SECONDS:g} s."
        ),
    )
    def check(kafka: KafkaResource, decisions: DecisionsResource) -> dg.AssetCheckResult:
        try:
            with kafka.bus() as bus:
                since = waits_since(bus, _decided(decisions, consumer), sources)
        except UNAVAILABLE as error:
            return dg.AssetCheckResult(passed=False, metadata={"reason": str(error)})
        waited = 0.0 if since is None else max(0.0, time.time() - since / 1000)
        return dg.AssetCheckResult(
            passed=waited <= MAY_WAIT_SECONDS,
            metadata={"waited_seconds": waited, "allowed_seconds": MAY_WAIT_SECONDS},
        )

    return check


def _decided(decisions: DecisionsResource, consumer: Consumer) -> dict[tuple[str, int], int]:
    """Return the consumer's next offsets; none before the first decision."""
    try:
        with decisions.reader() as store, store.read() as connection:
            rows = progress.everything(connection)
    except NOTHING_DECIDED:
        return {}
    return {(row.topic, row.partition): row.next_offset for row in rows if row.consumer == consumer}


CHECKS = [
    *(contract_check(topic) for topic in (*DECIDED_FROM, e.AUDIT)),
    *(keeps_up_check(topic) for topic in DECIDED_FROM),
]
