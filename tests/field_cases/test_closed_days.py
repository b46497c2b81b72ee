"""Bars of days and hours without a session: named, and nothing is sold or restricted on them (CAL-002)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from margin_platform.cli import app
from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import Decision, LadderState
from margin_platform.policy.policy import current_policy
from margin_platform.trading_time.sessions import (
    in_session,
    sessions_between,
    trading_seconds_between,
    trading_time_after,
)

CASE = Path(__file__).parent / "19-bars-on-closed-days"
NEW_YORK = ZoneInfo("America/New_York")


def _backtest(prices: Path, out: Path, *more: str) -> Result:
    places = ["--prices", str(prices), "--book", str(CASE / "book.json"), "--out", str(out)]
    return CliRunner().invoke(app, ["backtest", *places, "--json", *more])


def _policy(folder: Path, **changes: str) -> Path:
    """The shipped policy with some keys of its backtest section replaced."""
    text = next(
        (Path(__file__).parents[2] / "margin_platform" / "policy" / "shipped").glob("*.yaml")
    ).read_text()
    for key, value in changes.items():
        text = "\n".join(
            f"  {key}: {value}" if line.startswith(f"  {key}:") else line for line in text.splitlines()
        )
    (folder / "policy.yaml").write_text(text)
    return folder / "policy.yaml"


def _rows(out: Path, kind: str) -> list[dict[str, str]]:
    (file,) = out.glob(f"{kind}-*.csv")
    return pd.read_csv(file, dtype=str).to_dict("records")  # type: ignore[return-value]


def test_rows_of_closed_days_are_named_with_the_reason(tmp_path: Path) -> None:
    done = _backtest(CASE / "weekend.csv", tmp_path / "out")
    assert done.exit_code == 2
    named = [line.removeprefix("margin: prices: ") for line in done.stderr.splitlines()]
    assert named == [
        f"row {row}, column timestamp: no session of the exchange: {why}, value '2024-01-{day}'"
        for row, day, why in (
            (6, "06", "Saturday"),
            (7, "07", "Sunday"),
            (13, "13", "Saturday"),
            (14, "14", "Sunday"),
            (15, "15", "Dr. Martin Luther King Jr. Day"),
        )
    ]


def test_left_out_they_call_and_sell_nothing(tmp_path: Path) -> None:
    done = _backtest(
        CASE / "weekend.csv", tmp_path / "out", "--policy", str(_policy(tmp_path, on_no_session="skip"))
    )
    assert done.exit_code == 0, done.stderr
    assert "CALL" not in {row["action"] for row in _rows(tmp_path / "out", "decisions")}
    assert _rows(tmp_path / "out", "fills") == []


def test_a_replay_names_them_and_publishes_none() -> None:
    """There is no broker: what it says before it looks for one."""
    done = CliRunner().invoke(
        app, ["replay", "--prices", str(CASE / "weekend.csv"), "--bootstrap", "127.0.0.1:1"]
    )
    named = [line for line in done.stderr.splitlines() if "left out" in line]
    assert len(named) == 5
    assert "row 6, column timestamp: no session of the exchange: Saturday, value '2024-01-06'" in named[0]


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("2024-05-27", "Memorial Day"),
        ("2024-07-04", "July 4th"),
        ("2024-09-02", "Labor Day"),
        ("2024-11-28", "Thanksgiving"),
        ("2024-12-25", "Christmas"),
        ("2024-03-29", "Good Friday"),
        ("2022-06-20", "Juneteenth"),
        ("2024-02-19", "President"),
        ("2018-12-05", "the exchange was closed"),
        ("2012-10-29", "the exchange was closed"),
        ("2025-01-09", "the exchange was closed"),
        ("2001-09-12", "the exchange was closed"),
        ("1984-12-25", "Christmas"),
        ("2024-06-09", "Sunday"),
    ],
)
@pytest.mark.parametrize("shape", ["wide", "long", "hours"])
def test_every_kind_of_closed_day_is_named(tmp_path: Path, day: str, why: str, shape: str) -> None:
    closed = dt.date.fromisoformat(day)
    sessions = sessions_between(closed - dt.timedelta(days=10), closed + dt.timedelta(days=10))
    days = sorted([*sessions, closed])
    hours = ("T03:00", "T12:00") if shape == "hours" else ("",)
    lines = [f"{each}{hour},{'AAPL,' * (shape == 'long')}100" for each in days for hour in hours]
    (tmp_path / "prices.csv").write_text(
        "\n".join(["date,symbol,price" if shape == "long" else "date,AAPL", *lines])
    )
    done = _backtest(tmp_path / "prices.csv", tmp_path / "out")
    assert done.exit_code == 2
    (named,) = done.stderr.splitlines()
    assert (
        f"row {2 + days.index(closed) * len(hours)}, column timestamp: no session of the exchange: {why}"
        in named
    )
    assert day in named


def test_a_session_is_named_by_nothing(tmp_path: Path) -> None:
    lines = [
        f"{day},100" for day in sessions_between(dt.date(2023, 11, 1), dt.date(2024, 1, 31))
    ]  # with two half days
    (tmp_path / "prices.csv").write_text("\n".join(["date,AAPL", *lines]))
    assert _backtest(tmp_path / "prices.csv", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("fill_at", ["close", "next"])
@pytest.mark.parametrize(
    ("fall", "recovery"),
    [
        ("2024-01-04T18:00", "2024-01-05T09:45"),
        ("2024-01-04T16:30", "2024-01-05T09:58"),
        ("2024-01-05T04:15", "2024-01-05T09:30"),
        ("2024-01-05T08:00", "2024-01-05T09:30"),
        ("2024-01-04T19:59", "2024-01-05T09:31"),
        ("2024-01-04T23:00", "2024-01-05T09:59"),
        ("2024-01-05T00:30", "2024-01-05T09:30"),
        ("2023-11-24T13:30", "2023-11-27T09:40"),
        ("2023-11-24T15:45", "2023-11-27T09:30"),
        ("2024-07-03T14:00", "2024-07-05T09:35"),
    ],
)
def test_a_fall_outside_market_hours_that_comes_back_with_the_session_sells_nothing(
    tmp_path: Path, fall: str, recovery: str, fill_at: str
) -> None:
    """CAL-002.

    Severe at once, for hours: a call, and no minute of its clock before the opening, whatever the bars
    between.
    """
    began, ended = (dt.datetime.fromisoformat(t).replace(tzinfo=NEW_YORK) for t in (fall, recovery))
    days = sessions_between(began.date() - dt.timedelta(days=4), ended.date() + dt.timedelta(days=4))
    times = {dt.datetime.combine(day, dt.time(hour, 30), NEW_YORK) for day in days for hour in range(4, 20)}
    prices = [(t, 75.0 if began <= t < ended else 100.0) for t in sorted(times | {began, ended})]
    (tmp_path / "prices.csv").write_text(
        "\n".join(["timestamp,AAPL", *(f"{t.isoformat()},{p}" for t, p in prices)])
    )
    done = _backtest(
        tmp_path / "prices.csv",
        tmp_path / "out",
        "--policy",
        str(_policy(tmp_path, fill_at=fill_at, on_jump="keep")),
    )
    assert done.exit_code == 0, done.stderr
    assert _rows(tmp_path / "out", "fills") == []
    actions = [row["action"] for row in _rows(tmp_path / "out", "decisions")]
    assert [action for action in actions if action in ("CALL", "CLOSE_ONLY", "LIQUIDATE")] == ["CALL"]


@pytest.mark.parametrize("fill_at", ["close", "next"])
def test_a_fall_in_the_evening_that_stays_sells_in_the_session(tmp_path: Path, fill_at: str) -> None:
    days = sessions_between(dt.date(2024, 1, 2), dt.date(2024, 1, 12))
    times = [dt.datetime.combine(day, dt.time(hour, 30), NEW_YORK) for day in days for hour in range(4, 20)]
    rows = [
        f"{t.isoformat()},{70.0 if t >= dt.datetime(2024, 1, 4, 17, tzinfo=NEW_YORK) else 100.0}"
        for t in times
    ]
    (tmp_path / "prices.csv").write_text("\n".join(["timestamp,AAPL", *rows]))
    done = _backtest(
        tmp_path / "prices.csv",
        tmp_path / "out",
        "--policy",
        str(_policy(tmp_path, fill_at=fill_at, on_jump="keep")),
    )
    assert done.exit_code == 0, done.stderr
    first = _rows(tmp_path / "out", "fills")[0]
    sold = dt.datetime.fromtimestamp(int(first["time"]) / 1000, NEW_YORK)
    assert sold.isoformat() == f"2024-01-05T{'10' if fill_at == 'close' else '11'}:30:00-05:00"


moments = st.integers(315_532_800_000, 1_767_225_600_000)  # 1980 to 2026


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(at=moments, minutes=st.integers(0, 3_000))
def test_minutes_of_trading_end_in_a_session_and_are_as_many_as_asked_for(at: int, minutes: int) -> None:
    end = trading_time_after(at, minutes * 60.0)
    assert end >= at
    assert in_session(end)
    assert trading_seconds_between(at, end) == pytest.approx(minutes * 60, abs=0.01)


def test_a_further_liquidation_of_the_evening_is_not_lost_where_the_morning_brings_no_newer_figures() -> None:
    """Liquidated at 14:30, worse at 18:00, no print after it:
    the clock decides in the next session, after the pause.
    """
    policy = current_policy()
    day = dt.datetime(2024, 1, 4, tzinfo=NEW_YORK)

    def at(hour: int, days: int = 0) -> int:
        return int((day + dt.timedelta(days=days, hours=hour)).timestamp() * 1000)

    state, decided = LadderState("A"), list[Decision]()
    for time, excess in ((at(14), -9_000.0), (at(18), -9_500.0)):
        state, before = ladder.tick(state, time, policy)
        state, then = ladder.step(state, Observation("A", time, 1_000.0, 10_000.0, 10_000.0, excess), policy)
        decided += [*before, *then]
    state, next_day = ladder.tick(state, at(12, days=1), policy)
    decided += next_day
    times = [(d.timestamp, d.attempt) for d in decided if d.kind == "LIQUIDATE"]
    assert times == [(at(14) + 30 * 60_000, 1), (at(9, days=1) + 45 * 60_000, 2)]
    assert ladder.tick(state, at(12, days=4), policy)[1] == ()  # a further one needs newer figures again
