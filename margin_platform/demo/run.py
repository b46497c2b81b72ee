"""A demo from start to clean end: stack up, book seeded, crisis replayed, progress watched, stack down."""

from __future__ import annotations

import datetime as dt
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from margin_platform.backtest.books.generated import AccountRow, generate, usual_counts
from margin_platform.backtest.history import sample_market
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import ACCOUNTS, MARGIN_CALC, PRICES
from margin_platform.contracts.topics import INPUTS
from margin_platform.demo import limits, seed
from margin_platform.demo.monitor import Monitor
from margin_platform.demo.pace import DecisionLag
from margin_platform.kafka.bus import Bus
from margin_platform.kafka.waiting import PatientBus, Waiting
from margin_platform.policy.policy import current_policy
from margin_platform.settings import Settings, settings
from margin_platform.stack import supervisor
from margin_platform.stack.status import summary

EVE = dt.date(2020, 2, 19)
FIRST, LAST = dt.date(2020, 2, 20), dt.date(2020, 3, 23)
TICKS_PER_SESSION = 13  # one each half hour
_FASTEST = 0.4  # seconds between two ticks of the whole market: about what a micro-batch takes
_SLOWEST = 1.0
_MOST_UNDECIDED = 600  # status events waiting for enforcement: two of its runs; beyond it the replay waits
_QUIET_SECONDS = 240.0  # without an event before a stage is given up: a full machine starts a run that late
_LONGEST_WAIT = 600.0
_LOOK_SECONDS = 1.0
_MARK = "emptied-by-margin-demo"

Show = Callable[[Json], None]
Say = Callable[[str], None]
Stay = Callable[[Callable[[], None]], None]


def may_be_emptied(folder: Path) -> bool:
    """Report whether a folder is new, empty, or an earlier demo's: any other holds data that is not ours to
    delete.
    """
    return not folder.exists() or (
        folder.is_dir() and (not any(folder.iterdir()) or (folder / _MARK).exists())
    )


def _empty(folder: Path) -> None:
    """Stop what runs in the folder and delete what it holds.

    Raise FileExistsError, with nothing touched, where that is not a demo's. The mark is there before all
    else and stays: a demo that was interrupted anywhere may be repeated.
    """
    if not may_be_emptied(folder):
        raise FileExistsError(f"{folder} is neither empty nor an earlier demo's folder")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()
    supervisor.down(folder)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != _MARK:
            entry.unlink()


class Timer:
    """Seconds of the demo: time without a broker does not count."""

    def __init__(self, waiting: Waiting, clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting, self._clock = waiting, clock

    def now(self) -> float:
        return self._clock() - self._waiting.seconds


@dataclass(frozen=True)
class Demo:
    """What to show: accounts in the book, seconds the replay may take, and the folder of its stack
    (emptied first).
    """

    folder: Path
    accounts: int = 1000
    seconds: float = 240.0

    def run(self, show: Show, say: Say, stay: Stay = lambda _: None) -> Json:
        """Run to the end and return the last figures.

        The stack is stopped whatever happens. `stay` may wait before that, and calls what it is given to
        show what happens meanwhile: notices and orders go on after the last price.
        """
        _empty(self.folder)
        rows = generate(usual_counts(self.accounts), seed.closes_on(EVE))
        policy = limits.policy_of(rows, seed.closes_on(EVE), seed.betas_on(EVE))
        say(f"firm limits for this book: {limits.write(self.folder, policy)}")
        try:
            stack = supervisor.up(self.folder, progress=say)
            urls = {name: c.url for name, c in stack.components.items() if c.url}
            known: Json = {"urls": urls, "data": str(self.folder), "limits": policy.firm.model_dump()}
            there = settings(stack.environment)
            figures = self._through(there, rows, lambda now: show(now | known), say, stay) | known
            figures["stack"] = _memory(summary.status(self.folder))
            return figures
        finally:
            say("stopping the stack")
            supervisor.down(self.folder)

    def run_attached(self, there: Settings, show: Show, say: Say) -> Json:
        """Run through a stack that runs already, and return the last figures. Nothing is started or stopped.

        FileExistsError where a topic that other systems write holds records: they may be a firm's own.
        """
        with Bus(there.kafka.bootstrap_servers) as bus:
            used = [topic for topic in sorted(INPUTS) if any(bus.end_offsets(topic).values())]
        if used:
            raise FileExistsError(f"{there.kafka.bootstrap_servers} holds records of {', '.join(used)}")
        rows = generate(usual_counts(self.accounts), seed.closes_on(EVE))
        known = {"limits": current_policy().firm.model_dump()}
        return self._through(there, rows, lambda now: show(now | known), say) | known

    def _through(
        self, there: Settings, rows: list[AccountRow], show: Show, say: Say, stay: Stay = lambda _: None
    ) -> Json:
        """Play through the broker, the store and the tables of these settings; return the last figures."""
        waiting = Waiting(say)
        bus_of_stack = PatientBus(there.kafka.bootstrap_servers, waiting)
        with bus_of_stack as bus, DecisionLag(bus_of_stack, there.store_url) as lag:
            monitor = Monitor(bus, there.tables)
            self._play(rows, monitor, lag, Timer(waiting), show, say)
            stay(look_after_the_end(monitor, show))
            return _now(monitor)

    def _play(
        self, rows: list[AccountRow], monitor: Monitor, lag: DecisionLag, timer: Timer, show: Show, say: Say
    ) -> None:
        say(f"seeding {len(rows)} accounts and the market up to {EVE}")
        _seed(monitor.bus, rows)
        say("waiting for the streams: Dagster starts Spark")
        _wait_until(lambda: len(monitor.status) >= len(rows), monitor, timer, show, _QUIET_SECONDS)
        say(f"replaying {FIRST} to {LAST}: closes real, ticks between them synthetic")
        monitor.replay_started = time.monotonic()
        self._replay(monitor, lag, timer, show)
        _wait_until(lambda: not monitor.snapshot()["missing"], monitor, timer, show, _QUIET_SECONDS)

    def _replay(self, monitor: Monitor, lag: DecisionLag, timer: Timer, show: Show) -> None:
        """Produce the crisis round by round, no faster than decisions follow."""
        rounds, look = list(_rounds()), _Look(monitor, lag, timer, show)
        pace = min(_SLOWEST, max(_FASTEST, self.seconds / len(rounds)))
        due = timer.now()
        end = due + self.seconds
        for number, ticks in enumerate(rounds, 1):
            due = max(timer.now(), due + pace)  # time that decisions took is not made up for
            final = number == len(rounds) or due > end
            for n, (at, symbol, price) in enumerate(ticks, 1):
                last = {"last_of_replay": True} if final and n == len(ticks) else {}
                monitor.bus.produce(PRICES, {"symbol": symbol, "price": price, "timestamp": at} | last)
            monitor.bus.flush()
            monitor.event_clock = ticks[0][0]
            while timer.now() < due or (look.waits and timer.now() < end):
                look.take(number / len(rounds))
            if final:
                return


class _Look:
    """Reads the topics, and once a second shows the figures and how far decisions are behind."""

    def __init__(self, monitor: Monitor, lag: DecisionLag, timer: Timer, show: Show) -> None:
        self._monitor, self._lag, self._timer, self._show = monitor, lag, timer, show
        self._at, self._behind = 0.0, 0

    @property
    def waits(self) -> bool:
        """Whether the replay should wait for decisions."""
        return self._behind > _MOST_UNDECIDED

    def take(self, done: float) -> None:
        """Read; show where the last look is a second old. done: share of the replay produced."""
        self._monitor.read()
        if self._timer.now() - self._at < _LOOK_SECONDS:
            return
        self._at, self._behind = self._timer.now(), self._lag.undecided()
        waits = {"waiting_for_decisions": self._behind} if self.waits else {}
        self._show(self._monitor.snapshot() | {"done": done} | waits)


def look_after_the_end(monitor: Monitor, show: Show) -> Callable[[], None]:
    """Return what shows the figures of now after the last price: notices and orders go on."""
    return lambda: show(_now(monitor) | {"done": 1.0, "ended": True})


def _now(monitor: Monitor) -> Json:
    monitor.read()
    return monitor.snapshot()


def _rounds() -> Iterator[list[sample_market.Tick]]:
    """Yield the ticks of the crisis, all symbols of one moment together."""
    width = len(sample_market.closes().columns)
    batch: list[sample_market.Tick] = []
    for tick in sample_market.ticks(FIRST, LAST, TICKS_PER_SESSION):
        batch.append(tick)
        if len(batch) == width:
            yield batch
            batch = []


def _seed(bus: Bus, rows: list[AccountRow]) -> None:
    for topic, event in seed.market_events(EVE):
        bus.produce(topic, event)
    later = []
    for topic, event in seed.account_events(rows, EVE):
        if topic == ACCOUNTS:
            bus.produce(topic, event)  # an account is announced before anything of it
        else:
            later.append((topic, event))
    bus.flush()
    for topic, event in later:
        bus.produce(topic, event)
    bus.flush()


def _wait_until(
    happened: Callable[[], bool], monitor: Monitor, timer: Timer, show: Show, seconds: float
) -> None:
    """Read and show until something happened; the figures name what is missing where it did not.

    Give up after `seconds` without an event, and after _LONGEST_WAIT in all: a busy machine is waited for.
    """
    end, quiet, seen = timer.now() + _LONGEST_WAIT, timer.now() + seconds, monitor.seen
    while not happened() and timer.now() < min(end, quiet):
        # wakes with the first figures
        monitor.bus.poll(MARGIN_CALC, monitor.positions[MARGIN_CALC], _LOOK_SECONDS, 1)
        monitor.read()
        if monitor.seen > seen:
            seen, quiet = monitor.seen, timer.now() + seconds
        show(monitor.snapshot())


def _memory(status: Json) -> Json:
    return {
        "memory_mb": status.get("memory_mb"),
        "components": sorted(c["name"] for c in status.get("components", [])),
    }
