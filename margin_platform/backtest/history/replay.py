"""Replay: a price history as live events on prices.v1, event times kept, from 1x to as fast as possible,
with pause and resume.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Protocol

from margin_platform.backtest.history.price_history import PriceHistory
from margin_platform.contracts.messages import PRICES, Event

Tick = tuple[int, str, float]  # event time in epoch milliseconds, symbol, dollars a share
_LONGEST_WAIT = 0.2  # seconds between looks at pause and stop


class Producer(Protocol):
    """What a replay needs of `bus.Bus`."""

    def produce(self, topic: str, event: Event) -> None: ...
    def flush(self) -> None: ...


class Clock(Protocol):
    """Wall time: seconds that only go forward, and a wait."""

    def now(self) -> float: ...
    def wait(self, seconds: float) -> None: ...


class WallClock:
    """The machine's own clock."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)


class Control:
    """Pause, resume and stop, from any thread or a signal handler."""

    def __init__(self) -> None:
        self.paused = False
        self.stopped = False

    def toggle(self) -> None:
        self.paused = not self.paused

    def stop(self) -> None:
        self.stopped = True


@dataclass(frozen=True)
class Summary:
    """What was produced: event times in epoch milliseconds, wall seconds without pauses."""

    events: int
    first: int | None
    last: int | None
    wall_seconds: float
    paused_seconds: float
    stopped: bool

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def ticks_of(history: PriceHistory, part: slice = slice(None)) -> Iterator[Tick]:
    """Yield the bars of a history as ticks in time order; missing prices are no ticks."""
    bars = history.cut(part)
    for time_ms, row, stale in zip(
        bars.times.tolist(), bars.prices.tolist(), bars.stale.tolist(), strict=True
    ):
        for symbol, price, is_stale in zip(bars.symbols, row, stale, strict=True):
            if price == price and not is_stale:
                yield time_ms, symbol, price


def replay(
    bus: Producer,
    ticks: Iterable[Tick],
    speed: float,
    clock: Clock,
    *,
    control: Control | None = None,
    longest_gap_s: float | None = None,
    on_tick: Callable[[int, int], None] | None = None,
) -> Summary:
    """Produce ticks with their own event times.

    speed: event seconds a wall second; 0 is as fast as possible. longest_gap_s: event seconds a gap counts at
    most, so that nights and weekends need not be sat through. on_tick(count, event time) reports progress.
    Everything produced is delivered before it returns, stopped or not. ValueError on a negative speed.
    """
    if speed < 0:
        raise ValueError(f"speed: negative, value {speed!r}")
    control = control or Control()
    pace = _Pace(clock, speed, control, longest_gap_s)
    count, first, last = 0, None, None
    try:
        for (time_ms, symbol, price), is_last in _with_last(ticks):
            if not pace.reach(time_ms):
                break
            event: Event = {"symbol": symbol, "price": price, "timestamp": time_ms}
            bus.produce(PRICES, event | {"last_of_replay": True} if is_last else event)
            count, first, last = count + 1, time_ms if first is None else first, time_ms
            if on_tick is not None:
                on_tick(count, time_ms)
    finally:
        bus.flush()
    return Summary(
        count, first, last, round(pace.elapsed(), 3), round(pace.waited_paused, 3), control.stopped
    )


def _with_last(ticks: Iterable[Tick]) -> Iterator[tuple[Tick, bool]]:
    """Yield each tick, and whether it is the last one: a page then says that the replay ended."""
    waiting: Tick | None = None
    for tick in ticks:
        if waiting is not None:
            yield waiting, False
        waiting = tick
    if waiting is not None:
        yield waiting, True


class _Pace:
    """When the next event is due on the wall clock."""

    def __init__(self, clock: Clock, speed: float, control: Control, longest_gap_s: float | None) -> None:
        self._clock, self._speed, self._control, self._longest = clock, speed, control, longest_gap_s
        self._began = clock.now()
        self._due = self._began
        self._previous: int | None = None
        self.waited_paused = 0.0

    def elapsed(self) -> float:
        return self._clock.now() - self._began - self.waited_paused

    def reach(self, time_ms: int) -> bool:
        """Wait until an event time is due; return False where the replay was stopped."""
        if self._speed and self._previous is not None:
            gap = max(0.0, (time_ms - self._previous) / 1000)
            self._due += (gap if self._longest is None else min(gap, self._longest)) / self._speed
        self._previous = time_ms
        while not self._control.stopped:
            self._sit_out_pause()
            left = self._due - self._clock.now() if self._speed else 0.0
            if left <= 0:
                return not self._control.stopped
            self._clock.wait(min(left, _LONGEST_WAIT))
        return False

    def _sit_out_pause(self) -> None:
        if not self._control.paused:
            return
        began = self._clock.now()
        while self._control.paused and not self._control.stopped:
            self._clock.wait(_LONGEST_WAIT)
        lost = self._clock.now() - began
        self._due += lost
        self.waited_paused += lost
