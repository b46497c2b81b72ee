"""The engine of a run: a columnar sweep a bar, and the live ladder for accounts whose band moved.

Up to each bar timers fire and events are applied, in time order; an account that a fill or a transfer changed
is seen immediately. At the bar every account is evaluated by the kernel, the ladder steps for accounts whose
band changed (the rule of margin.status.v1), and liquidations are proposed and filled. The sequence is that of
the live pipeline, on event time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import numpy as np

from margin_platform.backtest.engine.decision_rows import decision_row
from margin_platform.backtest.engine.job import Job
from margin_platform.backtest.engine.liquidation_sales import sales
from margin_platform.backtest.engine.priced_bars import PricedBars
from margin_platform.backtest.engine.record import FillRow
from margin_platform.backtest.engine.rows import Rows, observation
from margin_platform.backtest.engine.state import State, start
from margin_platform.contracts.messages import CORPORATE_ACTIONS, BadEvent, deterministic_id
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import Margin, evaluate_accounts
from margin_platform.kernel.market import Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.ladder.deadlines import next_trading_time
from margin_platform.ladder.state import CLOSES, Decision, DecisionKind
from margin_platform.snapshots.bands import Level, band_codes
from margin_platform.trading_time.sessions import in_session

_Order = tuple[int, int, float]  # account, instrument row, signed shares
# liquidations of one account at one bar: the first cures, another follows only where slippage ate the cure
_MOST_ROUNDS = 3


class Run:
    """A job under way: what each bar does to its state."""

    def __init__(self, job: Job, state: State | None = None) -> None:
        """Begin a job, or continue it from a state."""
        self.job = job
        self.state = state or start(job)
        self._prices = PricedBars(job.path, job.policy)

    @property
    def time(self) -> int:
        """The event time of the bar, epoch milliseconds."""
        return int(self.job.path.times[self.state.bar])

    @property
    def book(self) -> Book:
        """The book as it stands."""
        return self.state.holdings.book

    def bar(self) -> None:
        """Bring the run to its bar: what comes before it, every account at its prices, liquidations due."""
        touched = self.between(self.time)
        priced = self._prices.at(self.state.bar)
        touched |= self._pending_fills(priced.market)
        margin, codes = self._step(priced, self.state.open_accounts, touched, self.time)
        self.state.record.bar(margin, codes, self.state.written_off())
        self.liquidate(priced)

    def between(self, until: int) -> set[int]:
        """Apply what comes up to a bar, in time order:
        timers, and events, whose accounts are seen at the last bar's prices.

        Events of the bar's own time, and corporate actions whose day comes, are seen with the bar's prices:
        return the accounts these changed. An action announced after its day is seen at its announcement.
        """
        later: set[int] = set()
        while (at := self._next_event()) <= until:
            self._timers(at)
            changed, announces = self._events(at)
            acted = self._actions(at)
            if at == until or self.state.bar == 0:
                later |= changed | acted
                changed = set()
            elif announces:
                changed |= acted | self._repriced(at)
            else:
                later |= acted
            accounts = np.intersect1d(np.array(sorted(changed), dtype=np.int64), self.state.open_accounts)
            if len(accounts):
                priced = self._prices.between(self.state.bar, at)
                self._step(priced, accounts, changed, at, f".{self.state.trade}")
        self._timers(until)
        return later

    def _events(self, at: int) -> tuple[set[int], bool]:
        """Book the events of a time and announce its corporate actions; return the accounts that changed, and
        whether there was an announcement.
        """
        changed, announces = set[int](), False
        while (
            self.state.trade < len(self.job.trades)
            and self.job.trades[self.state.trade][1]["timestamp"] == at
        ):
            topic, event = self.job.trades[self.state.trade]
            self.state.trade += 1
            if topic != CORPORATE_ACTIONS:
                changed.update(self.state.holdings.apply(topic, event))
                continue
            announces = True
            with contextlib.suppress(BadEvent):  # the stream sends it to dead_letter.v1 and holds the symbol
                self.state.announced.add(event)
        return changed, announces

    def _repriced(self, at: int) -> set[int]:
        """Return the accounts whose prices corporate actions changed at a time."""
        codes = sorted({code for time, code, _, _ in self.job.path.changes if time == at})
        return set(self.book.accounts_holding(np.array(codes, dtype=np.int64)).tolist()) if codes else set()

    def _actions(self, at: int) -> set[int]:
        """Book the corporate actions whose time has come; return the accounts that changed."""
        changed: set[int] = set()
        for symbol in self.state.announced.due(at):
            actions = [
                action
                for action in self.state.announced.in_effect(symbol)
                if action.action_id not in self.job.booked
            ]
            changed.update(self.state.holdings.restate(symbol, actions))
        return changed

    def _next_event(self) -> int:
        """Return the event time of what comes next: an event, or an announced corporate action's day."""
        day = self.state.announced.next_day()
        return (
            min(day, self.job.trades[self.state.trade][1]["timestamp"])
            if self.state.trade < len(self.job.trades)
            else day
        )

    def _timers(self, until: int) -> None:
        for number, decision in self.state.ladder.tick(until):
            self._note(number, decision, None, 0)

    def _step(
        self, priced: PricedMarket, accounts: np.ndarray, touched: set[int], time: int, batch: str = ""
    ) -> tuple[Margin, np.ndarray]:
        """Evaluate accounts at a time; step the ladder for those whose band moved, and for the touched that
        were or are in trouble.
        """
        margin = evaluate_accounts(self.book, priced, accounts)
        codes, before = band_codes(margin), self.state.bands[accounts]
        moved = codes != before
        if touched:
            own = np.isin(accounts, np.fromiter(touched, dtype=np.int64))
            moved |= own & ((codes != Level.CLEAR) | (before != Level.CLEAR))
        self.state.bands[accounts] = codes
        self.observe(priced.market, margin, codes, np.flatnonzero(moved), time, batch)
        return margin, codes

    def _pending_fills(self, market: Market) -> set[int]:
        """Fill the orders that waited for this bar;
        one whose price is stale waits on, and all do outside a session.

        One made before a corporate action changed what its shares are is cancelled, and its account asks
        again: as live.
        """
        waiting, self.state.pending = self.state.pending, []
        orders, cancelled = list[_Order](), set[int]()
        for number, code, qty, bar in waiting:
            made, now = int(self.job.path.times[bar]), self.time
            if self.state.announced.reshaped_since(market.symbols[code], made, now):
                cancelled.add(number)
            elif market.stale[code] or not in_session(now):
                self.state.pending.append((number, code, qty, bar))
            else:
                orders.append((number, code, qty))
        self._fill(market, orders)
        for number in sorted(cancelled):
            self.state.ladder.ask_again(number)
        if cancelled:
            self._timers(self.time)  # they ask again immediately
        return {number for number, _, _ in orders}

    def observe(
        self, market: Market, margin: Margin, codes: np.ndarray, rows: np.ndarray, time: int, batch: str = ""
    ) -> None:
        """Take one ladder step for each of these rows."""
        if not len(rows):
            return
        seen = Rows.of(margin, codes, rows)
        for at, number in enumerate(seen.number):
            observed = observation(seen, at, self.book, market, time, f"{self.state.bar}{batch}")
            for decision in self.state.ladder.observe(number, observed):
                self._note(number, decision, seen, at)

    def _note(self, number: int, decision: Decision, seen: Rows | None, at: int) -> None:
        """Write a decision down; a liquidation is carried out at the end of the bar."""
        if decision.kind == DecisionKind.LIQUIDATE:
            self.state.due.add(number)
        elif decision.kind in CLOSES:  # the account is whole: what is left of its orders is cancelled
            self.state.due.discard(number)
            self.state.pending = [order for order in self.state.pending if order[0] != number]
        row = decision_row(self.job, self.state, self.book.account_ids[number], number, decision, seen, at)
        self.state.record.decisions.append(row)

    def liquidate(self, priced: PricedMarket) -> None:
        """Propose for every account due without an order at work;
        fill within a session and look again, else wait for the opening.
        """
        for attempt in range(_MOST_ROUNDS):
            worked = {order[0] for order in self.state.pending}
            due, self.state.due = sorted(self.state.due - worked), set()
            if not due:
                return
            orders = list(sales(due, self.book, priced))
            if self.job.policy.backtest.fill_at == "next" or not in_session(self.time):
                self.state.pending += [
                    (*order, self.state.bar) for order in self._not_reshaped(priced.market, orders)
                ]
                return
            self._fill(priced.market, orders)
            accounts = np.array(due, dtype=np.int64)
            margin = evaluate_accounts(self.book, priced, accounts)
            codes = band_codes(margin)
            self.state.bands[accounts] = codes
            self.observe(priced.market, margin, codes, np.arange(len(due)), self.time, f".{attempt}")
            self._close_empty(due)

    def _not_reshaped(self, market: Market, orders: Sequence[_Order]) -> list[_Order]:
        """Leave out the orders of accounts whose shares change before they may trade:
        these ask again after it, as live.
        """
        first, day_of = next_trading_time(self.time), self.state.announced.next_reshaping
        days = {code: day_of(market.symbols[code], self.time) for _, code, _ in orders}
        changing = {number for number, code, _ in orders if (days[code] or first + 1) <= first}
        for number in sorted(changing):
            self.state.ladder.ask_again(number)
        return [order for order in orders if order[0] not in changing]

    def _close_empty(self, numbers: Sequence[int]) -> None:
        """Remove accounts with nothing left to sell from the run; what they owe is the firm's loss."""
        book = self.book
        empty = [n for n in numbers if book.offsets[n] == book.offsets[n + 1]]
        if empty:
            self.state.open_accounts = np.setdiff1d(self.state.open_accounts, np.array(empty, dtype=np.int64))
            self.state.due.difference_update(empty)
            for number in empty:
                self.state.ladder.close(number)

    def _fill(self, market: Market, orders: Sequence[_Order]) -> None:
        """Assume fills at the bar's price, worse by the slippage: a sale below it, a purchase above."""
        slip, time = self.job.policy.backtest.fill_slippage, self.time
        fills = []
        for number, code, ordered in orders:
            held = self.state.holdings.quantity(number).get(code, 0.0)
            # never through zero: the book may have traded since
            qty = max(ordered, -held) if held > 0 else min(ordered, -held)
            if qty == 0.0:
                continue
            price = float(market.price[code]) * (1.0 - slip if qty < 0 else 1.0 + slip)
            account = self.book.account_ids[number]
            self.state.record.fills.append(
                FillRow(self.state.bar, time, account, market.symbols[code], qty, price)
            )
            fill_id = deterministic_id(
                "backtest", account, code, self.state.bar, len(self.state.record.fills)
            )
            fills.append((number, code, qty, price, fill_id))
        if fills:
            self.state.holdings.fill_all(fills, time)


def run(job: Job, state: State | None = None, *, after_bar: Callable[[State], None] | None = None) -> State:
    """Run a job from a state (its beginning, if none) to its last bar.

    `after_bar` sees the state after each: progress, checkpoints.
    """
    under_way = Run(job, state)
    while under_way.state.bar < len(job.path):
        under_way.bar()
        under_way.state.bar += 1
        if after_bar is not None:
            after_bar(under_way.state)
    return under_way.state
