"""Mergers, spin-offs, new symbols and delistings, at the terms of real ones:
what a holder of 100 shares, or a short, comes to.

The terms, and where each was looked up, are in `tests/support/real_actions.py`.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from margin_platform.backtest import runs
from margin_platform.backtest.history import price_files
from margin_platform.cli import app
from margin_platform.contracts.messages import FILLS, Event
from margin_platform.documents.book_input import parse
from margin_platform.policy.policy import current_policy
from tests.support.field_cases import HERE, fed, stands
from tests.support.real_actions import REAL, action, held, moment, printed

SYMBOLS = ("OLD", "NEW", "OTHER")


@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("arrival", ["ahead", "late"])
@pytest.mark.parametrize("name", REAL)
def test_a_holder_comes_to_what_the_terms_say_and_is_not_stale_for_ever(
    name: str, arrival: str, side: int
) -> None:
    kind, day, price, terms, new_price, positions, gained = REAL[name]
    told = action(kind, day, **terms)
    morning = [printed("OTHER", 1.0, moment(day, 11))]
    later = dt.date.fromisoformat(day) + dt.timedelta(days=7)
    after = [printed("OTHER", 1.0, moment(later.isoformat(), 11))]
    after += [] if new_price is None else [printed("NEW", new_price, moment(later.isoformat(), 12))]
    after += [printed("OLD", price * 0.8, moment(later.isoformat(), 12))] if "OLD" in positions else []
    rows = [told, *morning, *after] if arrival == "ahead" else [*morning, told, *after]
    feed = fed([*held(side * 100.0, price, day), *rows], SYMBOLS, restart_after=5)
    shown = stands(feed)
    assert shown["positions"] == {symbol: side * shares for symbol, shares in positions.items()}
    assert shown["cash"] == pytest.approx(50_000.0 + side * gained)
    assert shown["stale_symbols"] == []


def test_a_new_symbol_goes_on_at_the_old_price_until_its_first_print() -> None:
    feed = fed(
        [
            *held(100.0, 196.64, "2022-06-09"),
            printed("OLD", 196.64, moment("2022-06-08", 16)),
            action("SYMBOL_CHANGE", "2022-06-09", new_symbol="NEW"),
            printed("OTHER", 1.0, moment("2022-06-09", 8)),
        ],
        SYMBOLS,
    )
    assert stands(feed) == {
        "positions": {"NEW": 100.0},
        "cash": 50_000.0,
        "equity": 69_664.0,
        "stale_symbols": [],
    }


def test_a_bank_that_failed_goes_on_over_the_counter_once_its_source_confirms_the_fall() -> None:
    """SIVB was halted at 106.04 and went on as SIVBQ at 0.53, the shape of a split of 200 for 1."""
    day = "2023-03-28"
    rows = [
        *held(100.0, 106.04, day),
        action("SYMBOL_CHANGE", day, new_symbol="NEW"),
        printed("NEW", 0.53, moment(day, 11)),
        printed("NEW", 0.40, moment(day, 12)),
    ]
    feed = fed(rows, SYMBOLS)
    assert (stands(feed)["positions"], stands(feed)["stale_symbols"]) == ({"NEW": 100.0}, ["NEW"])
    sure = printed("NEW", 0.40, moment(day, 13))
    feed.say((sure["topic"], sure["event"] | {"confirmed": True}))
    assert (stands(feed)["equity"], stands(feed)["stale_symbols"]) == (50_040.0, [])


def test_an_action_into_a_symbol_that_the_reference_data_do_not_have_is_a_dead_letter() -> None:
    feed = fed(
        [*held(100.0, 10.0, "2024-05-03"), action("STOCK_MERGER", "2024-05-03", new_symbol="GONE", ratio=1)],
        SYMBOLS,
    )
    (letter,) = [letter for outcome in feed.outcomes for letter in outcome.dead]
    assert (letter["field"], letter["value"], letter["reason"]) == ("new_symbol", "GONE", "unknown symbol")


def test_a_merger_called_off_after_its_day_gives_the_shares_back() -> None:
    day = "2024-05-03"
    called_off = action("STOCK_MERGER", day, status="CANCELLED")
    called_off["event"]["timestamp"] = moment(day, 12)
    feed = fed(
        [
            *held(100.0, 10.0, day),
            action("STOCK_MERGER", day, new_symbol="NEW", ratio=2, amount=1.0),
            printed("OTHER", 1.0, moment(day, 11)),
            called_off,
        ],
        SYMBOLS,
    )
    assert (stands(feed)["positions"], stands(feed)["cash"]) == ({"OLD": 100.0}, 50_000.0)


TRADES = st.lists(
    st.tuples(st.sampled_from(["OLD", "NEW"]), st.integers(-50, 50).filter(bool), st.booleans()), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(
    TRADES,
    st.sampled_from(["STOCK_MERGER", "SPIN_OFF", "SYMBOL_CHANGE", "CASH_MERGER", "DELISTING"]),
    st.randoms(),
)
def test_trades_and_the_action_in_any_order_come_to_the_same(
    trades: list[tuple[str, int, bool]], kind: str, random: Any
) -> None:
    """A fill of before the day counts as held, whenever it is read; one of the day or later does not."""
    day = "2024-05-03"
    told = action(kind, day, new_symbol="NEW", ratio=0.5, amount=2.0)
    shared = {"account_id": "A", "price": 10.0}
    rows = [told] + [
        {
            "topic": FILLS,
            "event": shared
            | {
                "fill_id": str(n),
                "symbol": symbol,
                "qty": float(qty),
                "timestamp": moment(day, 12) if late else moment(day, 10) - 82_000_000,
            },
        }
        for n, (symbol, qty, late) in enumerate(trades)
    ]
    random.shuffle(rows)
    feed = fed([*held(100.0, 10.0, day), *rows, printed("OTHER", 1.0, moment(day, 13))], SYMBOLS)
    before = {s: sum(q for name, q, late in trades if name == s and not late) for s in ("OLD", "NEW")}
    after = {s: sum(q for name, q, late in trades if name == s and late) for s in ("OLD", "NEW")}
    old = 100 + before["OLD"]
    into = {"STOCK_MERGER": 0.5, "SPIN_OFF": 0.5, "SYMBOL_CHANGE": 1.0}.get(kind, 0.0) * old
    expected = {
        "OLD": (old if kind == "SPIN_OFF" else 0) + after["OLD"],
        "NEW": before["NEW"] + into + after["NEW"],
    }
    assert stands(feed)["positions"] == {symbol: shares for symbol, shares in expected.items() if shares}
    paid = 2.0 * old if kind in ("STOCK_MERGER", "CASH_MERGER", "DELISTING") else 0.0
    assert stands(feed)["cash"] == 50_000.0 - 10.0 * sum(q for _, q, _ in trades) + paid


CASE = HERE / "delisted-mid-file"
LAST_TRADED = moment("2023-03-09", 17)


def backtested(tmp_path: Path, *events: Event, **policy: Any) -> Any:
    history, flaws = price_files.read(CASE / "delisted.csv")
    given_book = parse(
        json.loads((CASE / "book.json").read_text()), current_policy().override(policy), ["SIVB", "AAPL"]
    )
    job, _ = runs.prepare(
        history, flaws, given_book, trades=[(event["topic"], event["event"]) for event in events]
    )
    return runs.execute(job, (), "delisted")


def test_a_column_without_prices_to_the_end_is_one_line(tmp_path: Path) -> None:
    ran = CliRunner().invoke(
        app,
        [
            "backtest",
            "--prices",
            str(CASE / "delisted.csv"),
            "--book",
            str(CASE / "book.json"),
            "--out",
            str(tmp_path),
        ],
    )
    assert ran.exit_code == 2
    (line,) = [line for line in ran.output.splitlines() if "no price" in line]
    assert "column SIVB: no price from row 48 (2023-03-10) to the end, 204 rows" in line


@pytest.mark.parametrize("value", [0.0, 0.4, 106.04])
def test_a_delisting_settles_the_position_at_its_value_and_the_run_goes_on(
    tmp_path: Path, value: float
) -> None:
    """100 AAPL at 150 less a debit of 6,200, and what the 10 SIVB are settled at."""
    event = action("DELISTING", "2023-03-10", symbol="SIVB", amount=value)
    event["event"]["timestamp"] = LAST_TRADED
    result = backtested(tmp_path, event, on_split_shape="keep")  # SIVB's last fall, 60.3%, was real
    assert result.final_equity.tolist() == pytest.approx([100 * 150.0 - 6_200.0 + 10 * value])
    assert [row.action for row in result.record.decisions if row.action == "HELD"] == []
