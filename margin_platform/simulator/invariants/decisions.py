"""Decisions: all are made, once, when due, as if nothing had been disturbed, on prices that were true."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from margin_platform.simulator.invariants.plain import Json
from margin_platform.simulator.invariants.sessions import after_trading, due_after

_DESK = ("ORDER", "NO_ORDER")
_CLOSES = ("CALL_CURED", "RESCINDED")
_SILENT = {"LIQUIDATE", "HELD", "RELEASED", "CANCEL"}  # actions that no customer hears of
_CONSUMERS: dict[tuple[str, str], Callable[[Json], bool]] = {
    ("enforcement", "margin.status.v1"): lambda event: True,
    ("liquidation", "margin.calls.v1"): lambda event: event["action"] == "LIQUIDATE",
    ("notification", "margin.calls.v1"): lambda event: event["action"] not in _SILENT,
    ("notification", "restrictions.v1"): lambda event: True,
    ("notification", "liquidation.orders.v1"): lambda event: event["action"] not in _SILENT,
}
_CLOSE_ONLY_MINUTES, _DUE_SESSIONS, _DUE_HOUR = 30, 4, 15
_A_TENTH = 0.1
_OLDEST_MINUTES = 60.1  # of trading
_MAY_BE_AHEAD_MS = 5_000  # a source's clock, against Kafka's


def _entries(history: Json) -> list[Json]:
    """Return the entries of accounts; those of a chain of acts are of no account."""
    accounts = {row["account_id"] for row in history["tables"]["ladder_states"]}
    return [row["entry"] for row in history["tables"]["audit"] if row["account_id"] in accounts]


def everything_is_decided(history: Json) -> Iterator[str]:
    """Find consumers that have not decided their topics to the end."""
    stands = {(row["consumer"], row["topic"]): row["next_offset"] for row in history["tables"]["progress"]}
    for (consumer, topic), concerns in _CONSUMERS.items():
        at = stands.get((consumer, topic), 0)
        left = [n for _, n, _, event in history["topics"][topic] if n >= at and concerns(event)]
        if left:
            yield f"{consumer} stands at {at} of {topic}, undecided: {left[:5]}"


def decisions_are_those_of_the_undisturbed_ladder(history: Json) -> Iterator[str]:
    """Find decisions that the pure ladder does not make, and those that it makes and are missing.

    Further liquidations of a call are left out: they follow from what the desk answered meanwhile.
    """

    def key(entry: Json) -> tuple[object, ...]:
        return tuple(entry[name] for name in ("account_id", "decision", "timestamp", "amount", "call_id"))

    def is_compared(entry: Json) -> bool:
        further = entry["decision"] == "LIQUIDATE" and entry["attempt"] > 1
        return entry["decision"] not in _DESK and not further

    made = Counter(key(entry) for entry in _entries(history) if is_compared(entry))
    expected = Counter(key(entry) for entry in history["undisturbed"] if is_compared(entry))
    for missing in list(expected - made)[:3]:
        yield f"not decided: {missing}"
    for more in list(made - expected)[:3]:
        yield f"decided, and not due: {more}"


def status_is_that_of_an_undisturbed_stream(history: Json) -> Iterator[str]:
    """Find where a stream that died has published other events than one that did not."""
    expected = history.get("status_undisturbed")
    if expected is None:
        return
    ids = {calc_id for calc_id, _, _ in expected}
    needed = {calc_id for calc_id, _, is_needed in expected if is_needed}
    found = {event["calc_id"] for _, _, _, event in history["topics"]["margin.status.v1"]}
    if not needed <= found <= ids:
        yield f"lost {sorted(needed - found)[:3]}, not due {sorted(found - ids)[:3]}"


def a_deficient_account_has_a_call(history: Json) -> Iterator[str]:
    """Find accounts that owe by their newest figures and have no call, or the reverse."""
    newest: dict[str, Json] = {}
    for _, _, _, event in history["topics"]["margin.status.v1"]:
        account, before = event["account_id"], newest.get(event["account_id"])
        if before is None or event["timestamp"] >= before["timestamp"]:
            newest[account] = event
    open_calls = {
        row["account_id"] for row in history["tables"]["calls"] if row["status"] in ("OPEN", "EXPIRED")
    }
    for account, event in newest.items():
        if event.get("held") or event["excess"] is None:
            continue
        if (event["excess"] < 0) != (account in open_calls):
            yield f"{account}: excess {event['excess']}, open call: {account in open_calls}"


def timers_fire_when_they_are_due(history: Json) -> Iterator[str]:
    """Find timers that fired early or late.

    A call restricts after thirty minutes of trading, and is due at 15:00 of the fourth session, or at its
    earlier end.
    """
    opened = {row["call_id"]: row for row in history["tables"]["calls"]}
    entries = _entries(history)
    held = {entry["account_id"] for entry in entries if entry["decision"] == "HELD"}
    for entry in entries:
        call = opened.get(entry["call_id"] or "")
        if call is None:
            continue
        due = due_after(call["opened_at"], _DUE_SESSIONS, _DUE_HOUR)
        if call["due_at"] != due:
            yield f"call {call['call_id']} is due at {call['due_at']}, not {due}"
        expected = {
            "CLOSE_ONLY": after_trading(call["opened_at"], _CLOSE_ONLY_MINUTES),
            "CALL_EXPIRED": due,
        }.get(entry["decision"])
        late_may_be = entry["account_id"] in held  # a hold puts its timers off
        if expected is not None and (
            entry["timestamp"] < expected or (entry["timestamp"] != expected and not late_may_be)
        ):
            yield f"{entry['decision']} of {call['call_id']} at {entry['timestamp']}, due at {expected}"


def the_clock_is_not_ahead(history: Json) -> Iterator[str]:
    """Find timers that were fired before their time had come."""
    for kind, value, at in history["commits"]:
        if kind == "clock" and value > at + _MAY_BE_AHEAD_MS:
            yield f"timers up to {value} were fired at {at}"


def a_request_has_one_order_at_most(history: Json) -> Iterator[str]:
    """Find requests without an answer or with two orders, and orders left open by a closed call."""
    asked: dict[str, list[int]] = defaultdict(list)
    answered: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in _entries(history):
        if entry["decision"] == "LIQUIDATE":
            asked[entry["call_id"]].append(entry["attempt"])
        elif entry["decision"] in _DESK:
            answered[entry["call_id"], entry["attempt"]].append(entry["decision"])
    for call_id, attempts in asked.items():
        if sorted(attempts) != list(range(1, len(attempts) + 1)):
            yield f"call {call_id}: attempts {attempts}"
        for attempt in attempts:
            answers = answered[call_id, attempt]
            if not answers or answers.count("ORDER") > 1:
                yield f"call {call_id}, attempt {attempt}: answered {answers}"
    closed = {row["call_id"] for row in history["tables"]["calls"] if row["status"] in ("MET", "RESCINDED")}
    for order in history["tables"]["orders"]:
        if order["status"] == "SENT" and order["call_id"] in closed:
            yield f"order {order['order_id']} is open, its call is closed"


def a_call_is_made_once(history: Json) -> Iterator[str]:
    """Find calls that were opened, restricted, expired or closed twice."""
    for names in (("CALL",), _CLOSES, ("CLOSE_ONLY",), ("CALL_EXPIRED",)):
        made = Counter(e["call_id"] for e in _entries(history) if e["decision"] in names)
        for call_id, count in made.items():
            if count > 1:
                yield f"call {call_id}: {' or '.join(names)} {count} times"


def decisions_rest_on_true_prices(history: Json) -> Iterator[str]:
    """Find figures that were acted upon and rest on a price that was never true.

    A price that is stamped ahead, and reaches Kafka so late that its stamp is past, looks like any other.
    """
    arrived = {(e["symbol"], e["timestamp"]): at for _, _, at, e in history["topics"]["prices.v1"]}
    unseen = {
        (symbol, stamp): true
        for symbol, stamp, true in history["fast"]
        if arrived.get((symbol, stamp), 0) >= stamp - _MAY_BE_AHEAD_MS
    }
    ratios = {symbol: ratio for symbol, (_, ratio) in history["splits"].items()}
    for _, offset, _, event in history["topics"]["margin.status.v1"]:
        if event.get("held"):
            continue
        for row in event["positions"]:
            at = row.get("price_timestamp") or 0
            printed, was = history["truth"][row["symbol"]], unseen.get((row["symbol"], at), at)
            true = [p for time, some in printed.items() if 0 <= was - time <= _MAY_BE_AHEAD_MS for p in some]
            ratio = ratios.get(row["symbol"], 1.0)
            if after_trading(at, _OLDEST_MINUTES) < event["timestamp"]:
                yield f"status@{offset}: {row['symbol']} is of {at}, acted upon at {event['timestamp']}"
            if not any(abs(row["price"] - price / by) < _A_TENTH for price in true for by in (1.0, ratio)):
                yield (f"status@{offset}: {row['symbol']} at {row['price']} of {at}, true {true}")
