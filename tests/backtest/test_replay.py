"""Replay keeps event times, keeps pace, pauses, resumes and stops; nothing produced is lost."""

from __future__ import annotations

import datetime as dt
import io
import os
import signal
import sys
from typing import Any

import pytest

from margin_platform.backtest.history.replay import Control, WallClock, replay, ticks_of
from margin_platform.backtest.runs import execute, sample_history
from margin_platform.backtest.session import session_job
from margin_platform.cli.replay import _keys, _progress
from margin_platform.contracts.messages import ACCOUNTS, CASH, FILLS, PRICES, VOLATILITY, decode
from margin_platform.kafka.bus import Bus
from margin_platform.policy.policy import current_policy


class Tape:
    """Keeps what is produced, with the wall time it was produced at."""

    def __init__(self, clock: Hands) -> None:
        self.clock, self.rows, self.flushed = clock, list[tuple[float, dict[str, Any]]](), 0

    def produce(self, topic: str, event: dict[str, Any], key: str | None = None) -> None:
        assert topic == PRICES
        self.rows.append((self.clock.now(), event))

    def flush(self) -> None:
        self.flushed += 1


class Hands:
    """A clock moved by waiting on it; `at` runs something once a time is reached."""

    def __init__(self) -> None:
        self.time, self.at = 0.0, dict[float, Any]()

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds
        for moment in [m for m in self.at if m <= self.time]:
            self.at.pop(moment)()


TICKS = [(1_000_000 + n * 10_000, "AAA", 100.0 + n) for n in range(5)]  # ten seconds apart


def _wall_times(speed: float, **options: Any) -> list[float]:
    clock = Hands()
    tape = Tape(clock)
    replay(tape, options.pop("ticks", TICKS), speed, clock, **options)
    assert tape.flushed == 1
    return [round(t, 6) for t, _ in tape.rows]


@pytest.mark.parametrize(("speed", "gap"), [(1, 10.0), (10, 1.0), (100, 0.1)])
def test_ticks_come_at_their_distance_divided_by_the_speed(speed: float, gap: float) -> None:
    assert _wall_times(speed) == [round(n * gap, 6) for n in range(5)]


def test_speed_zero_waits_for_nothing() -> None:
    assert _wall_times(0) == [0.0] * 5


def test_event_times_and_prices_are_kept() -> None:
    clock = Hands()
    tape = Tape(clock)
    summary = replay(tape, TICKS, 50, clock)
    assert [(e["timestamp"], e["symbol"], e["price"]) for _, e in tape.rows] == TICKS
    assert (summary.events, summary.first, summary.last, summary.stopped) == (
        5,
        TICKS[0][0],
        TICKS[-1][0],
        False,
    )


def test_a_night_counts_no_more_than_the_longest_gap() -> None:
    night = [(0, "A", 1.0), (64_800_000, "A", 1.0), (64_810_000, "A", 1.0)]
    assert _wall_times(1, ticks=night, longest_gap_s=60) == [0.0, 60.0, 70.0]


def test_a_pause_shifts_what_follows_by_its_length_and_loses_nothing() -> None:
    clock, control = Hands(), Control()
    clock.at = {12.0: control.toggle, 42.0: control.toggle}
    tape = Tape(clock)
    summary = replay(tape, TICKS, 1, clock, control=control)
    times = [t for t, _ in tape.rows]
    assert times[:2] == [0.0, pytest.approx(10.0)]
    assert times[2:] == [pytest.approx(n * 10.0 + summary.paused_seconds) for n in (2, 3, 4)]
    assert summary.paused_seconds == pytest.approx(30.0, abs=0.5)
    assert summary.wall_seconds == pytest.approx(40.0, abs=0.5)


def test_a_stop_ends_it_also_during_a_pause_and_delivers_what_was_handed_over() -> None:
    clock, control = Hands(), Control()
    clock.at = {12.0: control.toggle, 20.0: control.stop}
    tape = Tape(clock)
    summary = replay(tape, TICKS, 1, clock, control=control)
    assert (summary.events, summary.stopped, tape.flushed) == (2, True, 1)


def test_the_program_pauses_resumes_and_stops_on_signals_and_puts_them_back() -> None:
    before = [signal.getsignal(s) for s in (signal.SIGUSR1, signal.SIGINT)]
    control = Control()
    with _keys(control):
        os.kill(os.getpid(), signal.SIGUSR1)
        assert control.paused
        os.kill(os.getpid(), signal.SIGUSR1)
        assert not control.paused
        os.kill(os.getpid(), signal.SIGINT)
        assert control.stopped
    assert [signal.getsignal(s) for s in (signal.SIGUSR1, signal.SIGINT)] == before


def test_the_bar_moves_with_each_price_and_says_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    control = Control()
    with _progress(984, control, quiet=False) as on_tick:
        assert on_tick is not None
        on_tick(1, 1_582_205_400_000)
    assert "2020-02-20 08:30 EST" in screen.getvalue()
    assert "1/984" in screen.getvalue()
    assert "PAUSED" not in screen.getvalue()
    with _progress(984, control, quiet=False):
        control.toggle()
    assert "PAUSED" in screen.getvalue()


def test_a_negative_speed_is_refused() -> None:
    with pytest.raises(ValueError, match="speed"):
        replay(Tape(Hands()), TICKS, -1, Hands())


@pytest.mark.kafka
def test_a_day_of_the_sample_reaches_a_real_broker_with_its_event_times(bus: Bus) -> None:
    history = sample_history()
    ticks = list(ticks_of(history, history.between(dt.date(2020, 3, 18), dt.date(2020, 3, 18))))
    summary = replay(bus, ticks, 0, WallClock())
    events = [decode(PRICES, r.value) for r in bus.read_all(PRICES)]
    assert sorted((e["timestamp"], e["symbol"], e["price"]) for e in events) == sorted(ticks)
    assert summary.events == len(ticks) == 24


@pytest.mark.kafka
def test_a_session_on_kafka_is_replayed_with_the_book_and_figures_it_had(bus: Bus) -> None:
    """A book opened before the session, its prices, and a deposit in the middle of it."""
    day, opened = dt.date(2020, 3, 18), 1584538200000  # 09:30 New York
    account = {"account_id": "A", "margin_type": "REG_T", "timestamp": opened - 1}
    bus.produce(ACCOUNTS, account)
    bus.produce(
        CASH, {"account_id": "A", "transfer_id": "1", "amount": 1000.0, "timestamp": opened - 86_400_000}
    )
    bus.produce(
        FILLS,
        {
            "account_id": "A",
            "fill_id": "1",
            "symbol": "CVX",
            "qty": 50.0,
            "price": 60.0,
            "timestamp": opened - 86_400_000,
        },
    )
    bus.produce(VOLATILITY, {"symbol": "CVX", "volatility_annual": 0.75, "timestamp": opened - 1})
    for n, price in enumerate((60.0, 50.0, 47.0)):
        bus.produce(PRICES, {"symbol": "CVX", "price": price, "timestamp": opened + n * 60_000})
    bus.produce(CASH, {"account_id": "A", "transfer_id": "2", "amount": 1500.0, "timestamp": opened + 90_000})
    bus.flush()
    job = session_job(bus, day, current_policy())
    code = job.path.market.code_of()["CVX"]
    assert job.path.price[:, code].tolist() == [60.0, 50.0, 47.0]
    assert job.path.sigma[0, code] == 0.75
    assert job.book.cash.tolist() == [-2000.0]  # 1,000 less 50 at 60
    result = execute(job, (), "session")
    assert [(r.bar, r.action) for r in result.record.decisions if r.action.startswith("CALL")] == [
        (0, "CALL"),
        (1, "CALL_INCREASED"),
        (2, "CALL_CURED"),
    ]
    assert result.final_equity.tolist() == [50 * 47 - 2000 + 1500]
