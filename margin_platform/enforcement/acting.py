"""What a run does between Kafka and the store: read, decide, store, publish.

An orchestrator decides when a run begins and how often. Each part is stored before the next is read, and
published after it is stored; what a run before left unpublished goes out first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from margin_platform.contracts.events.vocabulary import asks_for_orders
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.contracts.offsets import Span
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.kafka.event_clock import event_time
from margin_platform.kafka.event_log import EventLog
from margin_platform.policy.policy import Policy
from margin_platform.store.outbox import publish
from margin_platform.store.progress import Consumer
from margin_platform.store.store import Store
from margin_platform.store.undecided import Read, Reading, undecided
from margin_platform.store.unit_of_work import Message

Acted = Iterator[tuple[Read, list[Message]]]  # each part that was read, and the messages that follow


def decide_parts(bus: EventLog, enforcer: Enforcer, reads: Iterable[Read], run_id: str) -> Acted:
    """Decide the status events of each part."""
    store = enforcer.store
    publish(store, bus)
    for read in reads:
        messages = enforcer.handle_many(read.sourced, run_id, read.span)
        publish(store, bus)
        yield read, messages


def fire_due(
    bus: EventLog,
    enforcer: Enforcer,
    now_ms: int,
    run_id: str,
    reading: Reading,
    ends: Mapping[int, int] | None = None,
) -> list[Message]:
    """Decide the status events that are on their topic, then every timer due at an event time.

    ends: the topic's next offset by partition when the event time was read; None takes those of now.
    """
    store, messages = enforcer.store, list[Message]()
    # a cure that is on the topic comes before its timer
    for partition, end in (bus.end_offsets(MARGIN_STATUS) if ends is None else ends).items():
        span = Span(MARGIN_STATUS, partition, end, end)
        for read in undecided(reading, bus, store, Consumer.ENFORCEMENT, span):
            messages += enforcer.handle_many(read.sourced, run_id, read.span)
    messages += enforcer.fire_timers(now_ms, run_id=run_id)
    publish(store, bus)
    return messages


def answer_parts(
    bus: EventLog, prices: EventLog, store: Store, policy: Policy, reads: Iterable[Read], run_id: str
) -> Acted:
    """Answer the requests for orders of each part of margin.calls.v1, on the prices of then."""
    publish(store, bus)
    for read in reads:
        requests = [(event, source) for event, source in read.sourced if asks_for_orders(event)]
        desk = LiquidationDesk(store, policy, event_time(prices) if requests else None)
        messages = desk.handle_many(requests, run_id, read.span)
        publish(store, bus)
        yield read, messages
