"""Falls that an announced dividend or spin-off explains, and symbols that change hands in one night."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import Event
from tests.support.amended_actions import ANNOUNCED, FALLS, SPUN, at, opening, printed, said
from tests.support.field_cases import fed, stands

NEW_PRICE = printed(33.0, at(10, 9, 29), "BBB")


@pytest.mark.parametrize("news", ["ahead", "late", "ahead, restarted", "restarted on the day"])
@pytest.mark.parametrize("name", FALLS)
def test_an_announced_payout_holds_its_holder_for_no_split(name: str, news: str) -> None:
    before, kind, terms, after = FALLS[name]
    first, second, third = (printed(after * (1 + n / 1000), at(10, 9, 31 + 2 * n)) for n in range(3))
    told = said("p", kind, ANNOUNCED + 2 if news != "late" else at(10, 9, 32), **terms)
    prints = [first, told, second, third] if news == "late" else [told, first, second]
    restart_after = {"ahead, restarted": 6, "restarted on the day": 7}.get(news)
    feed = fed([*opening(before, 100.0), NEW_PRICE, *prints], restart_after=restart_after)
    assert stands(feed)["stale_symbols"] == []
    assert feed.price("AAA") == (third if news == "late" else second)["event"]["price"]


UNEXPLAINED: list[tuple[str, dict[str, Any], float]] = [
    ("DIVIDEND", {"amount": 1.0}, 50.0),
    ("DIVIDEND", {"amount": 10.0}, 30.0),
    ("DIVIDEND", {"amount": 40.0}, 20.0),
    ("DIVIDEND", {"amount": 40.0}, 120.0),
    ("SPIN_OFF", SPUN, 200.0),
    ("SPIN_OFF", SPUN, 1_000.0),
    ("SPIN_OFF", SPUN, 150.0),
    ("DIVIDEND", {"amount": 500.0}, 20.0),
]


@pytest.mark.parametrize(("kind", "terms", "after"), UNEXPLAINED)
def test_what_a_payout_does_not_explain_is_held(kind: str, terms: dict[str, Any], after: float) -> None:
    prints = [printed(after * (1 + n / 1000), at(10, 9, 31 + n)) for n in range(3)]
    feed = fed([*opening(100.0, 100.0), NEW_PRICE, said("p", kind, ANNOUNCED + 2, **terms), *prints])
    assert stands(feed)["stale_symbols"] == ["AAA"]


def _backtested(folder: Path, prices: list[float], event: Event) -> tuple[int, str]:
    days = ["2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"]
    rows = [f"{day},{price},33" for day, price in zip(days, prices, strict=True)]
    (folder / "prices.csv").write_text("\n".join(["date,AAA,BBB", *rows]))
    held = {"account_id": "A", "cash": 0, "positions": [{"symbol": "AAA", "qty": 1}]}
    (folder / "book.json").write_text(json.dumps({"accounts": [held]}))
    told = event | {"topic": "corporate_actions.v1", "ex_date": days[2], "timestamp": 1_704_204_000_000}
    (folder / "events.jsonl").write_text(json.dumps(told))
    files = {"--prices": "prices.csv", "--book": "book.json", "--events": "events.jsonl", "--out": "out"}
    places = [text for name, file in files.items() for text in (name, str(folder / file))]
    ran = CliRunner().invoke(app, ["backtest", *places, "--json"])
    return ran.exit_code, ran.output


@pytest.mark.parametrize("name", FALLS)
def test_a_history_across_a_payout_is_no_flaw(name: str, tmp_path: Path) -> None:
    before, kind, terms, after = FALLS[name]
    event = said("p", kind, 0, **terms)["event"]
    code, output = _backtested(tmp_path, [before, before, after, after], event)
    assert code == 0, output


@pytest.mark.parametrize(("kind", "terms", "after"), UNEXPLAINED)
def test_a_history_that_a_payout_does_not_explain_is_refused(
    kind: str, terms: dict[str, Any], after: float, tmp_path: Path
) -> None:
    code, output = _backtested(tmp_path, [100.0, 100.0, after, after], said("p", kind, 0, **terms)["event"])
    assert (code, "row 4, column AAA: 2024-01-04: " in output) == (2, True)


def _renamed(identity: str, symbol: str, new: str) -> Event:
    event = said(identity, "SYMBOL_CHANGE", ANNOUNCED + 2, new_symbol=new)
    return event | {"event": event["event"] | {"symbol": symbol}}


NIGHTS: dict[str, tuple[list[tuple[str, str]], dict[str, float], dict[str, float]]] = {
    # changes of one night; positions and prices after it, of 100 AAA at 100 and 50 BBB at 20
    "one": ([("AAA", "CCC")], {"BBB": 50.0, "CCC": 100.0}, {"CCC": 100.0, "BBB": 20.0}),
    "given up and taken": (
        [("AAA", "BBB"), ("BBB", "CCC")],
        {"BBB": 100.0, "CCC": 50.0},
        {"BBB": 100.0, "CCC": 20.0},
    ),
    "the same downwards": (
        [("BBB", "AAA"), ("AAA", "CCC")],
        {"AAA": 50.0, "CCC": 100.0},
        {"AAA": 20.0, "CCC": 100.0},
    ),
    "exchanged": ([("AAA", "BBB"), ("BBB", "AAA")], {"AAA": 50.0, "BBB": 100.0}, {"AAA": 20.0, "BBB": 100.0}),
    "a round of three": (
        [("AAA", "BBB"), ("BBB", "CCC"), ("CCC", "AAA")],
        {"BBB": 100.0, "CCC": 50.0},
        {"BBB": 100.0, "CCC": 20.0},
    ),
}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("name", NIGHTS)
def test_symbols_of_one_night_change_at_once_and_no_two_positions_join(name: str, *, backwards: bool) -> None:
    """Equity stays 12,000 and 100 of cash: each position is worth what it was the night before."""
    changes, positions, prices = NIGHTS[name]
    told = [_renamed(f"{n}", old, new) for n, (old, new) in enumerate(changes)]
    fill = {"fill_id": "g", "account_id": "A", "symbol": "BBB", "qty": 50.0, "price": 20.0}
    paid = {"transfer_id": "d", "account_id": "A", "amount": 1_000.0, "timestamp": ANNOUNCED}
    rows = [
        *opening(100.0, 100.0),
        {"topic": "cash.v1", "event": paid},
        {"topic": "fills.v1", "event": fill | {"timestamp": ANNOUNCED}},
        printed(20.0, ANNOUNCED + 1, "BBB"),
        *(told[::-1] if backwards else told),
        printed(100.0, at(7, 16)),
        printed(20.0, at(7, 16), "BBB"),
        printed(1.0, at(10, 9, 29), "DDD"),
    ]
    feed = fed(rows, ("AAA", "BBB", "CCC", "DDD"))
    assert stands(feed) == {"positions": positions, "cash": 100.0, "equity": 11_100.0, "stale_symbols": []}
    assert {symbol: feed.price(symbol) for symbol in prices} == prices


@pytest.mark.parametrize("former", [13.5, 20.0, 50.0, 99.0, 101.0, 200.0, 1_000.0, 0.01])
def test_a_new_symbol_is_not_valued_at_the_price_of_the_company_that_had_it_before(former: float) -> None:
    """META was the symbol of a fund until January of 2022; its last price is not Facebook's."""
    rows = [*opening(100.0, 100.0), _renamed("x", "AAA", "BBB"), printed(100.0, at(7, 16))]
    before = [printed(former, at(7, 16), "BBB"), printed(1.0, at(10, 9, 29), "CCC")]
    feed = fed([*rows, *before])
    assert (stands(feed)["equity"], stands(feed)["stale_symbols"]) == (10_100.0, [])
    feed = fed([*rows, *before, printed(101.0, at(10, 9, 31), "BBB")])
    assert (stands(feed)["equity"], stands(feed)["stale_symbols"]) == (10_200.0, [])


def test_a_symbol_that_changes_on_the_day_of_a_split_is_valued_on_its_shares() -> None:
    rows = [said("s", "SPLIT", ANNOUNCED + 2, ratio=3), _renamed("x", "AAA", "BBB")]
    feed = fed([*opening(90.0, 100.0), *rows, printed(90.0, at(7, 16)), printed(1.0, at(10, 9, 29), "CCC")])
    assert (stands(feed)["positions"], stands(feed)["equity"]) == ({"BBB": 300.0}, 9_100.0)
