"""What people do: who, when and what of every human act, in a chain of its own that anchors and audit.v1 hold
too.

An act is recorded in the transaction that does it. Source: SEC 17a-4(f)(2)(i)(A)(2) and (3).
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert, select, update

from margin_platform import __version__
from margin_platform.audit.entries import ACTS, ENTRY_FORMAT, GENESIS, entry_hash
from margin_platform.contracts.messages import AUDIT
from margin_platform.store.tables import audit, audit_heads
from margin_platform.store.unit_of_work import post

POLICY_IN_FORCE = "POLICY_IN_FORCE"  # the act that another policy than before decides


def operator() -> str:
    """Return who runs this program: the user that the operating system knows, and the machine."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name  # not of the environment, which anyone may set
    except KeyError:
        name = f"uid {os.getuid()}"
    return f"{name}@{socket.gethostname()}"


def record(
    connection: Connection,
    act: str,
    *,
    who: str,
    what: str,
    about: str | None = None,
    why: str | None = None,
    more: Mapping[str, object] | None = None,
    at: int | None = None,
) -> int:
    """Add an act to the chain of acts, and its audit.v1 event to the outbox; return its number.

    act: a word such as HOLD; who: see `operator`; what: what was done, in words; about: the account, where it
    is one's; more: further fields of an audit.v1 event; at: epoch milliseconds, None for now.
    """
    head = connection.execute(select(audit_heads).where(audit_heads.c.account_id == ACTS)).one_or_none()
    number, previous = (head.audit_count + 1, head.audit_hash) if head else (1, GENESIS)
    at = time.time_ns() // 1_000_000 if at is None else at
    entry: dict[str, Any] = {
        "account_id": ACTS,
        "decision": act,
        "who": who,
        "what": what,
        "about": about,
        "why": why,
        "timestamp": at,
        "format": ENTRY_FORMAT,
        "code_version": __version__,
        **(more or {}),
    }
    hashed = entry_hash(previous, entry)
    connection.execute(
        insert(audit).values(
            account_id=ACTS, number=number, decided_at=at, entry=entry, previous_hash=previous, hash=hashed
        )
    )
    end = {"audit_count": number, "audit_hash": hashed}
    if head:
        connection.execute(update(audit_heads).where(audit_heads.c.account_id == ACTS).values(end))
    else:
        connection.execute(insert(audit_heads).values(account_id=ACTS, **end))
    event = {"event_id": hashed[:24], "number": number, "previous_hash": previous, "hash": hashed} | entry
    post(connection, [(AUDIT, event)])
    return number


def record_policy(connection: Connection, version: str) -> None:
    """Record that another policy is in force than the last one recorded, and who runs this program."""
    entries = select(audit.c.entry).where(audit.c.account_id == ACTS).order_by(audit.c.number.desc())
    said = (
        entry["what"]
        for entry in connection.execute(entries).scalars()
        if entry["decision"] == POLICY_IN_FORCE
    )
    if next(said, None) != version:
        record(connection, POLICY_IN_FORCE, who=operator(), what=version)
