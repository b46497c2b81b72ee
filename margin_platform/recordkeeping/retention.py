"""Retention and legal hold: how long records are kept, and which may not go even then.

The platform deletes no record of a decision by itself. `expired` names the accounts whose records the policy
no longer asks for; one under legal hold is never among them. Source: SEC 17a-4(a), six years.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select

from margin_platform.audit.facts import HOLD, RELEASE
from margin_platform.recordkeeping import acts
from margin_platform.store.store import Store
from margin_platform.store.tables import audit, calls, ladder_states, legal_holds


class NoSuchHold(LookupError):
    """The account is not under legal hold, or is already; the message names it."""


class Hold(NamedTuple):
    """One legal hold. since_wall: epoch milliseconds."""

    account_id: str
    since_wall: int
    who: str
    why: str


def hold(store: Store, account_id: str, *, who: str, why: str) -> None:
    """Keep every record of an account until `release`, whatever the policy's years.

    NoSuchHold where it is held already.
    """
    with store.write() as connection:
        if is_held(connection, account_id):
            raise NoSuchHold(f"account: under legal hold already, value {account_id!r}")
        at = time.time_ns() // 1_000_000
        connection.execute(insert(legal_holds).values(account_id=account_id, since_wall=at, who=who, why=why))
        acts.record(
            connection, HOLD, who=who, what=f"put {account_id} on legal hold", about=account_id, why=why
        )


def release(store: Store, account_id: str, *, who: str, why: str) -> None:
    """End an account's legal hold. NoSuchHold where there is none."""
    with store.write() as connection:
        if not connection.execute(delete(legal_holds).where(legal_holds.c.account_id == account_id)).rowcount:
            raise NoSuchHold(f"account: not under legal hold, value {account_id!r}")
        acts.record(
            connection,
            RELEASE,
            who=who,
            what=f"released {account_id} from legal hold",
            about=account_id,
            why=why,
        )


def is_held(connection: Connection, account_id: str) -> bool:
    """Return whether an account is under legal hold."""
    return connection.execute(select(exists().where(legal_holds.c.account_id == account_id))).scalar_one()


def under_hold(account: ColumnElement[str]) -> ColumnElement[bool]:
    """Return the condition that the account of a row is under legal hold."""
    return exists().where(legal_holds.c.account_id == account)


def kept_since(years: int, now_ms: int) -> int:
    """Return the time from which on the policy keeps records, epoch milliseconds, as `now_ms` is."""
    now = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC)
    return int((now - dt.timedelta(days=365.25 * years)).timestamp() * 1000)


def holds(connection: Connection) -> list[Hold]:
    """Return the legal holds, by account."""
    return [Hold(*row) for row in connection.execute(select(legal_holds).order_by(legal_holds.c.account_id))]


def expired(connection: Connection, years: int, now_ms: int) -> list[str]:
    """Return the accounts whose newest record is older than the policy's years,
    without those under legal hold or with an open call.

    now_ms: epoch milliseconds of the clock that decisions follow.
    """
    newest = select(audit.c.account_id).join(ladder_states, ladder_states.c.account_id == audit.c.account_id)
    old = newest.group_by(audit.c.account_id).having(func.max(audit.c.decided_at) < kept_since(years, now_ms))
    open_call = exists().where(calls.c.account_id == audit.c.account_id, calls.c.closed_at.is_(None))
    return list(
        connection.execute(
            old.where(~under_hold(audit.c.account_id), ~open_call).order_by(audit.c.account_id)
        ).scalars()
    )
