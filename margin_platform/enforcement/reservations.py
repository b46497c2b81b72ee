"""Reservations: shares that a close-only account was allowed to trade and that are not known to be traded
yet.

Kept in the store and changed in the write transaction of a verdict. A reservation is used up as the position
shrinks, ends after the policy's time, or is given back.
"""

from __future__ import annotations

import uuid
from typing import NamedTuple, Protocol

from sqlalchemy import Connection, delete, insert, select, update

from margin_platform.store.tables import reservations

_NOTHING = 1e-6  # shares


class Asked(Protocol):
    """What is set aside for: signed shares of a symbol, buys positive."""

    @property
    def account_id(self) -> str: ...
    @property
    def symbol(self) -> str: ...
    @property
    def quantity(self) -> float: ...
    @property
    def order_id(self) -> str | None: ...


class Look(NamedTuple):
    """What is known of an account's symbol now:
    its signed position, and the shares its liquidation orders have traded in all.
    """

    account_id: str
    symbol: str
    position: float
    liquidated: float
    now: int


class Reservation(NamedTuple):
    """quantity, left: signed shares of the order, and of it not traded yet. position,
    liquidated: as of the last look.
    """

    reservation_id: str
    account_id: str
    symbol: str
    order_id: str | None
    quantity: float
    left: float
    position: float
    liquidated: float
    created_wall: int
    expires_wall: int


def current(connection: Connection, look: Look) -> list[Reservation]:
    """Bring an account's reservations in a symbol up to now; return those that are not used up.

    What the position has shrunk by since the last look, and no liquidation order traded, is taken to be fills
    of the oldest reservations.
    """
    connection.execute(delete(reservations).where(reservations.c.expires_wall <= look.now))
    mine = [reservations.c.account_id == look.account_id, reservations.c.symbol == look.symbol]
    order = (reservations.c.created_wall, reservations.c.reservation_id)
    rows = [
        Reservation(*row) for row in connection.execute(select(reservations).where(*mine).order_by(*order))
    ]
    if not rows:
        return []
    traded = _traded(rows[0], look)
    for number, row in enumerate(rows):
        used = min(traded, abs(row.left))
        traded -= used
        left = row.left - used if row.left > 0 else row.left + used
        rows[number] = row._replace(left=left, position=look.position, liquidated=look.liquidated)
        _store(connection, rows[number])
    return [row for row in rows if abs(row.left) > _NOTHING]


def take(connection: Connection, order: Asked, look: Look, until: int) -> Reservation:
    """Reserve the shares of an allowed order."""
    row = Reservation(
        uuid.uuid4().hex,
        order.account_id,
        order.symbol,
        order.order_id,
        order.quantity,
        order.quantity,
        look.position,
        look.liquidated,
        look.now,
        until,
    )
    connection.execute(insert(reservations).values(row._asdict()))
    return row


def release(connection: Connection, account_id: str, reservation_id: str) -> bool:
    """Delete a reservation of an account; return whether there was one."""
    column = reservations.c
    same = (column.reservation_id == reservation_id) & (column.account_id == account_id)
    return connection.execute(delete(reservations).where(same)).rowcount > 0


def _traded(before: Reservation, look: Look) -> float:
    """Return the shares by which the position shrank since the last look and that no liquidation order
    traded."""
    now = abs(look.position) if before.position * look.position > 0 else 0.0
    return max(0.0, abs(before.position) - now - max(0.0, look.liquidated - before.liquidated))


def _store(connection: Connection, row: Reservation) -> None:
    same = reservations.c.reservation_id == row.reservation_id
    if abs(row.left) > _NOTHING:
        changed = {"left": row.left, "position": row.position, "liquidated": row.liquidated}
        connection.execute(update(reservations).where(same).values(changed))
    else:
        connection.execute(delete(reservations).where(same))
