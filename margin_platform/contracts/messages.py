"""Events: the topics, their keys and fields, and the strict reading of a message. The wire contract is docs/contracts.md.

JSON, UTF-8. `timestamp` is event time in epoch milliseconds UTC. Money is dollars with cents, quantities are signed
shares. Extra fields are ignored; a message that fails its schema raises `BadEvent`, which names the field and the
value, and goes to dead_letter.v1.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

FILLS = "fills.v1"
CASH = "cash.v1"
ACCOUNTS = "accounts.v1"
PRICES = "prices.v1"
BETAS = "betas.v1"
CORPORATE_ACTIONS = "corporate_actions.v1"
VOLATILITY = "volatility.v1"
MARGIN_CALC = "margin.calc.v1"
MARGIN_STATUS = "margin.status.v1"
STRESS = "stress.beta_spy.v1"
FIRM_RISK = "firm.risk.v1"
MARGIN_CALLS = "margin.calls.v1"
RESTRICTIONS = "restrictions.v1"
LIQUIDATION_ORDERS = "liquidation.orders.v1"
AUDIT = "audit.v1"
NOTIFICATIONS = "notifications.v1"
DEAD_LETTER = "dead_letter.v1"

_RATIOS = (1e-5, 1e5)   # of splits: 1 share for 100,000 old ones, to 100,000 shares for one
_LAST_MS = 253_402_300_799_999   # the end of the year 9999: what a date, and a column of 64 bits, can hold
_LONGEST_ID = 256       # characters of an account id: what the store keeps

Event = dict[str, Any]


class BadEvent(ValueError):
    """A message that breaks its contract: which field, its value, and why."""

    def __init__(self, field: str, value: Any, reason: str) -> None:
        super().__init__(f"{field}: {reason}, value {value!r:.1000}")   # it goes into logs
        self.field, self.value, self.reason = field, value, reason

    def __reduce__(self) -> tuple[Any, ...]:
        return BadEvent, (self.field, self.value, self.reason)   # whole on the other side of a process boundary


Check = Callable[[Any], str | None]   # the reason a value is refused, or None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "not a non-empty text"


def _account_id(value: Any) -> str | None:
    """Any text names an account, if every part of the platform can keep it: Postgres refuses a NUL in a text."""
    if reason := _text(value):
        return reason
    return f"longer than {_LONGEST_ID} characters" if len(value) > _LONGEST_ID else "holds a NUL" if "\0" in value else None


def _number(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "not a number"
    return None if math.isfinite(value) else "not a finite number"


def _positive(value: Any) -> str | None:
    return _number(value) or (None if value > 0 else "not above zero")


def _nonzero(value: Any) -> str | None:
    return _number(value) or (None if value != 0 else "zero")


def _not_negative(value: Any) -> str | None:
    return _number(value) or (None if value >= 0 else "negative")


def _figure(value: Any) -> str | None:
    return None if value is None else _number(value)


def _list(value: Any) -> str | None:
    return None if isinstance(value, list) else "not a list"


def _holdings(value: Any) -> str | None:
    named = isinstance(value, list) and all(isinstance(row, dict) and _text(row.get("symbol")) is None for row in value)
    return None if named else _list(value) or "not a list of positions, each with its symbol"


def _legs(value: Any) -> str | None:
    if reason := _holdings(value):
        return reason
    sound = all(row.get("side") in ("SELL", "BUY_TO_COVER") and _positive(row.get("qty")) is None for row in value)
    return None if sound else "not a list of legs, each with symbol, side and quantity"


def _contact(value: Any) -> str | None:
    sound = isinstance(value, dict) and all(value.get(way) is None or isinstance(value[way], str) for way in ("email", "phone"))
    return None if sound else "not an object with an email and a phone as texts"


def _objects(value: Any) -> str | None:
    return _list(value) or (None if all(isinstance(row, dict) for row in value) else "not a list of objects")


def _label(value: Any) -> str | None:
    return None if isinstance(value, str) else "not a text"


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "neither true nor false"


def _count(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else "not a whole number above zero"


def _epoch_ms(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return "not whole epoch milliseconds"
    return "not above zero" if value <= 0 else "after the year 9999" if value > _LAST_MS else None


def _sequence(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else "not a whole number from zero up"


def _ratio(value: Any) -> str | None:
    return _positive(value) or (None if _RATIOS[0] <= value <= _RATIOS[1] else "not the ratio of a split")


def _tier(value: Any) -> str | None:
    return "not one of 0, 1, 2" if isinstance(value, bool) or not isinstance(value, int) or value not in (0, 1, 2) else None


def _date(value: Any) -> str | None:
    import datetime as dt

    try:
        written_so = dt.date.fromisoformat(value).isoformat() == value   # dates are compared as text
    except (TypeError, ValueError):
        written_so = False
    return None if written_so else "not a date YYYY-MM-DD"


def _one_of(*names: str) -> Check:
    return lambda value: None if value in names else f"not one of {', '.join(names)}"


@dataclass(frozen=True)
class Topic:
    """One topic: its key field, required and optional fields with their checks, and how long Kafka keeps it.

    `compacted` topics are state (the latest record per key is kept for ever); the others are logs kept
    `retention_days`, None meaning for ever (the book is rebuilt from them).
    """

    name: str
    key: str
    required: Mapping[str, Check] = field(default_factory=dict)
    optional: Mapping[str, Check] = field(default_factory=dict)
    partitions: int = 4
    compacted: bool = False
    retention_days: int | None = 7


_FILL = {"fill_id": _text, "account_id": _account_id, "symbol": _text, "qty": _nonzero, "price": _positive, "timestamp": _epoch_ms}
_TRANSFER = {"transfer_id": _text, "account_id": _account_id, "amount": _nonzero, "timestamp": _epoch_ms}
_ACCOUNT = {"account_id": _account_id, "margin_type": _one_of("REG_T", "PORTFOLIO"), "timestamp": _epoch_ms}
_ACTION = {"action_id": _text, "symbol": _text, "kind": _one_of("SPLIT", "DIVIDEND"), "ex_date": _date, "timestamp": _epoch_ms}
_TERMS = {"ratio": _ratio, "amount": _positive, "post_price": _positive}
_VOLATILITY = {"symbol": _text, "volatility_annual": _not_negative, "timestamp": _epoch_ms}
_PRINT = {"sequence": _sequence, "confirmed": _yes_or_no, "correction": _yes_or_no, "corrects_timestamp": _epoch_ms}
_FIGURES = ("equity", "gross_mv", "requirement", "excess")    # null where a price is missing: such an account is held
# What those who show or sum a calculation rely on, where it is there at all.
_CALC = dict.fromkeys(
    ("equity", "requirement", "excess", "excess_pct", "reg_t_margin", "portfolio_margin_req", "margin_savings", "worst_stress",
     "beta_weighted_exposure", "gross_mv"), _figure,
) | dict.fromkeys(("status", "band", "margin_type", "margin_method", "policy_version", "calc_id"), _label)
_SCENARIO = {"scenario": _number, **dict.fromkeys(("delta_pnl", "equity_stressed", "excess_stressed", "unsecured"), _figure)}
_FIRM_MORE = {"timestamp": _epoch_ms} | dict.fromkeys((
    "firm_beta_weighted_exposure", "firm_total_mv", "firm_delta_pnl", "firm_loss", "calls_expected", "exposure_limit", "loss_limit",
), _figure)
_ORDER_MORE = {"not_before": _epoch_ms, "positions": _objects, "deficiency": _figure, "excess_after": _figure}
_STATUS = {"account_id": _account_id, "calc_id": _text, "timestamp": _epoch_ms, **dict.fromkeys(_FIGURES, _figure)}
_STATUS_MORE = _CALC | {
    "positions": _holdings, "stress": _objects, "stale_symbols": _list, "corrected_symbols": _list, "corrected_since": _epoch_ms,
    "severe_underwater": _yes_or_no,
}
_CALL = {"account_id": _account_id, "call_id": _text, "action": _text}
_ORDER = {"account_id": _account_id, "order_id": _text}
_FIRM = {"scenario": _text, "firm_beta_weighted_exposure": _number, "firm_loss": _number}   # what the limits are held against
_NOTICE = {"correlation_id": _text, "timestamp": _epoch_ms}
_TOLD = ("WARNING", "MARGIN_CALL", "AMENDED", "MET", "EXPIRED", "RESCINDED", "RECOVERED")
# What an event of this topic and action says beyond its topic's fields: without it no order could be made and nobody be told.
_BY_ACTION: dict[tuple[str, str], Mapping[str, Check]] = {
    (MARGIN_CALLS, "LIQUIDATE"): {
        "event_id": _text, "attempt": _count, "timestamp": _epoch_ms, "deficiency": _number, "explanation": _text, "positions": _holdings,
    },
    **{(MARGIN_CALLS, action): _NOTICE | {"deficiency": _number} for action in _TOLD},
    **{(RESTRICTIONS, action): _NOTICE for action in ("CLOSE_ONLY", "LIFTED")},
    (LIQUIDATION_ORDERS, "NEW"): _NOTICE | {"positions": _legs},
}

TOPICS: dict[str, Topic] = {
    t.name: t
    for t in (
        Topic(FILLS, "account_id", _FILL, {"fee": _not_negative, "order_id": _text}, retention_days=None),
        Topic(CASH, "account_id", _TRANSFER, retention_days=None),
        Topic(ACCOUNTS, "account_id", _ACCOUNT, {"contact": _contact}, compacted=True),
        Topic(PRICES, "symbol", {"symbol": _text, "price": _positive, "timestamp": _epoch_ms}, _PRINT, retention_days=30),
        Topic(BETAS, "symbol", {"symbol": _text, "beta": _number, "timestamp": _epoch_ms}, partitions=1, compacted=True),
        Topic(CORPORATE_ACTIONS, "symbol", _ACTION, _TERMS, partitions=1, retention_days=None),
        Topic(VOLATILITY, "symbol", _VOLATILITY, {"tier": _tier}, partitions=1, compacted=True),
        Topic(MARGIN_CALC, "account_id", {"account_id": _account_id}, _CALC, retention_days=2),
        Topic(MARGIN_STATUS, "account_id", _STATUS, _STATUS_MORE, partitions=1, retention_days=90),
        Topic(STRESS, "account_id", {"account_id": _account_id}, _SCENARIO, retention_days=2),
        Topic(FIRM_RISK, "scenario", _FIRM, _FIRM_MORE, partitions=1, retention_days=30),
        Topic(MARGIN_CALLS, "account_id", _CALL, {"timestamp": _epoch_ms, "deficiency": _figure}, partitions=1, retention_days=None),
        Topic(RESTRICTIONS, "account_id", {"account_id": _account_id, "action": _text}, partitions=1, retention_days=None),
        Topic(LIQUIDATION_ORDERS, "account_id", _ORDER, _ORDER_MORE, partitions=1, retention_days=None),
        Topic(AUDIT, "account_id", {"account_id": _account_id}, partitions=1, retention_days=None),
        Topic(NOTIFICATIONS, "account_id", {"account_id": _account_id}, partitions=1, retention_days=90),
        Topic(DEAD_LETTER, "topic", {"topic": _text, "reason": _text}, partitions=1, retention_days=90),
    )
}


def encode(event: Event) -> bytes:
    """The event as it goes on the wire. NaN cannot: round and replace unknowns first (`money.cents_or_none`)."""
    return orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def decode(topic: str, raw: bytes | None) -> Event:
    """A message of a topic, checked field by field. BadEvent names the first field that breaks the contract."""
    if raw is None:
        raise BadEvent("value", None, "empty message")
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _unreadable(TOPICS[topic], raw, error.msg) from error
    if not isinstance(event, dict):
        raise BadEvent("value", event, "not a JSON object")
    check_fields(TOPICS[topic], event)
    return event


def _unreadable(topic: Topic, raw: bytes, why: str) -> BadEvent:
    """What is wrong with a message that is not JSON: the field, where all else of it is and that one is NaN or an infinity."""
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        event = None
    for name in (*topic.required, *topic.optional) if isinstance(event, dict) else ():
        if isinstance(event.get(name), float) and not math.isfinite(event[name]):
            return BadEvent(name, json.dumps(event[name]), "not a finite number")
    return BadEvent("value", raw[:200].decode(errors="replace"), f"not JSON ({why})")


def check_fields(topic: Topic, event: Event) -> None:
    """Raises BadEvent for the first missing or ill-typed field of an event."""
    _require(topic.required, event)
    for name, check in topic.optional.items():
        if event.get(name) is not None and (reason := check(event[name])):
            raise BadEvent(name, event[name], reason)
    _require(_BY_ACTION.get((topic.name, str(event.get("action", "NEW"))), {}), event)
    if topic.name == CORPORATE_ACTIONS:
        needed = "ratio" if event["kind"] == "SPLIT" else "amount"
        if event.get(needed) is None:
            raise BadEvent(needed, None, f"missing for a {event['kind']}")


def check_time(event: Event, produced_ms: int, most_seconds: float) -> None:
    """Raises BadEvent for an event stamped more than some seconds after it was produced (epoch milliseconds): it has not happened."""
    ahead = event["timestamp"] - produced_ms
    if ahead > most_seconds * 1000:
        raise BadEvent("timestamp", event["timestamp"], f"{ahead / 1000:g} s after it was produced: an event from the future")


def _require(checks: Mapping[str, Check], event: Event) -> None:
    for name, check in checks.items():
        if name not in event:
            raise BadEvent(name, None, "missing")
        if reason := check(event[name]):
            raise BadEvent(name, event[name], reason)


def deterministic_id(*parts: object) -> str:
    """The same id for the same parts, in every process and on every replay: what makes at-least-once delivery harmless."""
    return hashlib.sha256("\x1f".join(str(p) for p in parts).encode()).hexdigest()[:24]
