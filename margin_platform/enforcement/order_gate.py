"""The order gate: whether an order may be sent, asked before it is.

An account that is close-only may reduce, and no more.

`allow` is the rule. `Gate` judges by it on the restriction and the positions that the store holds, and
reserves what it allows a close-only account, so that two orders that each sell everything cannot both pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from sqlalchemy import Connection, select

from margin_platform.contracts.events.field_types import FINEST_SHARE
from margin_platform.contracts.events.vocabulary import Side
from margin_platform.contracts.messages import Event
from margin_platform.enforcement import reservations
from margin_platform.enforcement.open_orders import OrderState, fills_of, unfilled
from margin_platform.enforcement.reservations import Reservation
from margin_platform.policy.sections import GatePolicy
from margin_platform.store.store import Store
from margin_platform.store.tables import contacts, ladder_states, orders
from margin_platform.trading_time.sessions import trading_seconds_between

NOT_RESTRICTED, UNKNOWN_ACCOUNT = "NOT_RESTRICTED", "UNKNOWN_ACCOUNT"
REDUCES, OPENS, CROSSES_ZERO = "CLOSE_ONLY_REDUCES", "CLOSE_ONLY_OPENS", "CLOSE_ONLY_THROUGH_ZERO"
UNKNOWN_POSITIONS, ID_IN_USE = "CLOSE_ONLY_POSITIONS_UNKNOWN", "ORDER_ID_IN_USE"
_MS_PER_MINUTE = 60_000


class Order(NamedTuple):
    """What is asked about: signed shares, buys positive.

    order_id: the sender's own, so that a repeated question is one order.
    """

    account_id: str
    symbol: str
    quantity: float
    order_id: str | None = None


@dataclass(frozen=True)
class Verdict:
    """The answer: whether the order may be sent, by which rule, and why in words.

    as_of: event time of the account's figures that it rests on, None where there are none; old: they are
    older than the policy's bound; reservation_id, reserved_until: what was set aside for the order, and until
    when (wall clock, epoch milliseconds).
    """

    allow: bool
    rule: str
    reason: str
    as_of: int | None = None
    old: bool = False
    reservation_id: str | None = None
    reserved_until: int | None = None

    def as_dict(self) -> dict[str, object]:
        """Return the answer as it is sent."""
        return asdict(self)


def allow(*, restricted: bool, position: float, quantity: float, working: float = 0.0) -> Verdict:
    """Decide whether an order for signed shares (buys positive) may be sent by an account with this signed
    position in the symbol.

    working: signed shares of its orders in the symbol not traded yet, which may all fill; those that close
    leave less to close. A close-only account may sell a long or cover a short to flat, not through it
    (MARGIN_RULES 1.3, case D10).
    """
    if not restricted:
        return Verdict(True, NOT_RESTRICTED, "the account is not restricted")
    closing = min(abs(position), abs(working)) if position * working < 0 else 0.0
    open_shares = abs(position) - closing
    if position * quantity >= 0:
        held = "long" if position > 0 else "short" if position < 0 else "flat"
        reason = (
            f"the account is close-only and {held}: {quantity:+,.6g} shares would open or add to a position"
        )
        return Verdict(False, OPENS, reason)
    if abs(quantity) > open_shares + FINEST_SHARE / 2:
        pending = f", {closing:,.6g} of them in working orders" if closing else ""
        reason = (
            f"the account is close-only: {quantity:+,.6g} shares would go through zero, "
            f"{abs(position):,.6g} are held{pending}"
        )
        return Verdict(False, CROSSES_ZERO, reason)
    return Verdict(
        True,
        REDUCES,
        f"the order reduces a position of {position:+,.6g} shares to {position + quantity:+,.6g}",
    )


class Standing(NamedTuple):
    """An account in the store: whether it is close-only, and its newest margin.status.v1 event."""

    restricted: bool
    event: Event | None


class StoredOrder(NamedTuple):
    """A liquidation order in the store."""

    event: Event
    status: str


class Gate:
    """Judges orders over a store.

    clock: event time now, against which figures are old; now: wall clock, by which reservations end; both
    epoch milliseconds. known: whether an account exists that the store has not heard of, such as one of the
    book that never needed attention.
    """

    def __init__(
        self,
        store: Store,
        policy: GatePolicy,
        clock: Callable[[], int],
        now: Callable[[], int],
        known: Callable[[str], bool],
    ) -> None:
        self.store = store
        self.policy = policy
        self._clock, self._now, self._known = clock, now, known

    def judge(self, order: Order) -> Verdict:
        """Return the verdict on an order.

        What it allows a close-only account is reserved in the same transaction.
        """
        with self.store.read() as connection:
            row = _account(connection, order.account_id)
            in_contacts = row is None and _has_contact(connection, order.account_id)
        if row is None and not in_contacts and not self._known(order.account_id):
            return Verdict(
                False, UNKNOWN_ACCOUNT, f"no account has exactly this id, value {order.account_id!r}"
            )
        if row is None or not row.restricted:
            return self._dated(
                allow(restricted=False, position=0.0, quantity=order.quantity), row and row.event
            )
        # alone among writers: two orders cannot both be given the same shares
        with self.store.write() as connection:
            row = _account(connection, order.account_id) or row
            verdict = self._judge_restricted(connection, order, row.event or {})
        return self._dated(verdict, row.event)

    def release(self, account_id: str, reservation_id: str) -> bool:
        """Give back what is left of a reservation: its order was canceled or rejected.

        False where there is none.
        """
        with self.store.write() as connection:
            return reservations.release(connection, account_id, reservation_id)

    def _judge_restricted(self, connection: Connection, order: Order, event: Event) -> Verdict:
        positions = event.get("positions")
        if positions is None:
            return Verdict(
                False, UNKNOWN_POSITIONS, "the account is close-only and its positions are not known here"
            )
        held = sum(float(p["qty"]) for p in positions if p["symbol"] == order.symbol)
        rows = _liquidation_orders(connection, order.account_id)
        done = sum(abs(fills_of(row.event, event).get(order.symbol, 0.0)) for row in rows)
        look = reservations.Look(order.account_id, order.symbol, held, done, self._now())
        mine = reservations.current(connection, look)
        if (same := _asked_before(mine, order)) is not None:
            return same
        working = sum(
            _unfilled(row.event, event, order.symbol) for row in rows if row.status == OrderState.SENT
        )
        working += sum(r.left for r in mine)
        verdict = allow(restricted=True, position=held, quantity=order.quantity, working=working)
        if not verdict.allow:
            return verdict
        until = self._now() + int(self.policy.gate_reservation_minutes * _MS_PER_MINUTE)
        return _reserved(verdict, reservations.take(connection, order, look, until))

    def _dated(self, verdict: Verdict, event: Event | None) -> Verdict:
        """Return the verdict with the time of the figures it rests on, and a warning where they are old."""
        as_of = (event or {}).get("timestamp")
        if as_of is None:
            return verdict
        age = trading_seconds_between(as_of, self._clock())
        if age <= self.policy.gate_figures_seconds:
            return replace(verdict, as_of=as_of)
        remark = (
            f"; it rests on figures {age:,.0f} s of trading old, the bound is "
            f"{self.policy.gate_figures_seconds:,.0f} s"
        )
        return replace(verdict, as_of=as_of, old=True, reason=verdict.reason + remark)


def _reserved(verdict: Verdict, reservation: Reservation) -> Verdict:
    return replace(
        verdict, reservation_id=reservation.reservation_id, reserved_until=reservation.expires_wall
    )


def _asked_before(mine: list[Reservation], order: Order) -> Verdict | None:
    """Return the answer to an order id that has a reservation: the same for the same order, a refusal for
    another.
    """
    known = next((r for r in mine if order.order_id is not None and r.order_id == order.order_id), None)
    if known is None:
        return None
    if abs(known.quantity - order.quantity) > FINEST_SHARE / 2:
        reason = f"order_id stands for an order of {known.quantity:+,.6g} shares, value {order.order_id!r}"
        return Verdict(False, ID_IN_USE, reason)
    return _reserved(
        Verdict(True, REDUCES, "the order was allowed before, and its shares are reserved"), known
    )


def _account(connection: Connection, account_id: str) -> Standing | None:
    columns = ladder_states.c
    row = connection.execute(
        select(columns.restricted, columns.last_event).where(columns.account_id == account_id)
    ).one_or_none()
    return None if row is None else Standing(*row)


def _has_contact(connection: Connection, account_id: str) -> bool:
    return (
        connection.execute(select(contacts.c.account_id).where(contacts.c.account_id == account_id)).first()
        is not None
    )


def _unfilled(order: Event, status: Event, symbol: str) -> float:
    """Return the signed shares that a liquidation order has still to trade in a symbol."""
    legs = unfilled(order, status["positions"], fills_of(order, status))
    return float(
        sum(
            -leg["qty"] if leg["side"] == Side.SELL else leg["qty"] for leg in legs if leg["symbol"] == symbol
        )
    )


def _liquidation_orders(connection: Connection, account_id: str) -> list[StoredOrder]:
    query = select(orders.c.event, orders.c.status).where(orders.c.account_id == account_id)
    return [StoredOrder(*row) for row in connection.execute(query)]
