"""The open calls as a list of work, the latest first: what is owed, how late, how the customer heard of it,
and what the desk did. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.dashboard.state.ladder_feed import Item, instant
from margin_platform.ladder.call_kind import call_kind
from margin_platform.ladder.state import MS_PER_MINUTE
from margin_platform.money import cents
from margin_platform.recordkeeping.call_acts import Work

MS_PER_HOUR = 60 * MS_PER_MINUTE


def worklist(
    open_calls: Mapping[str, Event],
    excess: Mapping[str, object],
    people: Mapping[str, tuple[str, str]],
    deliveries: Mapping[str, list[Json]],
    done: Mapping[str, Work],
    clock: int | None,
) -> list[Json]:
    """Return a row for each open call, the one that is longest past due first.

    excess, people and deliveries are by account, done by call. hours_left is by the event clock, negative
    where the call is late; None where it has no due time or nothing says what time it is.
    """
    rows = []
    for account, call in open_calls.items():
        due, call_id = instant(call.get("due_at_ms") or call.get("due_at")), str(call.get("call_id"))
        now = excess.get(account)
        name, representative = people.get(account, ("", ""))
        rows.append(
            {
                "account_id": account,
                "customer": name,
                "representative": representative,
                "call_id": call_id,
                "type": str(call_kind(call)),
                "opened_at": call.get("opened_at_ms") or call.get("timestamp"),
                "issued": call.get("issued") or call.get("deficiency"),
                "outstanding": cents(max(0.0, -now)) if isinstance(now, float | int) else None,
                "due_at": due,
                "hours_left": None if due is None or clock is None else round((due - clock) / MS_PER_HOUR, 1),
                "delivery": deliveries.get(account, []),
                **asdict(done.get(call_id, Work())),
            }
        )
    return sorted(rows, key=lambda row: (row["due_at"] is None, row["due_at"], row["account_id"]))


def delivery_of(timeline: Sequence[Item]) -> list[Json]:
    """Return how the newest notice of a call of an account went out: channel and status of each way."""
    for item in reversed(timeline):
        if item.kind == "call" and item.delivery:
            ways = item.delivery.values()
            return [{"channel": way.get("channel"), "status": way.get("status")} for way in ways]
    return []
