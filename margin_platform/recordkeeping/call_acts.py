"""What the desk does about an open call: who owns it, what was said, what was promised and extended.

Each is an act in the chain of acts (`acts`), in the transaction that checks the call. None of them changes a
rung, an amount or a due time: the ladder alone does.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import Connection, select

from margin_platform.audit.entries import ACTS
from margin_platform.contracts.messages import Event
from margin_platform.recordkeeping import acts
from margin_platform.store import audit_chain
from margin_platform.store.store import Store
from margin_platform.store.tables import calls

LONGEST = 500  # characters of a note
_MOST = 1e12  # dollars
_OWED = ("OPEN", "EXPIRED")


class CallAct(StrEnum):
    """What a person may do about a call."""

    ACKNOWLEDGE = "CALL_ACKNOWLEDGED"
    OWNER = "CALL_OWNER"
    NOTE = "CALL_NOTE"
    PROMISE = "CALL_PROMISE"
    EXTENSION = "CALL_EXTENSION"


class BadAct(ValueError):
    """An act that cannot be recorded; names the field and the value."""

    def __init__(self, name: str, value: object, reason: str) -> None:
        super().__init__(f"{name}: {reason}, value {value!r}")
        self.field, self.value, self.reason = name, value, reason


@dataclass(frozen=True)
class Request:
    """One act, as asked for. amount: dollars of a promise; until: the New York date it is for, ISO."""

    act: CallAct
    call_id: str
    text: str = ""
    amount: float | None = None
    until: str = ""


@dataclass
class Work:
    """What was done about one call so far; the newest of each holds."""

    owner: str | None = None
    acknowledged: str | None = None
    notes: list[str] = field(default_factory=list)
    promise: str | None = None
    extension: str | None = None


def record(store: Store, asked: Request, *, who: str, approver: str | None = None) -> None:
    """Record one act. BadAct where the call is not open, or a field cannot be used.

    approver: who allows an extension, another person than `who`.
    """
    what, value = _worded(asked, who, approver)
    with store.write() as connection:
        found = connection.execute(select(calls).where(calls.c.call_id == asked.call_id)).one_or_none()
        if found is None or found.status not in _OWED:
            raise BadAct("call_id", asked.call_id, "no open call")
        more = {"call_id": asked.call_id, "amount": asked.amount, "value": value, "approver": approver}
        acts.record(connection, asked.act, who=who, what=what, about=found.account_id, more=more)


def _worded(asked: Request, who: str, approver: str | None) -> tuple[str, str]:
    """Return what is done, in words, and its value."""
    if len(asked.text) > LONGEST or "\0" in asked.text:
        raise BadAct("text", asked.text[:80], f"longer than {LONGEST} characters, or holds a NUL")
    match asked.act:
        case CallAct.ACKNOWLEDGE:
            return f"acknowledged call {asked.call_id}", who
        case CallAct.OWNER:
            return f"call {asked.call_id} is owned by {_said(asked)}", _said(asked)
        case CallAct.NOTE:
            return f"noted on call {asked.call_id}: {_said(asked)}", _said(asked)
        case CallAct.PROMISE:
            if asked.amount is None or not 0 < asked.amount < _MOST:
                raise BadAct("amount", asked.amount, "not an amount of dollars above 0")
            promised = f"{asked.amount:,.2f} by {_date(asked)}"
            return f"customer promised {promised} for call {asked.call_id}", _date(asked)
        case CallAct.EXTENSION:
            if approver is None or approver == who:
                raise BadAct("approver", approver, "an extension is approved by another desk user")
            return f"extended call {asked.call_id} to {_date(asked)}, approved by {approver}", _date(asked)


def _said(asked: Request) -> str:
    if not asked.text.strip():
        raise BadAct("text", asked.text, "empty")
    return asked.text.strip()


def _date(asked: Request) -> str:
    try:
        return dt.date.fromisoformat(asked.until).isoformat()
    except ValueError:
        raise BadAct("until", asked.until, "not a date YYYY-MM-DD") from None


def by_call(connection: Connection) -> dict[str, Work]:
    """Return what was done about each call, by its id."""
    found: dict[str, Work] = {}
    for entry in audit_chain.entries_of(connection, ACTS):
        said: Mapping[str, object] = entry.content
        if said.get("decision") in list(CallAct):
            _take(found.setdefault(str(said["call_id"]), Work()), dict(said))
    return found


def _take(work: Work, said: Event) -> None:
    value, by = said["value"], f"({said['who']})"
    match said["decision"]:
        case CallAct.ACKNOWLEDGE:
            work.acknowledged = said["who"]
        case CallAct.OWNER:
            work.owner = value
        case CallAct.NOTE:
            work.notes.append(f"{value} {by}")
        case CallAct.PROMISE:
            work.promise = f"${said['amount']:,.2f} by {value} {by}"
        case CallAct.EXTENSION:
            work.extension = f"to {value}, approved by {said['approver']} {by}"
