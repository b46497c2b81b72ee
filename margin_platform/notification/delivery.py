"""Delivery: notices are recorded once per account, episode, rung and channel,
then sent until a provider answers for them.

A notification is PENDING, SENDING (claimed by one sender for a minute), DELIVERED with a receipt, HELD until
its recipient has an address, UNDELIVERED after the last attempt, or REACHED by a person. It is tried for the
policy's hours, with growing waits. Where no channel is left, or none has delivered within the policy's
minutes, the firm's own people get a notice to reach the customer. Each outcome is an event on
notifications.v1. A crash between a provider's answer and its record sends again, under the same id: at least
once; a message is never lost.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, select, update

from margin_platform.contracts.messages import NOTIFICATIONS, Event
from margin_platform.contracts.offsets import Source, Span
from margin_platform.notification.addresses import address_of
from margin_platform.notification.channels import Channel, DeliveryFailed, DeliveryRefused, Outgoing
from margin_platform.notification.message import Notice, notice_of
from margin_platform.notification.recording import Contact, Recorder, contacts_of
from margin_platform.notification.states import MS_PER_MINUTE, NoticeState, outcome
from margin_platform.notification.wording import Letterhead
from margin_platform.policy.policy import Policy
from margin_platform.store.progress import Consumer, fresh
from margin_platform.store.store import Store
from margin_platform.store.tables import notifications
from margin_platform.store.unit_of_work import Message, post, update_many

_FIRST_WAIT_MS = 2_000  # doubled after each failure, up to the policy's longest wait
_MOST_DOUBLINGS = 30
_CLAIM_MS = 60_000
_CLAIMED_AT_ONCE = 32  # sent within the claim's minute even where every provider times out after 10 s
_SENDERS = 8
# due by the wall clock, or by the event time of a digest; built once, for every run asks
_DUE = (
    notifications.c.status.in_((NoticeState.PENDING, NoticeState.SENDING))
    & (notifications.c.next_attempt_wall <= bindparam("now"))
) | (
    (notifications.c.status == NoticeState.PENDING)
    & (notifications.c.attempts == 0)
    & (notifications.c.digest_at <= bindparam("event_time"))
)
_DUE &= notifications.c.channel.in_(bindparam("channels", expanding=True))
_ONE_DUE = select(notifications.c.notification_id).where(_DUE).limit(1)
_WITHOUT_ADDRESS = (
    select(notifications.c.account_id)
    .distinct()
    .where(notifications.c.status == NoticeState.HELD)
    .where(notifications.c.account_id.in_(bindparam("of", expanding=True)))
    .order_by(notifications.c.account_id)
)
_ALL_DUE = (
    select(notifications)
    .where(_DUE)
    .order_by(notifications.c.created_at, notifications.c.notification_id)
    .limit(_CLAIMED_AT_ONCE)
)
Claimed = dict[str, Any]  # a notification, as a row of its table
Outcome = tuple[Claimed, Claimed]  # one that was claimed, and what changes of it


class Notifier:
    """Notices over a store and some channels.

    `now` arguments are wall-clock epoch milliseconds: providers live in real time.

    letterhead: who writes, and whom a customer may ask; firm: the contact (`email`, `phone`) that hears of
    customers who could not be reached.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        channels: Sequence[Channel],
        *,
        letterhead: Letterhead | None = None,
        firm: Mapping[str, object] | None = None,
        senders: int = _SENDERS,
    ) -> None:
        """Keep what sends. senders: accounts served side by side; 1: one after the other, in order."""
        self.store = store
        self.policy = policy
        self.channels = {channel.name: channel for channel in channels}
        self.letterhead = letterhead or Letterhead()
        self._recorder = Recorder(self.channels, policy, firm or {})
        self._senders = senders
        self._event_time = 0  # the newest of a recorded event: digests of before are due

    def record(
        self,
        events: Sequence[tuple[Event, tuple[str, int, int]]],
        now: int,
        run_id: str | None = None,
        span: Span | None = None,
    ) -> list[Message]:
        """Record the notices of events, each once, due now;
        return notifications.v1 events of those without an address.

        span: the offsets that were read (see `store.progress.fresh`).
        """
        with self.store.read() as connection:
            known = contacts_of(connection, (event["account_id"] for event, _ in events))
        written = {}  # before others wait for this writer
        for event, at in events:
            contact = known.get(event["account_id"], {})
            written[Source(*at)] = contact.get("name"), self._written(at[0], event, contact)
        self._event_time = max([self._event_time, *(int(event["timestamp"]) for event, _ in events)])
        with self.store.write() as connection:
            new = fresh(connection, Consumer.NOTIFICATION, events, span)
            known = contacts_of(connection, (event["account_id"] for event, _ in new))
            addressed = []
            for event, source in new:
                contact, (addressee, notice) = known.get(event["account_id"], {}), written[source]
                if contact.get("name") != addressee:  # it changed in between
                    notice = self._written(source.topic, event, contact)
                if notice is not None:
                    addressed.append((notice, contact))
            messages = self._recorder.record(connection, addressed, now, run_id)
            post(connection, messages)
        return messages

    def _written(self, topic: str, event: Event, contact: Contact) -> Notice | None:
        return notice_of(topic, event, self.policy, self.letterhead, contact.get("name"))

    def tell(
        self, notices: Iterable[Notice], contact: Mapping[str, object], now: int, run_id: str | None = None
    ) -> list[Message]:
        """Record notices that follow from no customer's event, each once, for one contact: `email` and
        `phone`, either may lack.
        """
        with self.store.write() as connection:
            messages = self._recorder.record(connection, [(n, contact) for n in notices], now, run_id)
            post(connection, messages)
        return messages

    def readdress(self, connection: Connection, new: Mapping[str, Mapping[str, object]]) -> None:
        """Make notices that were held for lack of an address due, of accounts that have a new contact."""
        for account_id in connection.execute(_WITHOUT_ADDRESS, {"of": list(new)}).scalars().all():
            self._readdress(connection, account_id, new[account_id])

    def _readdress(self, connection: Connection, account_id: str, contact: Mapping[str, object]) -> None:
        for channel in self.channels.values():
            address, _ = address_of(contact, channel.kind, account_id)
            if address is not None:
                column = notifications.c
                waits = (
                    (column.account_id == account_id)
                    & (column.channel == channel.name)
                    & (column.status == NoticeState.HELD)
                )
                due = {
                    "status": NoticeState.PENDING,
                    "recipient": address,
                    "error": None,
                    "next_attempt_wall": 0,
                    "recorded_wall": None,
                }
                connection.execute(update(notifications).where(waits).values(**due))

    def deliver(self, now: int, run_id: str | None = None, account_id: str | None = None) -> list[Message]:
        """Send every notification that is due (of one account, where named); return the notifications.v1
        events put into the outbox.

        Accounts are notified side by side, each in its order. A crash repeats what its batch
        had sent.
        """
        messages: list[Message] = []
        with ThreadPoolExecutor(self._senders, thread_name_prefix="notify") as senders:
            while rows := self._claim(now, account_id):
                outcomes = [
                    pair
                    for done in senders.map(lambda some: self._send_in_order(some, now), _by_account(rows))
                    for pair in done
                ]
                messages += self._kept(outcomes, now, run_id)
        return messages

    def _kept(self, outcomes: Sequence[Outcome], now: int, run_id: str | None) -> list[Message]:
        """Keep what became of the notifications sent; return the events that say it, in the outbox."""
        news: list[Message] = [
            (NOTIFICATIONS, outcome(row | result | {"run_id": run_id or row["run_id"]}))
            for row, result in outcomes
            if result["status"] != NoticeState.PENDING
        ]
        with self.store.write() as connection:
            done = [(row, result) for row, result in outcomes if not self._may_escalate(row | result, now)]
            update_many(
                connection,
                notifications,
                "notification_id",
                [{"notification_id": row["notification_id"]} | result for row, result in done],
            )
            # what a channel left may still do is asked one after the other, in the order sent
            for row, result in outcomes:
                if self._may_escalate(row | result, now):
                    same = notifications.c.notification_id == row["notification_id"]
                    connection.execute(update(notifications).where(same).values(**result))
                    news += self._recorder.escalated(connection, row | result, now, run_id)
            post(connection, news)
        return news

    def _claim(self, now: int, account_id: str | None) -> list[Claimed]:
        """Return the next due notifications, marked so that no other sender takes them for a minute."""
        one, all_of_them = _ONE_DUE, _ALL_DUE
        if account_id is not None:
            one, all_of_them = (q.where(notifications.c.account_id == account_id) for q in (one, all_of_them))
        times = {"now": now, "event_time": self._event_time, "channels": list(self.channels)}
        with self.store.read() as connection:  # mostly there is none, and no writer is waited for
            if connection.execute(one, times).first() is None:
                return []
        with self.store.write() as connection:
            rows = connection.execute(all_of_them, times).all()
            taken = notifications.c.notification_id.in_([row.notification_id for row in rows])
            claimed = {"status": NoticeState.SENDING, "next_attempt_wall": now + _CLAIM_MS}
            counted = {
                "attempts": notifications.c.attempts + 1,
                "recorded_wall": func.coalesce(notifications.c.recorded_wall, now),
            }
            connection.execute(update(notifications).where(taken).values(**claimed, **counted))
            return [_claimed(row, now) | claimed for row in rows]

    def _wait(self, attempts: int, asked: float | None) -> int:
        """Return the milliseconds before the next attempt:
        as long as the provider asked, else doubled each time.
        """
        if asked:
            return int(asked * 1000)
        doubled: int = _FIRST_WAIT_MS * 2 ** min(attempts - 1, _MOST_DOUBLINGS)
        return min(doubled, int(self.policy.notices.notice_longest_wait_minutes * MS_PER_MINUTE))

    def _may_escalate(self, row: Mapping[str, Any], now: int) -> bool:
        """Return whether a notification was given up, or is tried for so long that a person must know."""
        alarm = int(self.policy.notices.notice_alarm_minutes * MS_PER_MINUTE)
        late = row["status"] == NoticeState.PENDING and now - row["recorded_wall"] >= alarm
        return bool(late or row["status"] == NoticeState.UNDELIVERED)

    def _send_in_order(self, rows: Sequence[Claimed], now: int) -> list[Outcome]:
        return [(row, self._send(row, now)) for row in rows]

    def _send(self, row: Mapping[str, Any], now: int) -> dict[str, Any]:
        out = Outgoing(
            row["notification_id"],
            row["account_id"],
            row["recipient"],
            row["subject"],
            row["body"],
            row["html"],
        )
        try:
            receipt = self.channels[row["channel"]].send(out)
        except DeliveryRefused as refused:
            return {"status": NoticeState.UNDELIVERED, "error": str(refused)}
        # DeliveryFailed, or what no channel foresaw: one notice must not take its batch along.
        except Exception as failed:  # noqa: BLE001
            said = str(failed) if isinstance(failed, DeliveryFailed) else repr(failed)
            last = row["recorded_wall"] + int(self.policy.notices.notice_retry_hours * 60 * MS_PER_MINUTE)
            if now >= last:
                return {"status": NoticeState.UNDELIVERED, "error": f"{said} (attempt {row['attempts']})"}
            wait = self._wait(row["attempts"], getattr(failed, "retry_after", None))
            return {"status": NoticeState.PENDING, "error": said, "next_attempt_wall": min(now + wait, last)}
        return {"status": NoticeState.DELIVERED, "receipt": receipt, "error": None}


def _claimed(row: Row[Any], now: int) -> dict[str, object]:
    recorded = now if row.recorded_wall is None else row.recorded_wall
    return dict(row._mapping) | {"attempts": row.attempts + 1, "recorded_wall": recorded}


def _by_account(rows: Sequence[Claimed]) -> list[list[Claimed]]:
    """Group rows of one account together, in the order given."""
    groups: dict[str, list[Claimed]] = {}
    for row in rows:
        groups.setdefault(row["account_id"], []).append(row)
    return list(groups.values())
