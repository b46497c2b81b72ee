"""Runs: a price history, a book and a policy become a job; the job runs, resumably, to a result."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from margin_platform.backtest.books import generated
from margin_platform.backtest.crises import Crisis
from margin_platform.backtest.engine.engine import run
from margin_platform.backtest.engine.job import Job, Trade
from margin_platform.backtest.engine.known_actions import announced, prices_in_use
from margin_platform.backtest.engine.market_path import WITHOUT_FLOORS, market_path
from margin_platform.backtest.engine.record import Record
from margin_platform.backtest.engine.state import State
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.history.flaws import Flaw, HistoryError
from margin_platform.backtest.history.price_files import read
from margin_platform.backtest.history.price_history import SAMPLE, PriceHistory, midnight, of_table
from margin_platform.backtest.history.repair import settle
from margin_platform.backtest.history.sample_recognition import is_sample
from margin_platform.backtest.report.run_result import RunResult, day_of
from margin_platform.contracts.action_terms import ActionKind
from margin_platform.contracts.messages import CORPORATE_ACTIONS, Event
from margin_platform.documents.book_input import BookInput, loads, parse
from margin_platform.kernel.book import MARGIN_TYPES, Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Market
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import date_of

_WARM_UP = dt.timedelta(days=400)  # calendar days before the first bar: a year of sessions for betas
CHECKPOINT_BARS = 250
Progress = Callable[[int, int], None]  # bars done, bars in all
Execution = Callable[[Job, tuple[Flaw, ...], str], RunResult]  # a job, its flaws and its label to the result


def prepare(
    history: PriceHistory,
    found: Sequence[Flaw],
    given: BookInput,
    *,
    first: dt.date | None = None,
    last: dt.date | None = None,
    trades: Iterable[Trade] = (),
) -> tuple[Job, tuple[Flaw, ...]]:
    """Prepare the job of a book over a history between two dates; return it with the flaws that the policy
    accepts.

    Raise HistoryError with the flaws it refuses.
    """
    policy = given.policy.override(WITHOUT_FLOORS) if history.adjusted else given.policy
    warm = history.cut(history.between(None if first is None else first - _WARM_UP, last))
    if warm.between(first, None).start >= len(warm):
        raise HistoryError([_no_bar(first, last)])
    events = tuple(sorted(trades, key=lambda trade: (trade[1]["timestamp"], trade[0])))
    known = announced(events)
    actions = [action for symbol in known.symbols() for action in known.actions(symbol)]
    traded = {e[name] for _, e in events for name in ("symbol", "new_symbol") if e.get(name) is not None}
    held = {given.market.symbols[c] for c in np.unique(given.book.symbol)} | traded
    settled = settle(warm, found, policy, sorted(held), actions)
    used = prices_in_use(settled, events, policy)
    if used.refused:
        raise HistoryError([_belied(event, reason) for event, reason in used.refused])
    in_use = replace(settled, prices=used.price, stale=settled.stale | used.held)
    slots = settled.between(first, None)
    if slots.start >= len(settled):
        raise HistoryError([_no_bar(first, last)])
    splits = [
        (action.effective, action.symbol, float(action.ratio))
        for action in actions
        if action.kind == ActionKind.SPLIT
    ]
    path = market_path(given.market, in_use, policy, slots, splits, used.changes)
    booked, early = _of_before(events, actions, int(path.times[0]))
    suspicious = _suspicious(settled, path.market, slots, policy)
    job = Job(given.book, path, policy, events, suspicious, booked)
    return job, settled.flaws + early + _too_late(events, int(path.times[-1]))


def _belied(event: Event, reason: str) -> Flaw:
    return Flaw("bad_action", "-", "events", event["amount"], f"{event['action_id']}, amount: {reason}")


def _of_before(
    events: Sequence[Trade], actions: Sequence[CorporateAction], first: int
) -> tuple[frozenset[str], tuple[Flaw, ...]]:
    """Return the ids of corporate actions that the book rests on, and name them: announced before the day of
    the first bar, and in effect by then.
    """
    opened = midnight(date_of(first))
    known = {e["action_id"] for t, e in events if t == CORPORATE_ACTIONS and e["timestamp"] < opened}
    booked = frozenset(a.action_id for a in actions if a.effective <= opened and a.action_id in known)
    if not booked:
        return booked, ()
    reason = f"in effect by the first day ({day_of(first)}): the book rests on them, not part of the run"
    return booked, (Flaw("before_the_start", "-", "events", len(booked), reason, first),)


def _too_late(events: Sequence[Trade], last: int) -> tuple[Flaw, ...]:
    """Name the events after the last price: no bar follows on which they would count."""
    late = [event["timestamp"] for _, event in events if event["timestamp"] > last]
    if not late:
        return ()
    reason = f"after the last price ({day_of(last)}): not part of the run, the first on {day_of(late[0])}"
    return (Flaw("after_the_end", "-", "events", len(late), reason, last),)


def _no_bar(first: dt.date | None, last: dt.date | None) -> Flaw:
    return Flaw("empty", "-", "timestamp", f"{first or ''}..{last or ''}", "no bar between these dates")


def _suspicious(
    history: PriceHistory, market: Market, part: slice, policy: Policy
) -> frozenset[tuple[int, int]]:
    """Find (bar, instrument row) of prices that look wrong: shaped like a split, or a jump over `max_jump`
    that mostly came back next bar.
    """
    named = {(f.time, f.column) for f in history.flaws if f.kind in ("split_shape", "jump")}
    prices = history.prices
    with np.errstate(invalid="ignore", divide="ignore"):
        jump = np.abs(prices[1:-1] / prices[:-2] - 1.0)
        stayed = np.abs(prices[2:] / prices[:-2] - 1.0)
    spikes = np.argwhere((jump > policy.prices.max_jump) & (stayed < jump / 2))
    named |= {(int(history.times[bar + 1]), history.symbols[column]) for bar, column in spikes.tolist()}
    bar_of = {int(t): n for n, t in enumerate(history.times[part].tolist())}
    return frozenset(
        (bar_of[t], code)
        for t, s in named
        if t in bar_of
        for code, symbol in enumerate(market.symbols)
        if symbol == s
    )


def execute(
    job: Job,
    flaws: tuple[Flaw, ...],
    label: str,
    *,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Run a job to its end, here and as one piece (`parts.execute` spreads a large book)."""
    state = finish(
        job,
        checkpoint=checkpoint,
        after_bar=None if progress is None else lambda now: progress(now.bar, len(job.path)),
    )
    return result(job, state.record, final_equity(job, state), flaws, label)


def result(
    job: Job, record: Record, final_equity: np.ndarray, flaws: tuple[Flaw, ...], label: str
) -> RunResult:
    """Return a finished run, decisions and fills by time and then by account: the same of any parts."""
    number_of = {account_id: number for number, account_id in enumerate(job.book.account_ids)}
    record.decisions.sort(key=lambda row: (row.bar, row.time, number_of[row.account_id]))
    record.fills.sort(key=lambda row: (row.bar, row.time, number_of[row.account_id]))
    return RunResult(label, job.policy, job.path, job.book, record, final_equity, flaws)


def finish(
    job: Job, *, checkpoint: Path | None = None, after_bar: Callable[[State], None] | None = None
) -> State:
    """Return the state after the last bar.

    With a checkpoint file a killed run continues and comes to the same, bit for bit.

    The finished state stays in the file, so that a run of several parts or policies does none of them twice:
    the caller removes it after writing the report.
    """
    identity = job.fingerprint() if checkpoint is not None else ""

    def each(now: State) -> None:
        if checkpoint is not None and (now.bar % CHECKPOINT_BARS == 0 or now.bar == len(job.path)):
            _save(checkpoint, identity, now)
        if after_bar is not None:
            after_bar(now)

    return run(job, _restored(checkpoint, identity), after_bar=each)


def final_equity(job: Job, state: State) -> np.ndarray:
    """Return the equity of every account at the last bar's prices, in dollars."""
    return evaluate(state.holdings.book, job.path.at(len(job.path) - 1), job.policy).published.equity


def _save(path: Path, identity: str, state: State) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(pickle.dumps((identity, state)))
    partial.replace(path)  # whole or not at all


def _restored(path: Path | None, identity: str) -> State | None:
    """Return the state saved by a killed run of the very same job, or None."""
    if path is None or not path.exists():
        return None
    try:
        saved: tuple[str, State] = pickle.loads(path.read_bytes())
    except (pickle.UnpicklingError, EOFError, AttributeError, ImportError):
        return None  # of another version of the program: start again
    return saved[1] if saved[0] == identity else None


def sample_history() -> PriceHistory:
    """Return the bundled history."""
    return of_table(sample_market.closes(), adjusted=True, source=SAMPLE)


def generated_book(rows: Sequence[generated.AccountRow], policy: Policy) -> BookInput:
    """Return generated accounts as the kernel's inputs, with the platform's instruments."""
    market = Market.of(instruments.load())
    code = market.code_of()
    book = Book.of(
        [
            (
                r.account_id,
                r.cash,
                MARGIN_TYPES[r.margin_type],
                [(code[s], q) for s, q in r.positions.items()],
            )
            for r in rows
        ]
    )
    return BookInput(book, market, policy)


def crisis_run(
    crisis: Crisis,
    policy: Policy,
    accounts: int,
    seed: int = 7,
    *,
    label: str | None = None,
    prices: Path | None = None,
    book: Path | None = None,
    execution: Execution | None = None,
) -> tuple[RunResult, PriceHistory]:
    """Run a book through a crisis; return the result and the history it went through: the bundled one, or a
    price file of one's own.

    execution: where the run happens; None for this process.
    The book is a file of `margin evaluate`, or a fresh one generated at the prices of the crisis's first bar.
    HistoryError, InputError, OSError where a file cannot be used; ValueError where the history has no price
    of what is generated.
    """
    history, found = (sample_history(), []) if prices is None else read(prices)
    given = (
        generated_at(history, crisis.first, accounts, policy, seed)
        if book is None
        else parse(loads(book.read_bytes()), policy)
    )
    if is_sample(history):
        history, given = replace(history, adjusted=True), keeping_jumps(given)
    job, flaws = prepare(history, found, given, first=crisis.first, last=crisis.last)
    return (execution or execute)(job, flaws, label or policy.version), history


def generated_at(
    history: PriceHistory, first: dt.date | None, accounts: int, policy: Policy, seed: int = 7
) -> BookInput:
    """Generate the usual mix of accounts, at the prices of the first bar from a date on."""
    bar = min(history.between(first, None).start, len(history) - 1)
    prices = {s: float(p) for s, p in zip(history.symbols, history.prices[bar], strict=True)}
    return generated_book(generated.generate(generated.usual_counts(accounts), prices, seed), policy)


def keeping_jumps(given: BookInput) -> BookInput:
    """Keep jumps: the bundled history is adjusted for splits, so a jump shaped like one was a real move, and
    the run goes on with it named.
    """
    backtest = given.policy.backtest.model_copy(update={"on_split_shape": "keep", "on_jump": "keep"})
    return replace(given, policy=given.policy.model_copy(update={"backtest": backtest}))
