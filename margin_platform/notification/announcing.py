"""What a notification run does between Kafka, the store and the providers: record, send, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from margin_platform.kafka.event_log import EventLog, Sender
from margin_platform.notification.contacts import refresh
from margin_platform.notification.delivery import Notifier
from margin_platform.store.outbox import publish
from margin_platform.store.undecided import Read
from margin_platform.store.unit_of_work import Message

# what was read, or None where a further attempt was due; and the messages that follow
Announced = Iterator[tuple[Read | None, list[Message]]]
Now = Callable[[], int]  # the wall clock, epoch milliseconds


def announce(
    bus: EventLog, accounts: EventLog, notifier: Notifier, reads: Iterable[Read], now: Now, run_id: str
) -> Announced:
    """Send what is due, then the notices of each part of a topic that concerns the customer."""
    store = notifier.store
    refresh(store, accounts, notifier.readdress)
    due = notifier.deliver(now(), run_id=run_id)
    publish(store, bus)
    yield None, due
    for read in reads:
        refresh(store, accounts, notifier.readdress)
        held = notifier.record(read.sourced, now(), run_id, read.span)
        sent = notifier.deliver(now(), run_id=run_id)
        publish(store, bus)
        yield read, [*held, *sent]


def resend(bus: Sender, notifier: Notifier, now: int, run_id: str) -> list[Message]:
    """Send the notices whose next attempt is due."""
    sent = notifier.deliver(now, run_id=run_id)
    publish(notifier.store, bus)
    return sent
