"""The engine of a run: bar by bar, one columnar sweep of all accounts, and the live ladder for those whose band moved.

Up to each bar timers fire and events are applied, in time order; an account that a fill or a transfer changed is seen at
once. At the bar every account is evaluated by the kernel, the ladder steps for accounts whose band changed (the rule of
margin.status.v1), and liquidations are proposed and filled. The sequence is that of the live pipeline, on event time;
`tests/backtest` holds the two against one another.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from margin_platform.backtest.engine.account_book import Holdings
from margin_platform.backtest.engine.known_actions import splits_known
from margin_platform.backtest.engine.ladder_states import Desk
from margin_platform.backtest.engine.liquidation_sales import sales
from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.backtest.engine.record import DecisionRow, FillRow, Record
from margin_platform.contracts.messages import CORPORATE_ACTIONS, BadEvent, Event, deterministic_id
from margin_platform.kernel.account_rows import stale_symbols
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin, evaluate_accounts
from margin_platform.kernel.market import Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import CALL, LIQUIDATE, Decision
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.money import cents
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.bands import BandFlag, Level, band_codes, levels

_MOST_ROUNDS = 3   # liquidations of one account at one bar: the first cures, another follows only where slippage ate the cure
_STATE = b"2"      # changes with what a checkpoint holds
Trade = tuple[str, Event]   # topic, event


@dataclass(frozen=True)
class Job:
    """One run: a book over a market path under one policy, with the events (trades, cash, corporate actions) on the way, in time order."""

    book: Book
    path: MarketPath
    policy: Policy
    trades: Sequence[Trade] = ()
    suspicious: frozenset[tuple[int, int]] = frozenset()   # (bar, instrument row) of prices named as flawed
    booked: frozenset[str] = frozenset()                   # ids of the corporate actions that the book rests on already

    def fingerprint(self) -> str:
        """Changes whenever the run's result could: a checkpoint of another job is never continued."""
        digest = hashlib.sha256(_STATE + self.policy.model_dump_json().encode())
        for part in (self.book, self.path, self.path.market):
            for each in fields(part):
                column = getattr(part, each.name)
                if not isinstance(column, Market):
                    digest.update(np.ascontiguousarray(column).tobytes() if isinstance(column, np.ndarray) else repr(column).encode())
        digest.update(repr((self.trades, sorted(self.suspicious), sorted(self.booked))).encode())
        return digest.hexdigest()


@dataclass
class State:
    """Everything a run carries from bar to bar."""

    holdings: Holdings
    desk: Desk
    record: Record = field(default_factory=Record)
    bar: int = 0
    trade: int = 0
    bands: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    open_accounts: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    pending: list[tuple[int, int, float, int]] = field(default_factory=list)   # account, instrument row, signed shares, bar it was made at
    due: set[int] = field(default_factory=set)                            # accounts to liquidate
    announced: AnnouncedActions = field(default_factory=AnnouncedActions)
    priced: PricedMarket | None = None                                    # the bar before's

    def priced_at(self, market: Market, policy: Policy) -> PricedMarket:
        """The market of a bar, priced; instruments and policy are the run's, so only what moves is worked out."""
        self.priced = PricedMarket.of(market, policy) if self.priced is None else self.priced.at(market)
        return self.priced

    def written_off(self) -> float:
        """Dollars owed by accounts that have nothing left to sell."""
        closed = np.ones(len(self.holdings.book), dtype=np.bool_)
        closed[self.open_accounts] = False
        return float(np.maximum(0.0, -self.holdings.book.cash[closed]).sum())


def start(job: Job) -> State:
    """The state before the first bar."""
    accounts = np.arange(len(job.book), dtype=np.int64)
    bands = np.full(len(accounts), Level.CLEAR, dtype=np.int32)
    return State(Holdings(job.book, job.path.market), Desk(job.policy), bands=bands, open_accounts=accounts)


def run(job: Job, state: State | None = None, *, after_bar: Callable[[State], None] | None = None) -> State:
    """Runs a job from a state (its beginning, if none) to its last bar. `after_bar` sees the state after each: progress, checkpoints."""
    state = state or start(job)
    while state.bar < len(job.path):
        _bar(job, state)
        state.bar += 1
        if after_bar is not None:
            after_bar(state)
    return state


def _bar(job: Job, state: State) -> None:
    time = int(job.path.times[state.bar])
    touched = _between(job, state, time)
    market = job.path.at(state.bar)
    touched |= _pending_fills(job, state, market)
    priced = state.priced_at(market, job.policy)
    margin, codes = _step(job, state, priced, state.open_accounts, touched, time)
    state.record.bar(margin, codes, state.written_off())
    _liquidate(job, state, priced)


def _between(job: Job, state: State, until: int) -> set[int]:
    """What comes up to a bar, in time order: timers, and events, the accounts of which are seen at once at the last bar's prices.

    Events of the bar's own time and corporate actions are seen with the bar's prices: returns the accounts these changed.
    """
    later: set[int] = set()
    while (at := _next_event(job, state)) <= until:
        _timers(job, state, at)
        now: set[int] = set()
        while state.trade < len(job.trades) and job.trades[state.trade][1]["timestamp"] == at:
            topic, event = job.trades[state.trade]
            state.trade += 1
            if topic == CORPORATE_ACTIONS:
                with contextlib.suppress(BadEvent):   # the stream sends it to dead_letter.v1 and holds the symbol
                    state.announced.add(event)
            else:
                (later if at == until or state.bar == 0 else now).update(state.holdings.apply(topic, event))
        for symbol in state.announced.due(at):
            actions = [action for action in state.announced.in_effect(symbol) if action.action_id not in job.booked]
            later.update(state.holdings.restate(symbol, actions))
        accounts = np.intersect1d(np.array(sorted(now), dtype=np.int64), state.open_accounts)
        if len(accounts):
            known = splits_known(state.announced, job.path.market.symbols, job.booked)
            priced = state.priced_at(job.path.between(state.bar, at, known), job.policy)
            _step(job, state, priced, accounts, now, at, f".{state.trade}")
    _timers(job, state, until)
    return later


def _next_event(job: Job, state: State) -> int:
    """Return the event time of what comes next: an event, or an announced corporate action's day."""
    day = state.announced.next_day()
    return min(day, job.trades[state.trade][1]["timestamp"]) if state.trade < len(job.trades) else day


def _timers(job: Job, state: State, until: int) -> None:
    for number, decision in state.desk.tick(until):
        _note(job, state, number, decision, None, 0)


def _step(
    job: Job, state: State, priced: PricedMarket, accounts: np.ndarray, touched: set[int], time: int, batch: str = ""
) -> tuple[Margin, np.ndarray]:
    """Evaluates accounts at a time; the ladder steps for those whose band moved, and for the touched that were or are in trouble."""
    margin = evaluate_accounts(state.holdings.book, priced, accounts)
    codes, before = band_codes(margin), state.bands[accounts]
    moved = codes != before
    if touched:
        own = np.isin(accounts, np.fromiter(touched, dtype=np.int64))
        moved |= own & ((codes != Level.CLEAR) | (before != Level.CLEAR))
    state.bands[accounts] = codes
    _observe(job, state, priced.market, margin, codes, np.flatnonzero(moved), time, batch)
    return margin, codes


def _pending_fills(job: Job, state: State, market: Market) -> set[int]:
    """Fill the orders that waited for this bar; one whose price is stale here waits on.

    One made before a corporate action changed what its shares are is cancelled, and its account looked at anew: as live.
    """
    waiting, state.pending = state.pending, []
    orders, cancelled = [], set()
    for number, code, qty, bar in waiting:
        made, now = int(job.path.times[bar]), int(job.path.times[state.bar])
        if state.announced.reshaped_since(market.symbols[code], made, now):
            cancelled.add(number)
        elif market.stale[code]:
            state.pending.append((number, code, qty, bar))
        else:
            orders.append((number, code, qty))
    _fill(job, state, market, orders)
    state.due |= cancelled
    return cancelled | {number for number, _, _ in orders}


@dataclass(frozen=True)
class Rows:
    """Some rows of a bar's margin as plain numbers, rounded once for all of them: dollars, and the SPY move that hurts most."""

    number: list[int]
    code: list[int]
    equity: list[float]
    gross: list[float]
    requirement: list[float]
    excess: list[float]
    worst: list[float | None]

    @staticmethod
    def of(margin: Margin, codes: np.ndarray, rows: np.ndarray) -> Rows:
        figures = (margin.equity, margin.gross_mv, margin.requirement, margin.excess)
        moves = margin.policy.stress.scenarios
        stressed = margin.stress_excess_recomputed[rows]
        worst: list[float | None] = [moves[k] for k in stressed.argmin(axis=1).tolist()] if len(moves) else [None] * len(rows)
        equity, gross, requirement, excess = (cents(column[rows]).tolist() for column in figures)
        return Rows(margin.accounts[rows].tolist(), codes[rows].tolist(), equity, gross, requirement, excess, worst)


def _observe(
    job: Job, state: State, market: Market, margin: Margin, codes: np.ndarray, rows: np.ndarray, time: int, batch: str = ""
) -> None:
    """One ladder step for each of these rows whose band, or whose past, can lead to a decision."""
    if not len(rows):
        return
    troubled = (levels(codes[rows]) >= Level.WARNING) | ((codes[rows] & (BandFlag.STRESS | BandFlag.STALE)) > 0)
    known = np.array([state.desk.knows(n) for n in margin.accounts[rows].tolist()], dtype=np.bool_)
    seen = Rows.of(margin, codes, rows[troubled | known])   # the others were and are in no trouble
    for at, number in enumerate(seen.number):
        for decision in state.desk.observe(number, observation(seen, at, state.holdings.book, market, time, f"{state.bar}{batch}")):
            _note(job, state, number, decision, seen, at)


def observation(rows: Rows, at: int, book: Book, market: Market, time: int, calc_id: str) -> Observation:
    """What `Observation.from_status_event` reads off the account's status event, straight from the columns; a test holds them equal."""
    number, code = rows.number[at], rows.code[at]
    span = range(int(book.offsets[number]), int(book.offsets[number + 1]))
    stale = stale_symbols(span, book, market) if code & BandFlag.STALE else []
    held = f"stale or missing price: {', '.join(stale)}" if stale else None
    equity, gross, requirement, excess = rows.equity[at], rows.gross[at], rows.requirement[at], rows.excess[at]
    if excess != excess:
        return Observation(book.account_ids[number], time, 0.0, 0.0, 0.0, 0.0, held=held or "figures missing", calc_id=calc_id)
    stressed = bool(code & BandFlag.STRESS)
    return Observation(book.account_ids[number], time, equity, gross, requirement, excess, stressed, held, calc_id=calc_id)


def _note(job: Job, state: State, number: int, decision: Decision, seen: Rows | None, at: int) -> None:
    """Writes a decision down; a liquidation is carried out at the end of the bar."""
    if decision.kind == LIQUIDATE:
        state.due.add(number)
    deficiency = equity = requirement = excess = np.nan
    scenario = None
    if seen is not None:
        equity, requirement, excess, scenario = seen.equity[at], seen.requirement[at], seen.excess[at], seen.worst[at]
        deficiency = max(0.0, -excess)
    suspicious, symbol = _cause(job, state, number, decision)
    state.record.decisions.append(DecisionRow(
        state.bar, decision.timestamp, state.holdings.book.account_ids[number], decision.kind, deficiency, equity, requirement, excess,
        scenario, symbol, suspicious, decision.reason,
    ))


def _cause(job: Job, state: State, number: int, decision: Decision) -> tuple[bool, str]:
    """Whether a flawed price is among an account's, and the symbol that cost it most at this bar (calls by its prices only)."""
    by_prices = decision.kind == CALL and decision.timestamp == job.path.times[state.bar]
    if not by_prices and not job.suspicious:
        return False, ""
    held = state.holdings.quantity(number)
    suspicious = any((state.bar, code) in job.suspicious for code in held)
    if not by_prices or state.bar == 0 or not held:
        return suspicious, ""
    moved = job.path.price[state.bar] - job.path.before(state.bar)
    return suspicious, job.path.market.symbols[min(held, key=lambda code: (held[code] * moved[code], code))]


def _liquidate(job: Job, state: State, priced: PricedMarket) -> None:
    """Proposes and fills for every account due, and observes each again until it is whole or has nothing left."""
    for attempt in range(_MOST_ROUNDS):
        due, state.due = sorted(state.due), set()
        if not due:
            return
        orders = [(number, code, qty) for number in due for code, qty in sales(number, state.holdings.book, priced)]
        if job.policy.backtest.fill_at == "next":
            state.pending += [(*order, state.bar) for order in orders]
            return
        _fill(job, state, priced.market, orders)
        accounts = np.array(due, dtype=np.int64)
        margin = evaluate_accounts(state.holdings.book, priced, accounts)
        codes = band_codes(margin)
        state.bands[accounts] = codes
        _observe(job, state, priced.market, margin, codes, np.arange(len(due)), int(job.path.times[state.bar]), f".{attempt}")
        _close_empty(state, due)


def _close_empty(state: State, numbers: Sequence[int]) -> None:
    """An account with nothing left to sell leaves the run; what it owes is the firm's loss."""
    book = state.holdings.book
    empty = [n for n in numbers if book.offsets[n] == book.offsets[n + 1]]
    if empty:
        state.open_accounts = np.setdiff1d(state.open_accounts, np.array(empty, dtype=np.int64))
        state.due.difference_update(empty)
        for number in empty:
            state.desk.close(number)


def _fill(job: Job, state: State, market: Market, orders: Sequence[tuple[int, int, float]]) -> None:
    """Assumed fills at the bar's price, worse by the slippage: a sale below it, a purchase above."""
    slip, time = job.policy.backtest.fill_slippage, int(job.path.times[state.bar])
    fills = []
    for number, code, ordered in orders:
        held = state.holdings.quantity(number).get(code, 0.0)
        qty = max(ordered, -held) if held > 0 else min(ordered, -held)   # never through zero: the book may have traded since
        if qty == 0.0:
            continue
        price = float(market.price[code]) * (1.0 - slip if qty < 0 else 1.0 + slip)
        account = state.holdings.book.account_ids[number]
        state.record.fills.append(FillRow(state.bar, time, account, market.symbols[code], qty, price))
        fills.append((number, code, qty, price, deterministic_id("backtest", account, code, state.bar, len(state.record.fills))))
    if fills:
        state.holdings.fill_all(fills, time)
