"""Repair of a price history: how a run goes on in spite of flaws, where the policy allows it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from margin_platform.backtest.history.bar_files import unheard
from margin_platform.backtest.history.flaws import DECIDED_BY, NO_TIME, Flaw, HistoryError
from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.contracts.action_terms import ENDS, ActionKind
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.market.price_basis import adjustments_of, on_basis, spin_offs_of
from margin_platform.market.split_shape import LEAST_SHAPE, split_terms
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import NEW_YORK, date_of
from margin_platform.trading_time.sessions import sessions_between, why_closed

NEVER = 1 << 62
_HAIR = 1e-9


def settle(
    history: PriceHistory,
    found: Iterable[Flaw],
    policy: Policy,
    held: Iterable[str],
    actions: Sequence[CorporateAction] = (),
) -> PriceHistory:
    """Return the history a run may use: held symbols and sessions only, flaws named, each gone on from only
    as the policy sets.

    A jump that corporate actions explain is no flaw, nor is a missing price of a symbol that has ended or not
    begun. HistoryError lists every flaw whose policy key says refuse.
    """
    rules = policy.backtest
    wanted = list(dict.fromkeys(held))
    within = (int(history.times[0]), int(history.times[-1])) if len(history) else (0, 0)
    flaws = [f for f in found if f.column in wanted or f.column not in history.symbols]
    flaws = [f for f in flaws if f.time == NO_TIME or within[0] <= f.time <= within[1]]
    closed = closed_days(history)
    history = history.cut(np.array([day not in closed for day in history.dates()], dtype=np.bool_))
    flaws = [f for f in flaws if f.time == NO_TIME or date_of(f.time) not in closed]
    flaws += [*closed.values(), *missing_dates(history)]
    flaws += [_no_history(s, history) for s in wanted if s not in history.symbols]
    flaws = _without_trading(history, flaws, actions)
    jumps = split_shapes(history, policy, set(wanted), actions)
    flaws += [flaw for flaw, _, _, _ in jumps]
    refused = [f for f in flaws if f.kind not in DECIDED_BY or getattr(rules, DECIDED_BY[f.kind]) == "refuse"]
    if refused:
        raise HistoryError(_in_one_line(history, refused))
    prices = history.prices
    if rules.on_split_shape == "adjust":
        prices = prices.copy()
        for _, bar, column, ratio in jumps:
            prices[:bar, column] *= ratio  # 1 where no ratio explains the jump: it was a real move
    basis = (
        np.array([_basis(history, symbol, actions) for symbol in history.symbols])
        .reshape(prices.shape[::-1])
        .T
    )
    # across a split on the shares of after it
    carried = pd.DataFrame(prices * basis).ffill().to_numpy(np.float64) / basis
    stale = np.isnan(prices)
    return dataclasses.replace(history, prices=carried, stale=stale, flaws=tuple(flaws))


def _no_history(symbol: str, history: PriceHistory) -> Flaw:
    reason = f"symbol of the book has no price in the file ({unheard(symbol, history.symbols)})"
    return Flaw("no_history", "-", symbol, symbol, reason)


def closed_days(history: PriceHistory) -> dict[dt.date, Flaw]:
    """Return the dates with bars on which the exchange does not open,
    each with a flaw that names its first row and why.
    """
    days = history.dates()
    open_days = set(sessions_between(days[0], days[-1])) if days else set()
    found: dict[dt.date, Flaw] = {}
    for day, row, time in zip(days, history.rows.tolist(), history.times.tolist(), strict=True):
        if day not in open_days and day not in found:
            reason = f"no session of the exchange: {why_closed(day)}"
            found[day] = Flaw("no_session", f"row {row}", "timestamp", day.isoformat(), reason, time)
    return found


def missing_dates(history: PriceHistory) -> list[Flaw]:
    """List sessions of the exchange calendar between the first and the last bar that have no bar."""
    days = history.dates()
    if not days:
        return []
    row_of = {day: int(row) for day, row in zip(days, history.rows, strict=True)}
    flaws = []
    before = int(history.rows[0])
    for session in sessions_between(days[0], days[-1]):
        if session in row_of:
            before = row_of[session]
        else:
            flaws.append(
                Flaw(
                    "missing_date",
                    f"after row {before}",
                    "timestamp",
                    session.isoformat(),
                    "a session without a row",
                )
            )
    return flaws


def split_shapes(
    history: PriceHistory, policy: Policy, held: set[str], actions: Sequence[CorporateAction]
) -> list[tuple[Flaw, int, int, float]]:
    """Find moves from one good price to the next that no action explains, beyond `max_jump` or in the shape
    of a split: (flaw, bar, column, ratio of prices). The price gate holds the same.

    Most look like an unadjusted split or a change of unit; the ratio of others is 1. An action of another
    ratio explains nothing.
    """
    rules = policy.prices
    days = history.dates()
    found = []
    for column, symbol in enumerate(history.symbols):
        if symbol not in held:
            continue
        own = [action for action in actions if action.symbol == symbol]
        expected, spun_off = _expected(history, history.prices[:, column], own)
        with np.errstate(invalid="ignore", divide="ignore"):
            move = history.prices[1:, column] / expected
            large = (np.abs(move - 1.0) > rules.max_jump + _HAIR) | shaped(move, rules.split_tolerance)
            large &= ~(spun_off & (move < 1.0))
        for bar in (np.flatnonzero(large) + 1).tolist():
            price = float(history.prices[bar, column])
            terms = split_terms(1.0, float(move[bar - 1]), rules.split_tolerance)
            if terms is not None:
                new, old = terms
                name = f"{old}/{new}" if new > 1 else f"{old}"
                kind, reason = "split_shape", f"{days[bar]}: {name} of the price before, shaped like a split"
            else:
                new = old = 1
                kind, reason = (
                    "jump",
                    (
                        f"{days[bar]}: {move[bar - 1] - 1.0:+.1%} from the price before, beyond max_jump "
                        f"{rules.max_jump:g}"
                    ),
                )
            found.append(
                (
                    Flaw(kind, f"row {history.rows[bar]}", symbol, price, reason, int(history.times[bar])),
                    bar,
                    column,
                    old / new,
                )
            )
    return found


def shaped(move: np.ndarray, tolerance: float) -> np.ndarray:
    """Return where a move, price over price, has the shape of a split; unknown ones (NaN) have none."""
    found = (move >= LEAST_SHAPE) | (move <= 1.0 / LEAST_SHAPE)
    found[found] = [split_terms(1.0, float(each), tolerance) is not None for each in move[found]]
    return found


def _expected(
    history: PriceHistory, prices: np.ndarray, actions: Sequence[CorporateAction]
) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each bar but the first, the last price before it on the bar's own basis, and whether a
    spin-off since explains any fall.
    """
    before = pd.Series(prices).ffill().to_numpy(np.float64)[:-1].copy()
    priced = pd.Series(np.where(np.isnan(prices), np.nan, history.times)).ffill().to_numpy()[:-1]
    adjustments, spin_offs = adjustments_of(actions), spin_offs_of(actions)
    spun_off = np.zeros(len(before), dtype=np.bool_)
    for bar, until in enumerate(history.times[1:].tolist() if actions else ()):
        before[bar] = on_basis(before[bar], priced[bar], adjustments, until)
        spun_off[bar] = any(priced[bar] < at <= until for at in spin_offs)
    return before, spun_off


def _basis(history: PriceHistory, symbol: str, actions: Sequence[CorporateAction]) -> np.ndarray:
    """Return the shares that one share of the beginning has become, by bar."""
    basis = np.ones(len(history))
    for action in actions:
        if action.kind == ActionKind.SPLIT and action.symbol == symbol:
            basis[history.times >= action.effective] *= float(action.ratio)
    return basis


def _without_trading(
    history: PriceHistory, flaws: Sequence[Flaw], actions: Sequence[CorporateAction]
) -> list[Flaw]:
    """Leave out the missing prices of symbols that ended by then, or begin later, by a corporate action."""
    ended = {a.symbol: a.effective for a in actions if a.kind in ENDS}
    begun = {a.into: a.effective for a in actions if a.into is not None}
    return [
        f
        for f in flaws
        if f.kind != "hole"
        or not (f.time >= ended.get(f.column, NEVER) or f.time < begun.get(f.column, NO_TIME))
    ]


def _in_one_line(history: PriceHistory, flaws: Sequence[Flaw]) -> list[Flaw]:
    """Name a symbol without prices from a bar to the end once, with what to do about it."""
    said = []
    last = {
        s: int(history.times[known[-1]]) if len(known := np.flatnonzero(~np.isnan(column))) else NO_TIME
        for s, column in zip(history.symbols, history.prices.T, strict=True)
    }
    to_the_end: dict[str, list[Flaw]] = {}
    for flaw in flaws:
        if flaw.kind == "hole" and flaw.time > last.get(flaw.column, NEVER):
            to_the_end.setdefault(flaw.column, []).append(flaw)
        else:
            said.append(flaw)
    for holes in to_the_end.values():
        first = min(holes, key=lambda flaw: flaw.time)
        if len(holes) == 1:
            said.append(first)
            continue
        day = dt.datetime.fromtimestamp(first.time / 1000, NEW_YORK).date()
        reason = (
            f"no price from {first.row} ({day}) to the end, {len(holes)} rows; a DELISTING, merger or "
            "SYMBOL_CHANGE among the events tells what became of it"
        )
        said.append(dataclasses.replace(first, reason=reason))
    return said
