"""Facts: calls, orders, restrictions, holds and acts are what the entries record.

Entries of format 1 hold less: the evidence of their calls and the account's standing are not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from margin_platform.audit.entries import ACTS, Entry
from margin_platform.audit.findings import Finding, Kind, guarded
from margin_platform.audit.records import Records, Row, standing_of
from margin_platform.trading_time.new_york import local_time

HOLD, RELEASE = "HOLD", "RELEASE"  # acts that begin and end a legal hold
RESTRICTION_LIFTED = "RESTRICTION_LIFTED"  # the act of a person who lifts one; its entries name it
_CLOSED = {"CALL_CURED": "MET", "RESCINDED": "RESCINDED"}
_AMENDED = ("CALL_INCREASED", "CALL_RESTATED")
_LEG = ("symbol", "side", "qty")
_NAMED = {"due_at": "due time", "opened_at": "opening time", "issued": "amount", "evidence_hash": "evidence"}


def check(records: Records, doubtful: frozenset[str]) -> Iterator[Finding]:
    """Yield every fact that is not the recorded one. doubtful: accounts whose entries cannot be relied on."""
    calls: dict[str, tuple[Entry, Row]] = {}
    orders: dict[str, Entry] = {}
    cancelled: set[str] = set()

    def fold(entry: Entry) -> Iterator[Finding]:
        _fold_call(calls, entry)
        if entry.content.get("decision") == "ORDER":
            orders[str(entry.content["order_id"])] = entry
        cancelled.update(map(str, entry.content.get("cancelled_orders", ())))
        return iter(())

    for account, entries in records.entries.items():
        for entry in entries:
            yield from guarded(account, entry.number, partial(fold, entry))
    yield from (f for f in _calls(records, calls) if f.account_id not in doubtful)
    yield from (f for f in _orders(records, orders, cancelled) if f.account_id not in doubtful)
    for account, entries in records.entries.items():
        if account not in doubtful and account in records.states:
            yield from guarded(account, entries[-1].number, partial(_standing, account, entries[-1], records))
    yield from guarded(ACTS, 0, partial(_holds, records))
    yield from (f for f in guarded(ACTS, 0, partial(_acts, records)) if f.account_id not in doubtful)


def _fold_call(calls: dict[str, tuple[Entry, Row]], entry: Entry) -> None:
    said = entry.content
    kind, call_id = said.get("decision"), str(said.get("call_id"))
    if kind == "CALL":
        calls[call_id] = (
            entry,
            {
                "account_id": entry.account_id,
                "opened_at": said["timestamp"],
                "due_at": said["due_at"],
                "issued": said["amount"],
                "status": "OPEN",
                "closed_at": None,
                "calc_id": said.get("calc_id") or "",
                "source": said.get("source"),
                "run_id": said.get("run_id"),
                **({} if entry.is_format_1 else {"evidence_hash": said["evidence"]}),
            },
        )
    elif call_id in calls:
        known = calls[call_id][1]
        if kind in _AMENDED:
            known["issued"] = said["amount"]
        elif kind == "CALL_EXPIRED":
            known["status"] = "EXPIRED"
        elif kind in _CLOSED:
            known |= {"status": _CLOSED[kind], "closed_at": said["timestamp"], "outstanding": 0.0}


def _calls(records: Records, recorded: Mapping[str, tuple[Entry, Row]]) -> Iterator[Finding]:
    for call_id, (entry, known) in recorded.items():
        yield from guarded(entry.account_id, entry.number, partial(_call, records, entry, call_id, known))
    for call_id, found in records.calls.items():
        if call_id not in recorded:
            yield Finding(found["account_id"], Kind.CALL_UNRECORDED, 0, f"no entry opened call {call_id}")


def _call(records: Records, entry: Entry, call_id: str, known: Row) -> Iterator[Finding]:
    account, found = entry.account_id, records.calls.get(call_id)
    if found is None:
        yield Finding(account, Kind.CALL_DELETED, entry.number, f"call {call_id} is gone")
        return
    found = found | {"due_at": local_time(found["due_at"])}
    state = records.states.get(account)
    call = state["state"].get("call") if state else None
    if call and call["call_id"] == call_id:
        known = known | {"outstanding": call["outstanding"]}
    for name in sorted(name for name in known if known[name] != found[name]):
        kind = Kind.EVIDENCE_CHANGED if name == "evidence_hash" else Kind.CALL_CHANGED
        shown = f"{_NAMED.get(name, name)} is {found[name]}, recorded was {known[name]}"
        yield Finding(account, kind, entry.number, f"call {call_id}: {shown}")


def _orders(records: Records, recorded: Mapping[str, Entry], cancelled: set[str]) -> Iterator[Finding]:
    for order_id, entry in recorded.items():
        account, found = entry.account_id, records.orders.get(order_id)
        if found is None:
            yield Finding(account, Kind.ORDER_DELETED, entry.number, f"order {order_id} is gone")
            continue
        yield from guarded(
            account, entry.number, partial(_order, entry, order_id, found, order_id in cancelled)
        )
    for order_id, found in records.orders.items():
        if order_id not in recorded:
            yield Finding(found["account_id"], Kind.ORDER_UNRECORDED, 0, f"no entry made order {order_id}")


def _order(entry: Entry, order_id: str, found: Row, cancelled: bool) -> Iterator[Finding]:
    if different := _difference(entry.content, found, cancelled):
        yield Finding(entry.account_id, Kind.ORDER_CHANGED, entry.number, f"order {order_id}: {different}")


def _difference(said: Mapping[str, Any], found: Row, cancelled: bool) -> str | None:
    """Explain what of an order's row differs from its entry; None where all agrees."""
    event = found["event"]
    legs = [{name: leg.get(name) for name in _LEG} for leg in event.get("positions", ())]
    if legs != said["positions"]:
        return f"legs are {legs}, recorded were {said['positions']}"
    if "order" in said and said["order"] != found["event_hash"]:
        return "the order is not the one that was sent"
    columns = {name: event.get(name) for name in ("account_id", "call_id", "attempt")}
    if changed := [name for name in columns if found[name] != columns[name]]:
        return f"{changed[0]} is {found[changed[0]]}, recorded was {columns[changed[0]]}"
    if cancelled and found["status"] != "CANCELLED":
        return f"status is {found['status']}, recorded was CANCELLED"
    return None


def _standing(account: str, last: Entry, records: Records) -> Iterator[Finding]:
    """Check that the account stands where its last entry left it: nothing else moves it to another rung."""
    if last.is_format_1 or "standing" not in last.content:
        return
    row = records.states[account]
    found, known = standing_of(row["status"], row["restricted"], row["state"]), last.content["standing"]
    shown = restricted_by(found)
    if (found["restricted"], shown) != (known["restricted"], restricted_by(known)):
        reason = f"restricted is {found['restricted']} by {shown}, recorded was {known['restricted']}"
        yield Finding(account, Kind.RESTRICTION_CHANGED, last.number, reason)
    if known["call"] and found["call"] is None:
        reason = f"call {known['call']['call_id']} is forgotten in the account's state"
        yield Finding(account, Kind.CALL_FORGOTTEN, last.number, reason)
    elif found["call"] != known["call"]:
        reason = f"call of the state is {found['call']}, recorded was {known['call']}"
        yield Finding(account, Kind.STANDING_CHANGED, last.number, reason)
    for name in ("status", "expired", "liquidations", "held"):
        if found[name] != known[name]:
            reason = f"{name} is {found[name]}, recorded was {known[name]}"
            yield Finding(account, Kind.STANDING_CHANGED, last.number, reason)


def restricted_by(standing: Row) -> str:
    """Return what restricts an account, in words: its call, its stress, both or neither."""
    causes = {"close_only": "an open call", "stress_restricted": "a severe SPY stress"}
    return " and ".join(cause for name, cause in causes.items() if standing[name]) or "nothing"


def _holds(records: Records) -> Iterator[Finding]:
    held: dict[str, Entry] = {}
    for act in records.acts:
        about = act.content.get("about")
        if about and act.content["decision"] == HOLD:
            held[about] = act
        elif about and act.content["decision"] == RELEASE:
            held.pop(about, None)
    for account in sorted(held.keys() | records.holds.keys()):
        begun, found = held.get(account), records.holds.get(account)
        if begun is None:
            yield Finding(account, Kind.HOLD_CHANGED, 0, "no act put the account on legal hold")
        elif found is None:
            reason = "the legal hold is gone, and no act released it"
            yield Finding(account, Kind.HOLD_CHANGED, begun.number, reason)
        elif changed := [name for name in ("who", "why") if found[name] != begun.content.get(name)]:
            reason = f"{changed[0]} is {found[changed[0]]!r}, recorded was {begun.content.get(changed[0])!r}"
            yield Finding(account, Kind.HOLD_CHANGED, begun.number, reason)


def _acts(records: Records) -> Iterator[Finding]:
    """Check that an entry and the act that it names are both recorded, and what an act about a call names."""
    acts = {f"{ACTS}@{act.number}": act for act in records.acts}
    answered: set[str] = set()
    for account, entries in records.entries.items():
        for entry in entries:
            source = str(entry.content.get("source"))
            if not source.startswith(f"{ACTS}@"):
                continue
            answered.add(source)
            said = acts[source].content if source in acts else None
            if said is None:
                reason = f"{source}, which decided it, is not recorded"
                yield Finding(account, Kind.ACT_MISSING, entry.number, reason)
            elif (said["decision"], said.get("about")) != (RESTRICTION_LIFTED, account):
                reason = f"{source} is {said['decision']} about {said.get('about')}"
                yield Finding(account, Kind.ACT_CHANGED, entry.number, f"{reason}, and decided nothing of it")
    for source, act in acts.items():
        about, call_id = str(act.content.get("about")), act.content.get("call_id")
        if act.content["decision"] == RESTRICTION_LIFTED and source not in answered:
            yield Finding(
                about, Kind.ENTRY_MISSING, 0, f"no entry follows {source}, which lifted a restriction"
            )
        if call_id and call_id not in records.calls:
            yield Finding(about, Kind.CALL_DELETED, 0, f"call {call_id}, which {source} is about, is gone")
