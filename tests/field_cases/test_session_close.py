"""A session's close is its last print in market hours, or the official one:
live and in a backtest the same (VOL-006).
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margin_platform.backtest import runs
from margin_platform.backtest.history import price_files
from margin_platform.contracts.messages import PRICES, Event, encode
from margin_platform.documents.book_input import parse
from margin_platform.kafka.bus import Record
from margin_platform.policy.policy import current_policy
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import session_close, sessions_between
from margin_platform.volatility.engine import VolatilityEngine

SESSIONS = sessions_between(dt.date(2023, 11, 20), dt.date(2024, 1, 5))  # with a half day, 24 November
HALF_DAY = dt.date(2023, 11, 24)
MINUTE = 60_000
Print = tuple[int, float, dict[str, Any]]  # event time, price, the source's remarks


def _at(day: dt.date, time: str) -> int:
    return int(dt.datetime.combine(day, dt.time.fromisoformat(time), NEW_YORK).timestamp() * 1000)


def _regular(day: dt.date) -> list[Print]:
    """Prints of one session; its close is 100 on even days and 101 on odd ones."""
    close, price = int(session_close(day).timestamp() * 1000), 100.0 + day.toordinal() % 2
    return [(_at(day, "09:30"), 95.0, {}), (close - MINUTE, 99.0, {}), (close, price, {})]


def _published(extra: list[Print]) -> list[Event]:
    """The newest volatility of each session, of the regular prints with others among them in time order."""
    engine, found = VolatilityEngine(current_policy()), dict[str, Event]()
    prints = sorted([row for day in SESSIONS for row in _regular(day)] + extra, key=lambda row: row[0])
    for offset, (at, price, remarks) in enumerate(prints):
        event = {"symbol": "AAA", "price": price, "timestamp": at, **remarks}
        for made in engine.process([Record(PRICES, 0, offset, None, encode(event), at)]):
            found[made["as_of"]] = made
    return list(found.values())


DAY = SESSIONS[-3]


@pytest.mark.parametrize(
    "extra",
    [
        [(_at(DAY, "18:00"), 130.0, {})],
        [(_at(day, "19:00"), 103.0 if n % 2 else 97.0, {}) for n, day in enumerate(SESSIONS)],
        [(_at(DAY, "16:00") + 1, 130.0, {})],
        [(_at(DAY, "04:00"), 70.0, {}), (_at(DAY, "09:29"), 130.0, {})],
        [(_at(HALF_DAY, "13:30"), 130.0, {}), (_at(HALF_DAY, "16:00"), 130.0, {})],
        [(_at(dt.date(2023, 12, 25), "12:00"), 130.0, {})],
        [(_at(dt.date(2023, 12, 30), "12:00"), 130.0, {})],
        [(_at(DAY, "23:59"), 0.01, {"confirmed": True})],
        [(_at(DAY, "20:00"), 130.0, {"sequence": 9_000_000})],
        [(_at(DAY, "17:00"), 130.0, {}), (_at(DAY, "17:05"), 100.0, {"correction": True})],
        [(_at(DAY, "17:00"), 130.0, {"official_close": False})],
        [(_at(DAY, "17:00"), 130.0, {"official_close": None})],
    ],
    ids=[
        "an evening print",
        "thin evening prints",
        "a millisecond late",
        "before the opening",
        "after a half day's close",
        "Christmas",
        "a Saturday",
        "confirmed",
        "with a sequence",
        "corrected in the evening",
        "not official",
        "official unknown",
    ],
)
def test_a_print_outside_market_hours_moves_no_volatility(extra: list[Print]) -> None:
    """VOL-006."""
    assert _published(extra) == _published([])


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from(SESSIONS), st.integers(1, 479), st.floats(1.0, 1000.0), st.booleans()),
        max_size=30,
    )
)
def test_no_print_of_the_night_moves_any_volatility(prints: list[tuple[dt.date, int, float, bool]]) -> None:
    """Minutes after the close of a session, or before the next day's opening."""
    night = [
        (
            (int(session_close(day).timestamp() * 1000) + minute * MINUTE)
            if after
            else (_at(day, "09:30") - minute * MINUTE),
            price,
            {},
        )
        for day, minute, price, after in prints
    ]
    assert _published(night) == _published([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("time", "later"), [("16:00:05", []), ("18:30", []), ("15:59:59", []), ("16:10", [("16:20", 130.0)])]
)
def test_the_official_close_counts_whenever_it_is_printed(time: str, later: list[tuple[str, float]]) -> None:
    official: list[Print] = [
        (_at(DAY, time), 107.0, {"official_close": True}),
        *((_at(DAY, t), p, {}) for t, p in later),
    ]
    close = int(session_close(DAY).timestamp() * 1000)
    as_if: list[Print] = [(close, 107.0, {})]  # as if it had been the last print in market hours
    figures = [[e["volatility_annual"] for e in _published(prints)] for prints in (official, as_if, [])]
    assert figures[0] == figures[1]
    assert figures[0][-1] != figures[2][-1]


def test_a_correction_in_the_evening_of_the_closing_print_corrects_the_close() -> None:
    close = int(session_close(DAY).timestamp() * 1000)
    named: list[Print] = [(close + 5 * MINUTE, 107.0, {"correction": True, "corrects_timestamp": close})]
    unnamed: list[Print] = [(close + 5 * MINUTE, 107.0, {"correction": True})]
    assert _published(named) == _published(unnamed) == _published([(close, 107.0, {})])


def test_a_session_with_evening_prints_only_has_no_close() -> None:
    engine = VolatilityEngine(current_policy())
    events = [
        {"symbol": "AAA", "price": 100.0, "timestamp": _at(day, time)}
        for day in SESSIONS[:5]
        for time in ("08:00", "18:00")
    ]
    assert (
        engine.process([Record(PRICES, 0, n, None, encode(e), e["timestamp"]) for n, e in enumerate(events)])
        == []
    )


def test_a_state_kept_before_official_closes_is_continued() -> None:
    engine = VolatilityEngine(current_policy())
    close = int(session_close(SESSIONS[0]).timestamp() * 1000)
    engine.process(
        [Record(PRICES, 0, 0, None, encode({"symbol": "AAA", "price": 100.0, "timestamp": close}), close)]
    )
    state = json.loads(json.dumps(engine.to_state()))
    del state["last_print"]
    state["closes"] = {s: {d: row[:4] for d, row in rows.items()} for s, rows in state["closes"].items()}
    restored = VolatilityEngine(current_policy())
    restored.restore(state)
    assert restored.to_state()["closes"] == engine.to_state()["closes"]


def test_a_backtest_rests_on_the_same_closes_as_the_stream(tmp_path: Path) -> None:
    """Hourly bars around the clock, the evening's far from the close:
    the volatility known at each bar is the one published before.
    """
    prints = sorted(
        [row for day in SESSIONS for row in _regular(day)]
        + [
            (_at(day, time), price, {})
            for day in SESSIONS
            for time, price in (("05:00", 103.0), ("18:00", 97.0), ("19:30", 104.0))
        ]
    )
    stamps = [dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat() for at, _, _ in prints]
    (tmp_path / "prices.csv").write_text(
        "\n".join(["timestamp,AAA", *(f"{t},{p[1]}" for t, p in zip(stamps, prints, strict=True))])
    )
    history, flaws = price_files.read(tmp_path / "prices.csv")
    book = parse({"accounts": [{"account_id": "A", "cash": 0, "positions": [{"symbol": "AAA", "qty": 1}]}]})
    job, _ = runs.prepare(history, flaws, book)
    known = dict(zip(history.dates(), job.path.sigma[:, 0].tolist(), strict=True))
    published = {event["as_of"]: event["volatility_annual"] for event in _published([])}
    after = dict(zip(SESSIONS[1:], [published[day.isoformat()] for day in SESSIONS[:-1]], strict=True))
    assert np.allclose([known[day] for day in after], list(after.values()))
    assert len({*after.values()}) > 2
