"""Messages and the audit trail: one body an id, nothing lost on the way to a topic, a chain that holds."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator

from margin_platform.simulator.invariants.plain import Json

_ID = {
    "margin.status.v1": "calc_id",
    "margin.calc.v1": "calc_id",
    "margin.calls.v1": "event_id",
    "restrictions.v1": "event_id",
    "liquidation.orders.v1": "event_id",
    "audit.v1": "event_id",
    "notifications.v1": "event_id",
    "fills.v1": "fill_id",
}
_SKIPPED = re.compile(r"(\w+) leaves (\S+)\[0\] (\d+)-(\d+) undecided")
_FROM_STORE = ("margin.calls.v1", "restrictions.v1", "liquidation.orders.v1", "audit.v1", "notifications.v1")


def an_id_has_one_body(history: Json) -> Iterator[str]:
    """Find ids that stand for two bodies: what is sent again must be unchanged."""
    for topic, name in _ID.items():
        bodies: dict[str, Json] = {}
        for _, offset, _, event in history["topics"][topic]:
            if bodies.setdefault(event[name], event) != event:
                yield f"{topic}@{offset}: {name} {event[name]} stands for two bodies"


def what_is_committed_is_published(history: Json) -> Iterator[str]:
    """Find messages of the outbox that are not on their topic, in order, and what is there beside them."""
    expected: dict[str, list[str]] = defaultdict(list)
    for row in history["tables"]["outbox"]:
        expected[row["topic"]].append(row["event"]["event_id"])
        if not row["sent"]:
            yield f"outbox: message {row['seq']} of {row['topic']} was never sent"
    for topic in _FROM_STORE:
        found = [event["event_id"] for _, _, _, event in history["topics"][topic]]
        first = list(dict.fromkeys(found))
        if first != expected[topic]:
            lost = [i for i in expected[topic] if i not in found]
            foreign = [i for i in first if i not in expected[topic]]
            yield f"{topic}: lost {lost[:3]}, foreign {foreign[:3]}, or not in the order of the outbox"
        if not history["deaths"] and not _was_interrupted(history) and len(found) != len(first):
            yield f"{topic}: {len(found) - len(first)} messages sent twice, and nothing was interrupted"


def _was_interrupted(history: Json) -> bool:
    return any("no broker" in what or "no disk" in what for _, what in history["notes"])


def an_audit_chain_verifies(history: Json) -> Iterator[str]:
    """Find entries that are not chained to the one before, and accounts that do not name their last."""
    chains: dict[str, list[Json]] = defaultdict(list)
    for row in sorted(history["tables"]["audit"], key=lambda row: row["number"]):
        chains[row["account_id"]].append(row)
    for state in history["tables"]["ladder_states"]:
        yield from _broken(state, chains.pop(state["account_id"], []))
    for head in history["tables"]["audit_heads"]:
        yield from _broken(head, chains.pop(head["account_id"], []))
    if chains:
        yield f"audit: entries of {sorted(chains)}, which have no state"


def _broken(head: Json, chain: list[Json]) -> Iterator[str]:
    before = "0" * 64
    for number, row in enumerate(chain, 1):
        text = json.dumps(row["entry"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        hashed = hashlib.sha256(before.encode() + text.encode()).hexdigest()
        if row["number"] != number or row["previous_hash"] != before or row["hash"] != hashed:
            yield f"{head['account_id']}: entry {row['number']} does not hold"
        before = row["hash"]
    if (head["audit_count"], head["audit_hash"]) != (len(chain), before):
        yield f"{head['account_id']}: the account does not name the last entry"


def what_is_passed_over_is_named(history: Json) -> Iterator[str]:
    """Find offsets before a consumer's next one that it was never given and that no act of a person names,
    and those that an act names and that are still there.
    """
    named: dict[tuple[str, str], set[int]] = defaultdict(set)
    for row in history["tables"]["audit"]:
        if found := _SKIPPED.fullmatch(row["entry"].get("what") or ""):
            consumer, topic, first, end = found.groups()
            named[consumer, topic] |= set(range(int(first), int(end)))
    for row in history["tables"]["progress"]:
        who = row["consumer"], row["topic"]
        if who[1] == "accounts.v1":  # which contacts are read of whole
            continue
        unknown = set(range(row["next_offset"])) - named[who] - set(history["reads"].get(" ".join(who), ()))
        if unknown:
            yield f"{who[0]} passed over {sorted(unknown)[:5]} of {who[1]}, and nothing names them"
    for (consumer, topic), offsets in named.items():
        if there := [n for n in offsets if n >= history["oldest"].get(topic, 0)]:
            yield f"{consumer} leaves {sorted(there)[:5]} of {topic} undecided, which are there"
