"""Notices that reached no one: which there are, how they are sent again, and how a person takes them off
the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, or_, select, update

from margin_platform.contracts.messages import NOTIFICATIONS
from margin_platform.notification.addresses import address_of
from margin_platform.notification.message import FIRM
from margin_platform.notification.states import NoticeState, outcome, unexpired
from margin_platform.policy.sections import NoticePolicy
from margin_platform.recordkeeping import acts
from margin_platform.store.store import Store
from margin_platform.store.tables import contacts, notifications
from margin_platform.store.unit_of_work import post

# which address of a contact a channel needs
ADDRESS_OF_CHANNEL = {"SNS": "phone", "SENDGRID": "email", "SMTP": "email"}
_SHOWN = ("notification_id", "account_id", "status", "channel", "attempts", "subject", "error", "created_at")


class Sent(NamedTuple):
    """What a resend did: ids that are due again, and for the others why they are not."""

    due: list[str]
    held: dict[str, str]


def unreached(store: Store, rules: NoticePolicy, now: int) -> list[dict[str, Any]]:
    """Return the notices that reached no one on any channel, oldest first:
    undelivered, held, or tried for too long.

    now: wall clock. A notice to the firm itself that is held for want of the firm's address is left out: the
    customer's own notice is listed.
    """
    row, other = notifications, notifications.alias()
    same = and_(*(row.c[name] == other.c[name] for name in ("account_id", "episode", "rung")))
    reached = exists().where(same, unexpired(now, rules, other.c))
    query = select(*(row.c[name] for name in _SHOWN)).where(
        ~reached, or_(row.c.account_id != FIRM, row.c.status != NoticeState.HELD)
    )
    with store.read() as connection:
        return [
            dict(found._mapping)
            for found in connection.execute(query.order_by(row.c.created_at, row.c.notification_id))
        ]


def resend(store: Store, ids: Sequence[str], firm: Mapping[str, object], *, who: str | None = None) -> Sent:
    """Make notices due now, each at the address its account has now.

    firm: the contact of the firm's own people.

    who: the person who asks for it, recorded in the audit trail; None where a program does.
    """
    due, held = [], {}
    with store.write() as connection:
        for row in _open(connection, ids):
            contact = firm if row.account_id == FIRM else _contact(connection, row.account_id)
            address, error = address_of(contact, ADDRESS_OF_CHANNEL.get(row.channel, "email"), row.account_id)
            if address is None:
                held[row.notification_id] = str(error)
                continue
            again = {
                "status": NoticeState.PENDING,
                "recipient": address,
                "next_attempt_wall": 0,
                "recorded_wall": None,
            }
            connection.execute(update(notifications).where(_is(row.notification_id)).values(**again))
            due.append(row.notification_id)
            _record(connection, "NOTICE_RESENT", row, who, None)
    return Sent(due, held)


def reached(store: Store, ids: Sequence[str], how: str, *, who: str | None = None) -> list[str]:
    """Record that a person reached the recipients by other means, and how; return the ids this closed.

    who: as in `resend`.
    """
    with store.write() as connection:
        rows = _open(connection, ids)
        for row in rows:
            closed = {"status": NoticeState.REACHED, "receipt": how[:256], "error": None}
            connection.execute(update(notifications).where(_is(row.notification_id)).values(**closed))
            post(connection, [(NOTIFICATIONS, outcome(dict(row._mapping) | closed))])
            _record(connection, "NOTICE_REACHED", row, who, how)
    return [row.notification_id for row in rows]


def _record(connection: Connection, act: str, row: Row[Any], who: str | None, why: str | None) -> None:
    if who is not None:
        what = f"notice {row.notification_id} by {row.channel}"
        acts.record(connection, act, who=who, what=what, about=row.account_id, why=why)


def _open(connection: Connection, ids: Sequence[str]) -> Sequence[Row[Any]]:
    states = (NoticeState.HELD, NoticeState.UNDELIVERED, NoticeState.PENDING, NoticeState.SENDING)
    where = notifications.c.notification_id.in_(ids) & notifications.c.status.in_(states)
    return connection.execute(select(notifications).where(where).order_by(notifications.c.created_at)).all()


def _is(notification_id: str) -> ColumnElement[bool]:
    return notifications.c.notification_id == notification_id


def _contact(connection: Connection, account_id: str) -> Mapping[str, object]:
    query = select(contacts.c.contact).where(contacts.c.account_id == account_id)
    return connection.execute(query).scalar_one_or_none() or {}
