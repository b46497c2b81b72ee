"""Rows that have done their work: deleted a bounded part at a time, so that no decision waits for it.

A message that was sent is on its topic, and what it follows from lies behind its consumer's progress: it is
not made again. A notice that reached its customer is kept as long as the policy keeps records, six years or
more where SEC 17a-4(b)(4) asks for three, and for good under legal hold.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, and_, delete, exists, func, select

from margin_platform.recordkeeping.retention import kept_since, under_hold
from margin_platform.store.outbox import oldest_unsent
from margin_platform.store.store import Store
from margin_platform.store.tables import notifications, outbox

SENT_KEPT = 100_000  # newest messages: a repeated run still finds the ids of its own
_ENDED = (
    "DELIVERED",
    "REACHED",
    "SUPERSEDED",
)  # as in notification/states.py; of the others a person has to act
_AT_ONCE = 5_000


def trim(store: Store, now_ms: int, years: int) -> dict[str, int]:
    """Delete what is no longer needed; return how many rows of each table.

    now_ms: wall clock, epoch milliseconds; years: how long the policy keeps records.
    """
    notices = _trim_notices(store, kept_since(years, now_ms))
    return {"outbox": _trim_outbox(store), "notifications": notices}


def _trim_outbox(store: Store) -> int:
    """Trim only behind the oldest message that is not sent: the order of those before it is settled."""
    with store.read() as connection:
        newest = connection.execute(select(func.max(outbox.c.seq))).scalar()
    if newest is None:
        return 0
    first_kept = min(newest - SENT_KEPT + 1, oldest_unsent(store) or newest)
    return _delete(store, outbox, outbox.c.seq, and_(outbox.c.sent.is_(True), outbox.c.seq < first_kept))


def _trim_notices(store: Store, before_ms: int) -> int:
    """Trim a notice that reached its customer on one channel, with its other channels: alone they would look
    unreached.

    A notice without a time of its own comes from an older store and is kept. So is one of an account
    under legal hold.
    """
    row, other = notifications.c, notifications.alias().c
    same = and_(*(row[name] == other[name] for name in ("account_id", "episode", "rung")))
    reached = exists().where(same, other.status.in_(_ENDED), other.recorded_wall < before_ms)
    which = and_(row.recorded_wall < before_ms, reached, ~under_hold(row.account_id))
    return _delete(store, notifications, row.notification_id, which)


def _delete(store: Store, table: Table, key: ColumnElement[object], which: ColumnElement[bool]) -> int:
    total = 0
    while True:
        with store.write() as connection:
            some = select(key).where(which).order_by(key).limit(_AT_ONCE).scalar_subquery()
            count = connection.execute(delete(table).where(key.in_(some))).rowcount
        total += count
        if count < _AT_ONCE:
            return total
