"""Early events: fills and cash read before their account was announced. Topics have no order between them.

They wait for the account. One that waits too long is reported in dead_letter.v1 and is still booked, once, if
the account comes.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from margin_platform.contracts.dead_letters import dead_letter, stated
from margin_platform.contracts.messages import FILLS, BadEvent, Event
from margin_platform.contracts.offsets import Record
from margin_platform.ledger.ledger import Ledger

# What waits is bounded twice, by accounts and by bytes; the oldest accounts are dropped, each with its dead
# letters.
_MOST_UNANNOUNCED = 1000
_MOST_BYTES = 16_000_000
_ROW_BYTES = 1000  # of a row beside its message: what it costs to keep


def book_event(ledger: Ledger, topic: str, event: Event) -> list[str]:
    """Apply an event to the ledger; return the accounts it changed.

    BadEvent where it cannot be booked or is a duplicate.
    """
    try:
        accounts = ledger.apply(topic, event)
    except ArithmeticError as error:  # finite, but beyond what a ledger can hold
        raise BadEvent("value", event, f"cannot be booked ({error})") from error
    name = "transfer_id" if topic != FILLS else "busts" if event.get("busts") else "fill_id"
    if not accounts and name in event:
        raise BadEvent(name, event[name], "duplicate id")
    return accounts


class Waiting(TypedDict):
    """A fill or transfer that waits; letter: its dead letter, None once it is published;
    bytes: of its message.
    """

    topic: str
    event: Event
    letter: Event | None
    bytes: NotRequired[int]  # rows of an older state have none


class EarlyEvents:
    """What waits, by account, in the order it was read. Durable through `to_state`."""

    def __init__(self) -> None:
        self._rows: dict[str, list[Waiting]] = {}
        self._bytes = 0

    def keep(self, record: Record, event: Event) -> None:
        """Keep a fill or transfer, with the dead letter it becomes if its account is never announced."""
        unknown = BadEvent(
            "account_id", event["account_id"], "unknown account; applied if it is announced later"
        )
        letter = dead_letter(
            record.topic, record.partition, record.offset, record.value, unknown, record.timestamp_ms
        )
        row: Waiting = {
            "topic": record.topic,
            "event": event,
            "letter": letter,
            "bytes": len(record.value or b""),
        }
        self._rows.setdefault(event["account_id"], []).append(row)
        self._bytes += _size(row)

    def book(self, account_id: str, ledger: Ledger) -> list[Event]:
        """Book what waited for an account; return dead letters of what cannot be booked, which stop nothing
        behind them.
        """
        letters = []
        for row in self._take(account_id):
            try:
                book_event(ledger, row["topic"], row["event"])
            except BadEvent as error:
                # otherwise it was reported already: a message has one dead letter
                if row["letter"] is not None:
                    letters.append(row["letter"] | stated(error))
        return letters

    def overdue(self, before_ms: int) -> list[Event]:
        """Return dead letters, each once, of what was produced before a time (epoch milliseconds) and still
        waits, or waits no longer.
        """
        letters = []
        while len(self._rows) > _MOST_UNANNOUNCED or self._bytes > _MOST_BYTES:
            dropped = self._take(next(iter(self._rows)))
            letters += [row["letter"] for row in dropped if row["letter"] is not None]
        for row in (row for rows in self._rows.values() for row in rows):
            if row["letter"] is not None and row["letter"]["timestamp"] <= before_ms:
                letters.append(row["letter"])
                row["letter"] = None
        return letters

    def to_state(self) -> dict[str, list[Waiting]]:
        """Return the state, JSON-able."""
        return self._rows

    def restore(self, state: dict[str, list[Waiting]]) -> None:
        self._rows = state
        self._bytes = sum(_size(row) for rows in state.values() for row in rows)

    def _take(self, account_id: str) -> list[Waiting]:
        rows = self._rows.pop(account_id, [])
        self._bytes -= sum(map(_size, rows))
        return rows


def _size(row: Waiting) -> int:
    """Return the bytes that a row counts for: its message is kept twice, decoded and in its letter.

    States saved by older versions name no size.
    """
    return _ROW_BYTES + 2 * row.get("bytes", 0)
