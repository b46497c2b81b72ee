"""Increases of a margin call: one digest a session, and at once where the kind of the call changes.

A call may grow with every price of a falling market. Its customer hears of the newest amount 15 minutes after
the close, in one notice for all the increases of the session. A notice that follows it in the same call (met,
past due, withdrawn, reduced, another kind) goes out at once and takes the place of a digest that still waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, select, update

from margin_platform.contracts.events.vocabulary import CallAction
from margin_platform.contracts.messages import MARGIN_CALLS
from margin_platform.notification.message import Notice
from margin_platform.notification.states import NoticeState
from margin_platform.store.tables import notifications
from margin_platform.store.unit_of_work import groups
from margin_platform.trading_time.new_york import date_of
from margin_platform.trading_time.sessions import business_day_after, close_ms, is_session

_AFTER_CLOSE_MS = 15 * 60_000  # the closing prices are in, and the mail room still works
_UNSENT = (NoticeState.PENDING, NoticeState.HELD, NoticeState.SUPERSEDED)
_REWRITTEN = (
    "subject",
    "body",
    "html",
    "created_at",
    "run_id",
    "status",
    "error",
    "call_kind",
    "next_attempt_wall",
)
Episode = tuple[str, str]  # account id, and the call
Row = dict[str, object]


def digest_at(timestamp: int) -> int:
    """Return the event time at which the digest goes out that an increase of this event time is part of."""
    day = date_of(timestamp)
    if is_session(day) and timestamp <= close_ms(day) + _AFTER_CLOSE_MS:
        return close_ms(day) + _AFTER_CLOSE_MS
    return close_ms(business_day_after(day, 1)) + _AFTER_CLOSE_MS


def digest(notice: Notice, at: int) -> Notice:
    """Return the notice of an increase as the digest of its session."""
    return replace(notice, rung=f"{MARGIN_CALLS}:{CallAction.AMENDED}:digest:{at}")


class Increases:
    """What the store knows of the calls that some notices are about: the kind that each customer last
    heard of, and the digests that wait or have gone out.
    """

    def __init__(self, connection: Connection, notices: Iterable[Notice]) -> None:
        self._kinds: dict[Episode, str] = {}
        self._unsent: dict[Episode, set[int]] = {}
        self._sent: set[tuple[Episode, int]] = set()
        self._connection = connection
        amends = [n for n in notices if n.amends]
        for some in groups(list(dict.fromkeys(n.episode for n in amends))):
            self._look_up(some)

    def _look_up(self, episodes: Sequence[str]) -> None:
        column = notifications.c
        query = select(
            column.account_id,
            column.episode,
            column.call_kind,
            column.digest_at,
            column.status,
            column.attempts,
        ).where(column.episode.in_(episodes), column.rung.startswith(f"{MARGIN_CALLS}:"))
        for account, episode, kind, at, status, attempts in self._connection.execute(
            query.order_by(column.created_at)
        ):
            key = account, episode
            if at is not None and not attempts and status in _UNSENT:
                self._unsent.setdefault(key, set()).add(at)
                continue
            if kind:
                self._kinds[key] = kind
            if at is not None:
                self._sent.add((key, at))

    def waits_until(self, notice: Notice) -> int | None:
        """Return the event time of the digest that a notice is part of; None where it goes out at once."""
        key = notice.account_id, notice.episode
        known = self._kinds.get(key)
        if notice.call_kind:
            self._kinds[key] = notice.call_kind
        if not notice.increases or known != notice.call_kind:
            return None
        at = digest_at(notice.timestamp)
        return None if (key, at) in self._sent else at

    def rewritten(self, notice: Notice, at: int, rows: Mapping[str, Row]) -> bool:
        """Write the newest text into the digest where the store holds it unsent; return whether it does."""
        key = notice.account_id, notice.episode
        if at not in self._unsent.get(key, ()):
            return False
        for notification_id, row in rows.items():
            newest = {name: row[name] for name in _REWRITTEN} | {"recorded_wall": None}
            same = notifications.c.notification_id == notification_id
            self._connection.execute(update(notifications).where(same).values(**newest))
        return True

    def superseded(self, notice: Notice, now: int) -> bool:
        """Close the digests that wait in the call of a notice that goes out at once; return whether it is one
        that closes them.
        """
        key = notice.account_id, notice.episode
        if not notice.amends:
            return False
        if self._unsent.pop(key, None):
            column = notifications.c
            waiting = (
                (column.account_id == key[0]) & (column.episode == key[1]) & column.digest_at.is_not(None)
            )
            waiting &= column.status.in_(_UNSENT) & (column.attempts == 0)  # one superseded before stays so
            self._connection.execute(
                update(notifications)
                .where(waiting)
                .values(status=NoticeState.SUPERSEDED, recorded_wall=now, next_attempt_wall=None)
            )
        return True
