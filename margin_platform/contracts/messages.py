"""Messages: events on the wire, and their strict reading. The wire contract is docs/contracts.md.

JSON, UTF-8. `timestamp` is event time in epoch milliseconds UTC. Money is dollars with cents, quantities are
signed shares. A message that fails its declaration raises `BadEvent`, which names the field and the value,
and goes to dead_letter.v1.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable

import orjson

from margin_platform.contracts import action_terms
from margin_platform.contracts.events.declarations import Event
from margin_platform.contracts.foreign_fields import refuse_contradictions
from margin_platform.contracts.json_object import flaw_of_depth, flaw_of_keys
from margin_platform.contracts.refusals import BadEvent
from margin_platform.contracts.topics import (
    ACCOUNTS,
    AUDIT,
    BETAS,
    CASH,
    CORPORATE_ACTIONS,
    DEAD_LETTER,
    FILLS,
    FIRM_PARTIALS,
    FIRM_RISK,
    INPUTS,
    LIQUIDATION_ORDERS,
    MARGIN_CALC,
    MARGIN_CALLS,
    MARGIN_STATUS,
    NOTIFICATIONS,
    PRICES,
    RESTRICTIONS,
    STRESS,
    TOPICS,
    VOLATILITY,
    Topic,
)

__all__ = [
    "ACCOUNTS",
    "AUDIT",
    "BETAS",
    "BadEvent",
    "CASH",
    "CORPORATE_ACTIONS",
    "DEAD_LETTER",
    "Event",
    "FILLS",
    "FIRM_PARTIALS",
    "FIRM_RISK",
    "LIQUIDATION_ORDERS",
    "MARGIN_CALC",
    "MARGIN_CALLS",
    "MARGIN_STATUS",
    "NOTIFICATIONS",
    "PRICES",
    "RESTRICTIONS",
    "STRESS",
    "TOPICS",
    "Topic",
    "VOLATILITY",
    "check_fields",
    "check_time",
    "checked",
    "decode",
    "deterministic_id",
    "deterministic_ids",
    "encode",
]


def encode(event: Event) -> bytes:
    """Encode the event for the wire.

    NaN cannot: round and replace unknowns first (`money.cents_or_none`).
    """
    return orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)


def decode(topic: str, raw: bytes | None) -> Event:
    """Return a message of a topic, checked field by field.

    BadEvent names the first field that breaks the contract.

    Of what other systems send, fields that are not declared are dropped, unless they contradict one that is.
    """
    if raw is None:
        raise BadEvent("value", None, "empty message: a null deletes nothing")
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _unreadable(TOPICS[topic], raw, error.msg) from error
    if not isinstance(event, dict):
        raise BadEvent("value", event, "not a JSON object")
    flaw = flaw_of_depth(event, raw)
    if flaw is None and topic not in _BY_THE_THOUSAND and raw.count(b":") != len(event):
        flaw = flaw_of_keys(event, raw)
    if flaw is not None:
        raise BadEvent(*flaw)
    return checked(topic, event)


def checked(topic: str, event: Event) -> Event:
    """Return an event of a topic as its contract declares it.

    BadEvent names the first field that breaks it.
    """
    check_fields(TOPICS[topic], event)
    return _declared(topic, event) if topic in INPUTS else event


def _declared(topic: str, event: Event) -> Event:
    names = _NAMES[topic]
    if event.keys() <= names:
        return event
    refuse_contradictions(event)
    return {name: value for name, value in event.items() if name in names}


_NAMES = {topic: frozenset(field.name for field in TOPICS[topic].check.fields) for topic in INPUTS}


# our own figures, written from a mapping: no key can be there twice
_BY_THE_THOUSAND = frozenset((MARGIN_CALC, STRESS))


def _unreadable(topic: Topic, raw: bytes, why: str) -> BadEvent:
    """Return what is wrong with a message that is not JSON:
    the field, where all else of it is and that one is NaN or an infinity.
    """
    try:
        event = json.loads(raw)
    except (ValueError, RecursionError):
        event = None
    for field in topic.check.fields if isinstance(event, dict) else ():
        value = event.get(field.name)
        if isinstance(value, float) and not math.isfinite(value):
            return BadEvent(field.name, json.dumps(value), "not a finite number")
    return BadEvent("value", raw[:200].decode(errors="replace"), f"not JSON ({why})")


def check_fields(topic: Topic, event: Event) -> None:
    """Raise BadEvent for the first missing or ill-typed field of an event."""
    topic.check(event)
    if topic.by_action and (more := topic.by_action.get(str(event.get("action", "NEW")))):
        more(event)
    if topic.name == CORPORATE_ACTIONS and (problem := action_terms.problem(event)):
        raise BadEvent(*problem)


def check_time(event: Event, produced_ms: int, most_seconds: float) -> None:
    """Raise BadEvent for an event stamped more than some seconds after it was produced (epoch milliseconds):
    it has not happened.
    """
    ahead = event["timestamp"] - produced_ms
    if ahead > most_seconds * 1000:
        raise BadEvent(
            "timestamp",
            event["timestamp"],
            f"{ahead / 1000:g} s after it was produced: an event from the future",
        )


def deterministic_id(*parts: object) -> str:
    """Return the same id for the same parts, in every process and on every replay: what makes at-least-once
    delivery harmless.
    """
    return _id_of(_joined(parts))


def deterministic_ids(firsts: Iterable[str], *others: object) -> list[str]:
    """Return `deterministic_id` of each first part with the same others."""
    others_joined = _joined(("", *others))
    return [_id_of(first + others_joined) for first in firsts]


def _joined(parts: Iterable[object]) -> str:
    return "\x1f".join(map(str, parts))


def _id_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]
