"""Corporate actions: how positions come about from fills and actions (MARGIN_RULES 1.2, 1.4)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

from margin_platform.contracts.action_terms import (
    ENDS,
    INTO_ANOTHER,
    RESHAPES,
    WITH_AMOUNT,
    WITH_RATIO,
    ActionKind,
    as_written,
    ratio_of,
)
from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.ledger.fill_log import Timeline
from margin_platform.ledger.micros import MICRO, MOST, to_micros
from margin_platform.money import cents
from margin_platform.trading_time.new_york import NEW_YORK

_RANK: dict[str, int] = {kind: rank for rank, kind in enumerate(ActionKind)}


@dataclass(frozen=True)
class CorporateAction:
    """One action in effect. effective: epoch milliseconds of midnight New York on the ex-date.

    ratio: new shares for old ones; amount: dollars a share held; post_price: what a fraction of a share is
    paid with, in dollars a share; into: the symbol of the new shares, where it is another one.
    """

    effective: int
    action_id: str
    symbol: str
    kind: str
    ratio: Fraction = Fraction(1)
    amount: float = 0.0
    post_price: float | None = None
    into: str | None = None

    @staticmethod
    def of(event: Event) -> CorporateAction:
        """Return the action of a checked corporate_actions.v1 event."""
        kind = event["kind"]
        ratio = ratio_of(event) if kind in WITH_RATIO else Fraction(1)
        amount = float(event.get("amount") or 0.0) if kind in WITH_AMOUNT else 0.0
        post_price = event.get("post_price") if kind in WITH_RATIO else None
        into = event["new_symbol"] if kind in INTO_ANOTHER else None
        return CorporateAction(
            effective_time(event), event["action_id"], event["symbol"], kind, ratio, amount, post_price, into
        )

    def order(self) -> tuple[object, ...]:
        """Return its place among others: by day, then kind, and of splits the reverse ones first;
        never by name alone.
        """
        return (
            self.effective,
            _RANK[self.kind],
            self.ratio,
            self.amount,
            self.into or "",
            self.symbol,
            self.action_id,
        )

    def terms(self) -> tuple[object, ...]:
        """Return what two announcements of one action must agree in."""
        return (self.kind, self.symbol, self.effective, self.ratio, self.amount, self.post_price, self.into)

    def row(self) -> list[object]:
        """Return it as JSON; `of_row` reads it."""
        ratio = [self.ratio.numerator, self.ratio.denominator]
        return [
            self.effective,
            self.action_id,
            self.symbol,
            self.kind,
            ratio,
            self.amount,
            self.post_price,
            self.into,
        ]

    @staticmethod
    def of_row(row: list[Any], symbol: str) -> CorporateAction:
        """Return the action of a saved row; rows of before 0.2 are [effective, id, kind, figure,
        post_price].
        """
        if len(row) == 5:
            effective, action_id, kind, figure, post_price = row
            ratio = Fraction(*as_written(figure)) if kind == ActionKind.SPLIT else Fraction(1)
            return CorporateAction(
                effective,
                action_id,
                symbol,
                kind,
                ratio,
                0.0 if kind == ActionKind.SPLIT else figure,
                post_price,
            )
        effective, action_id, of, kind, (new, old), amount, post_price, into = row
        return CorporateAction(effective, action_id, of, kind, Fraction(new, old), amount, post_price, into)


def effective_time(action: Event) -> int:
    """Return epoch milliseconds from which a corporate action counts: midnight in New York on its ex-date."""
    midnight = dt.datetime.combine(dt.date.fromisoformat(action["ex_date"]), dt.time(0), NEW_YORK)
    return int(midnight.timestamp() * 1000)


def share_basis(actions: Iterable[CorporateAction]) -> str | None:
    """Return a name for what a share is after these actions; None where nothing changed it."""
    reshaping = [a.terms() for a in actions if a.kind in RESHAPES]
    return deterministic_id(*reshaping) if reshaping else None


def fold(fills: Mapping[str, Timeline], actions: Iterable[CorporateAction]) -> tuple[dict[str, int], int]:
    """Return micro-shares by symbol, and micro-dollars, that an account's positions have come to.

    fills: by symbol, in event-time order; actions: of these symbols, in their order. An entitlement is
    accrued on the ex-date and a short pays it; a split keeps value, and where its post-split price is given
    the fraction left over is paid in cash (MARGIN_RULES 1.2, 1.4). OverflowError beyond what a ledger holds.
    """
    held = dict.fromkeys(fills, 0)
    at, cash = dict.fromkeys(fills, 0), 0
    for (effective, kind), group in groupby(actions, key=lambda a: (a.effective, a.kind)):
        for symbol, timeline in fills.items():
            while at[symbol] < len(timeline) and timeline[at[symbol]][0] < effective:
                held[symbol] += timeline[at[symbol]][1]
                at[symbol] += 1
        if kind == ActionKind.SYMBOL_CHANGE:
            _rename(held, group)
        else:
            cash += sum(_book(held, action) for action in group)
    for symbol, timeline in fills.items():
        held[symbol] += sum(shares for _, shares in timeline[at[symbol] :])
    return held, cash


def _rename(held: dict[str, int], changes: Iterable[CorporateAction]) -> None:
    """Move positions to their new symbols, all of a day at once.

    A symbol that one company gives up and another takes in the same night joins no two positions.
    """
    moved = []
    for change in changes:
        moved.append((change.into or change.symbol, held.get(change.symbol, 0)))
        held[change.symbol] = 0
    for symbol, shares in moved:
        held[symbol] = held.get(symbol, 0) + shares


def _book(held: dict[str, int], action: CorporateAction) -> int:
    """Change positions by one action; return the micro-dollars it pays."""
    shares = held.get(action.symbol, 0)
    cash = to_micros(cents(shares / MICRO * action.amount)) if action.amount else 0
    if action.kind in ENDS:
        held[action.symbol] = 0
    if action.into is None and action.kind != ActionKind.SPLIT:
        return cash
    new, paid = _exchanged(shares, action)
    target = action.into or action.symbol
    held[target] = new if action.kind == ActionKind.SPLIT else held.get(target, 0) + new
    return cash + paid


def _exchanged(shares: int, action: CorporateAction) -> tuple[int, int]:
    """Return the new micro-shares for these, and the micro-dollars paid for a fraction of one."""
    scaled = abs(shares) * action.ratio.numerator * 2 + action.ratio.denominator
    new = scaled // (2 * action.ratio.denominator) * (1 if shares >= 0 else -1)  # half away from zero
    if abs(new) > MOST * MICRO:
        raise OverflowError(f"more than a ledger holds, value {new / MICRO!r}")
    if action.post_price is None:
        return new, 0
    whole = abs(new) // MICRO * MICRO * (1 if new >= 0 else -1)
    return whole, to_micros(cents((new - whole) / MICRO * action.post_price))


def linked_symbols(actions: Mapping[str, list[CorporateAction]]) -> dict[str, tuple[str, ...]]:
    """Return, for every symbol of these actions, the symbols that share a fold with it."""
    of: dict[str, set[str]] = {}
    for symbol, rows in actions.items():
        joined = {symbol}.union(
            *(of.get(name, {name}) for name in [symbol, *(a.into for a in rows if a.into)])
        )
        for name in joined:
            of[name] = joined
    return {name: tuple(sorted(group)) for name, group in of.items()}
