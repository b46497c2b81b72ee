"""The answer to "why?": a decision's or an account's figures rebuilt from what was recorded, with every
rule's arithmetic.

Everything comes from the recorded status event; the kernel computes the number again from it, and the answer
reports whether the two agree to the cent. Rule: MARGIN_RULES 7.6, 7.7.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import Row, select

from margin_platform.contracts.events.figure_names import COMPONENTS, MAINTENANCE, PORTFOLIO_MARGIN
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.documents.book_input import BookInput
from margin_platform.documents.figures import position_requirements
from margin_platform.documents.rebuilt import rebuilt
from margin_platform.kernel.instrument_rules import volatility_rate
from margin_platform.kernel.sweep.account_rules import concentration_rate
from margin_platform.liquidation.cures import cures_of
from margin_platform.money import cents, cents_or_none
from margin_platform.policy.policy import Policy, house_policies
from margin_platform.store.store import Store
from margin_platform.store.tables import audit, calls, ladder_states, notifications, orders
from margin_platform.trading_time.new_york import local_time

_REBUILT = (*MAINTENANCE, *PORTFOLIO_MARGIN, "requirement", "total_mv", "gross_mv", "equity", "excess")
_Row = Row[Any]  # the columns of a table, by name


class NothingRecorded(LookupError):
    """The store knows no such account or call; the message names it."""


class _Recorded(NamedTuple):
    """What the store keeps of one account, each list in order of time."""

    account_id: str
    state: _Row
    calls: Sequence[_Row]
    decisions: Sequence[Json]
    orders: Sequence[_Row]
    notices: Sequence[_Row]

    def of_call(self, call_id: str) -> _Recorded:
        """Return what belongs to one call. Raise NothingRecorded where the account has no such call."""
        opened = [c for c in self.calls if c.call_id == call_id]
        if not opened:
            raise NothingRecorded(f"call: account {self.account_id} has no such call, value {call_id!r}")
        return self._replace(
            calls=opened,
            decisions=[d for d in self.decisions if d["call_id"] == call_id],
            orders=[o for o in self.orders if o.call_id == call_id],
            notices=[n for n in self.notices if n.episode == call_id],
        )


def explain(store: Store, account_id: str, call_id: str | None = None, at: int | None = None) -> Json:
    """Return everything behind one call, or behind an account.

    at (epoch milliseconds of event time): nothing recorded later is shown. The call is the newest opened by
    then, and the figures are the newest recorded by then: those a call rests on, or the account's newest.
    `status` and the call's own state are today's.
    """
    found = _recorded(store, account_id)
    known = [found.state.last_event]
    if call_id is not None:
        found, known = found.of_call(call_id), []
    until = math.inf if at is None else at
    past = [c for c in found.calls if c.opened_at <= until]
    call = past[-1] if past and (call_id is not None or at is not None) else None
    known += [c.evidence for c in past]
    figures = [event for event in known if event and event["timestamp"] <= until]
    if not figures:
        raise NothingRecorded(
            f"at: nothing of account {account_id} was recorded by then, value {local_time(at)!r}"
        )
    return {
        "account_id": account_id,
        "status": found.state.status,
        "restricted": found.state.restricted,
        "as_of": local_time(at),
        "call": _call(call),
        "decisions": [d for d in found.decisions if d["timestamp"] <= until],
        "orders": [_order(o) for o in found.orders if o.created_at <= until],
        "notifications": [_notification(n) for n in found.notices if n.created_at <= until],
        "evidence": evidence_of(max(figures, key=lambda event: int(event["timestamp"]))),
    }


def _recorded(store: Store, account_id: str) -> _Recorded:
    """Read all rows of an account. Raise NothingRecorded where it has no state."""
    state = select(ladder_states).where(ladder_states.c.account_id == account_id)
    opened = select(calls).where(calls.c.account_id == account_id)
    trail = select(audit).where(audit.c.account_id == account_id)
    sent = select(orders).where(orders.c.account_id == account_id)
    notices = select(notifications).where(notifications.c.account_id == account_id)
    with store.read() as connection:
        row = connection.execute(state).one_or_none()
        if row is None:
            raise NothingRecorded(f"account: nothing recorded, value {account_id!r}")
        return _Recorded(
            account_id,
            row,
            connection.execute(opened.order_by(calls.c.opened_at)).all(),
            [r.entry | {"number": r.number} for r in connection.execute(trail.order_by(audit.c.number))],
            connection.execute(sent.order_by(orders.c.created_at)).all(),
            connection.execute(notices.order_by(notifications.c.created_at, notifications.c.rung)).all(),
        )


def _order(row: _Row) -> dict[str, object]:
    return {"order_id": row.order_id, "status": row.status, "run_id": row.run_id, **row.event}


def _notification(row: object) -> dict[str, object]:
    """Return a notice's state, without its recipient and text."""
    kept = (
        "notification_id",
        "episode",
        "rung",
        "channel",
        "status",
        "attempts",
        "receipt",
        "error",
        "run_id",
    )
    return {name: getattr(row, name) for name in kept}


def _call(row: _Row | None) -> dict[str, object] | None:
    if row is None:
        return None
    return {
        "call_id": row.call_id,
        "status": row.status,
        "opened_at": local_time(row.opened_at),
        "due_at": local_time(row.due_at),
        "issued": row.issued,
        "outstanding": row.outstanding,
        "closed_at": local_time(row.closed_at),
        "run_id": row.run_id,
        "source": row.source,
        "calc_id": row.calc_id,
    }


def _policy_of(status: Event) -> Policy:
    version = status["policy_version"]
    found = next((p for p in house_policies() if p.version == version), None)
    if found is None:
        raise NothingRecorded(
            f"policy_version: not among the policies of MARGIN_POLICIES or of the package, value {version!r}"
        )
    return found


def evidence_of(status: Event) -> Json:
    """Return the recorded figures, the same figures computed again from the recorded inputs, and whether they
    agree to the cent.
    """
    policy = _policy_of(status)
    given, margin = rebuilt(status, policy)
    again = {name: cents_or_none(float(getattr(margin.published, name)[0])) for name in _REBUILT}
    recorded = {name: status.get(name) for name in _REBUILT}
    positions = []
    amounts = position_requirements(0, range(len(given.book.symbol)), margin)
    for k, row in enumerate(status["positions"]):
        age = (
            None
            if row.get("price_timestamp") is None
            else (status["timestamp"] - row["price_timestamp"]) / 1000
        )
        amount = cents_or_none(float(amounts[k]))
        words = _arithmetic(k, given, float(margin.gross_mv[0]), amount)
        positions.append({**row, "price_age_seconds": age, "requirement": amount, "arithmetic": words})
    different = {n: [recorded[n], again[n]] for n in _REBUILT if recorded[n] != again[n]}
    return {
        "timestamp": status["timestamp"],
        "at": local_time(status["timestamp"]),
        "calc_id": status["calc_id"],
        "band": status["band"],
        "policy_version": policy.version,
        "inputs": status["inputs"],
        "cash": status["cash"],
        "margin_type": status["margin_type"],
        "held": status.get("held"),
        "recorded": recorded,
        "recomputed": again,
        "matches": not different,
        "different": different,
        "arithmetic": _account_arithmetic(again, status),
        "positions": positions,
        "stress": status["stress"],
        "cures": [cure.to_dict() for cure in cures_of(status, policy)],
    }


def _arithmetic(k: int, given: BookInput, gross: float, requirement: float | None) -> str:
    """Describe a position's requirement in words: its value times its rate, and the add-ons in it as the
    kernel's own rules give them.
    """
    quantity, price = given.book.quantity[k], given.market.price[given.book.symbol[k]]
    if math.isnan(price) or requirement is None:
        return "no price: cannot be valued"
    value = abs(quantity * price)
    rate = requirement / value if value else 0.0
    notes = _notes(k, given, gross)
    text = f"{quantity:,g} x {price:,.4f} = {cents(value):,.2f}, at {rate:.2%} = {requirement:,.2f}"
    return text + (f" ({'; '.join(notes)})" if notes else "")


def _notes(k: int, given: BookInput, gross: float) -> list[str]:
    """Describe the add-ons of a position: what its issuer weighs in the account, and its volatility's
    tier."""
    market, codes, conc = given.market, given.book.symbol, given.policy.concentration
    values = np.abs(given.book.quantity * market.price[codes])
    held = float(values[market.issuer[codes] == market.issuer[codes[k]]].sum())
    heavy = (
        concentration_rate(held, gross, conc.conc_threshold, conc.conc_addon, conc.ramp)
        if conc.use_conc
        else 0.0
    )
    volatile = float(volatility_rate(market, given.policy)[codes[k]])
    sigma = float(market.sigma[codes[k]])
    notes = [f"{held / gross:.1%} of gross is over {conc.conc_threshold:.0%}: +{heavy:.0%}"] if heavy else []
    if volatile:
        known = given.policy.volatility.default_sigma if math.isnan(sigma) else sigma
        notes.append(f"volatility {known:.1%}: +{volatile:.0%}")
    return notes


def _account_arithmetic(again: dict[str, float | None], status: Event) -> list[str]:
    parts = " + ".join(f"{name.replace('_', ' ')} {again[name]:,.2f}" for name in COMPONENTS if again[name])
    lines = [f"maintenance: {parts} = {_money(again['maintenance_req'])}"]
    lines.append(
        f"equity: cash {_money(status['cash'])} + net market value {_money(again['total_mv'])} = "
        f"{_money(again['equity'])}"
    )
    # events kept from before the field have no method
    method = status.get("applied_method") or status["margin_type"]
    lines.append(f"applied requirement ({method}): {_money(again['requirement'])}")
    lines.append(
        f"excess: {_money(again['equity'])} - {_money(again['requirement'])} = {_money(again['excess'])}"
    )
    return lines


def _money(amount: float | None) -> str:
    return "unknown" if amount is None else f"{amount:,.2f}"
