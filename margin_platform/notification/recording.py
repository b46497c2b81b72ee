"""Notices recorded, each once for its account, episode, rung and channel, many at a time.

What the store knows of them, and whom they go to, is looked up for all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import BindParameter, Connection, bindparam, insert, select

from margin_platform.contracts.messages import NOTIFICATIONS, deterministic_id
from margin_platform.notification.addresses import address_of
from margin_platform.notification.channels import Channel
from margin_platform.notification.increases import Increases, Row, digest
from margin_platform.notification.message import FIRM, Notice, unreached_notice
from margin_platform.notification.states import NoticeState, outcome, unexpired
from margin_platform.policy.policy import Policy
from margin_platform.store.tables import contacts, notifications
from margin_platform.store.unit_of_work import Message, groups

Contact = Mapping[str, object]  # `email` and `phone`, either may lack
_OF: BindParameter[list[str]] = bindparam("of", expanding=True)
_CONTACTS = select(contacts.c.account_id, contacts.c.contact).where(contacts.c.account_id.in_(_OF))
_RECORDED = select(notifications.c.notification_id).where(notifications.c.notification_id.in_(_OF))


class Recorder:
    """Records notices for some channels. firm: the contact of the firm's own people."""

    def __init__(self, channels: Mapping[str, Channel], policy: Policy, firm: Contact) -> None:
        self.channels = channels
        self.policy = policy
        self.firm = firm

    def record(
        self, connection: Connection, notices: Iterable[tuple[Notice, Contact]], now: int, run_id: str | None
    ) -> list[Message]:
        """Record notices for a contact each, due now (wall clock, epoch milliseconds);
        return notifications.v1 events of those without an address.
        """
        rows = self._rows(connection, list(notices), now, run_id)
        for known in _known(connection, list(rows)):
            del rows[known]
        if rows:
            connection.execute(insert(notifications), list(rows.values()))
        return [
            message
            for row in rows.values()
            if row["status"] == NoticeState.HELD
            for message in [(NOTIFICATIONS, outcome(row)), *self.escalated(connection, row, now, run_id)]
        ]

    def _rows(
        self, connection: Connection, notices: Sequence[tuple[Notice, Contact]], now: int, run_id: str | None
    ) -> dict[str, Row]:
        """Return the rows of notices by id: what goes out at once, and the digests of increases."""
        increases = Increases(connection, [notice for notice, _ in notices])
        rows: dict[str, Row] = {}
        for notice, contact in notices:
            at = increases.waits_until(notice)
            written = self._written(notice, at, contact, now, run_id)
            if at is None:
                if increases.superseded(notice, now):
                    rows = {key: row for key, row in rows.items() if not _waits_in_call(row, notice)}
                rows |= {key: row for key, row in written.items() if key not in rows}
            elif not increases.rewritten(notice, at, written):
                rows |= written  # the newest amount of the session
        return rows

    def _written(
        self, notice: Notice, at: int | None, contact: Contact, now: int, run_id: str | None
    ) -> dict[str, Row]:
        """Return a row for each channel, by id. at: the event time of the digest that it is in."""
        due: Row = {"digest_at": at, "next_attempt_wall": now, "recorded_wall": now}
        if at is not None:
            notice = digest(notice, at)
            due |= {"next_attempt_wall": now + at - notice.timestamp, "recorded_wall": None}
        rows = [_row(notice, channel, contact, run_id) | due for channel in self.channels.values()]
        return {str(row["notification_id"]): row for row in rows}

    def escalated(
        self, connection: Connection, row: Mapping[str, object], now: int, run_id: str | None
    ) -> list[Message]:
        """Record the notice to the firm, once an episode, where no channel of a customer's notice
        delivered or may still in time.
        """
        same = [notifications.c[name] == row[name] for name in ("account_id", "episode", "rung")]
        young = unexpired(now, self.policy.notices)
        left = select(notifications.c.notification_id).where(*same, young).limit(1)
        if row["account_id"] == FIRM or connection.execute(left).one_or_none() is not None:
            return []
        return self.record(connection, [(unreached_notice(row), self.firm)], now, run_id)


def contacts_of(connection: Connection, account_ids: Iterable[str]) -> dict[str, Contact]:
    """Return the contact of each account that has one."""
    found: dict[str, Contact] = {}
    for some in groups(list(dict.fromkeys(account_ids))):
        found |= {row.account_id: row.contact for row in connection.execute(_CONTACTS, {"of": some})}
    return found


def _known(connection: Connection, ids: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for some in groups(ids):
        found.update(connection.execute(_RECORDED, {"of": some}).scalars())
    return found


def _row(notice: Notice, channel: Channel, contact: Contact, run_id: str | None) -> Row:
    address, error = address_of(contact, channel.kind, notice.account_id)
    by_sms = channel.kind == "phone"
    return {
        "notification_id": deterministic_id(
            "notification", notice.account_id, notice.episode, notice.rung, channel.name
        ),
        "account_id": notice.account_id,
        "episode": notice.episode,
        "rung": notice.rung,
        "channel": channel.name,
        "recipient": address,
        "subject": notice.subject,
        "body": notice.sms if by_sms else notice.text,
        "html": None if by_sms else notice.html,
        "status": NoticeState.PENDING if address else NoticeState.HELD,
        "attempts": 0,
        "receipt": None,
        "error": error,
        "created_at": notice.timestamp,
        "run_id": run_id,
        "call_kind": notice.call_kind,
    }


def _waits_in_call(row: Row, notice: Notice) -> bool:
    same = (row["account_id"], row["episode"]) == (notice.account_id, notice.episode)
    return same and row["digest_at"] is not None
