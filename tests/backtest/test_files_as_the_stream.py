"""A price file with its corporate actions comes to what the stream came to on the same prints:
the same decisions, sales, positions, cash and figures, however late an action is announced.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from margin_platform.backtest.history.flaws import HistoryError
from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, Event
from margin_platform.kernel.market import Instrument
from margin_platform.trading_time.new_york import NEW_YORK
from margin_platform.trading_time.sessions import close_ms, sessions_between
from tests.support.both_ways import Came, filed, live, records_of, replayed

DAYS = sessions_between(dt.date(2024, 1, 2), dt.date(2024, 1, 12))
EX_DATE = DAYS[3]
SYMBOLS = ("AAA", "BBB")
SPUN = {"new_symbol": "BBB", "ratio": 1.0}
# kind, terms, and the closes of AAA and BBB from the ex-date on; before it 100 and 50. The account is in a
# call of the maintenance requirement at every price of AAA of 71 and less, if nothing explains it.
KINDS: dict[str, tuple[str, dict[str, Any], float, float]] = {
    "spin-off of half, the shape of a split": ("SPIN_OFF", SPUN, 50.0, 50.0),
    "spin-off of two fifths, another shape": ("SPIN_OFF", SPUN | {"ratio": 0.8}, 60.0, 50.0),
    "spin-off of 43%, no shape": ("SPIN_OFF", SPUN | {"ratio": 0.86}, 57.0, 50.0),
    "spin-off of a fifth": ("SPIN_OFF", SPUN | {"ratio": 0.4}, 80.0, 50.0),
    "dividend of one": ("DIVIDEND", {"amount": 1.0}, 99.0, 50.0),
    "dividend of a fifth": ("DIVIDEND", {"amount": 20.0}, 81.0, 50.0),
    "dividend of two fifths": ("DIVIDEND", {"amount": 40.0}, 60.5, 50.0),
    "dividend that was not paid": ("DIVIDEND", {"amount": 25.0}, 99.0, 50.0),
    "dividend above the price": ("DIVIDEND", {"amount": 250.0}, 99.0, 50.0),
    "split 2 for 1": ("SPLIT", {"ratio": 2}, 50.0, 50.0),
    "split 5 for 4": ("SPLIT", {"ratio": 1.25}, 80.0, 50.0),
    "split 1 for 12": ("SPLIT", {"ratio_new": 1, "ratio_old": 12}, 1_200.0, 50.0),
    "cash merger": ("CASH_MERGER", {"amount": 104.0}, 100.0, 50.0),
    "stock merger": ("STOCK_MERGER", {"new_symbol": "BBB", "ratio": 2.0}, 100.0, 50.0),
    "symbol change": ("SYMBOL_CHANGE", {"new_symbol": "BBB"}, 100.0, 100.0),
    "delisting": ("DELISTING", {"amount": 0.0}, 100.0, 50.0),
}


def moment(day: dt.date, hour: int, minute: int = 0) -> int:
    return int(dt.datetime.combine(day, dt.time(hour, minute), NEW_YORK).timestamp() * 1000)


def action(at: int, kind: str, terms: dict[str, Any], **more: Any) -> Event:
    event = {"action_id": "x", "symbol": "AAA", "kind": kind, "ex_date": EX_DATE.isoformat(), "timestamp": at}
    return {"topic": CORPORATE_ACTIONS, "event": event | terms | more}


News = Callable[[str, dict[str, Any]], list[Event]]
EARLY = moment(DAYS[1], 10)
NEWS: dict[str, News] = {
    "ahead": lambda kind, terms: [action(EARLY, kind, terms)],
    "in the morning of the ex-date": lambda kind, terms: [action(moment(EX_DATE, 8), kind, terms)],
    "in the evening of the ex-date": lambda kind, terms: [action(moment(EX_DATE, 18), kind, terms)],
    "three days late": lambda kind, terms: [action(moment(DAYS[6], 9, 45), kind, terms)],
    "cancelled late": lambda kind, terms: [
        action(EARLY, kind, terms),
        action(moment(DAYS[5], 9, 45), kind, terms, status="CANCELLED"),
    ],
    "contradicted": lambda kind, terms: [
        action(EARLY, kind, terms, source="one"),
        action(EARLY + 1, kind, _others(terms), source="two", action_id="y"),
    ],
}


def _others(terms: dict[str, Any]) -> dict[str, Any]:
    """Other terms of the same kind."""
    return {n: v + 1 if n in ("amount", "ratio", "ratio_old") else v for n, v in terms.items()}


CASES = [
    (name, news, 100.0 if (n + m) % 2 else -100.0)
    for n, name in enumerate(KINDS)
    for m, news in enumerate(NEWS)
    if (name, news) != ("symbol change", "contradicted")  # there are no other terms in two symbols
]
CASES += [(name, news, -shares) for name, news, shares in CASES if "late" in news and name != "delisting"]


def cash_of(name: str, news: str, shares: float) -> float:
    """Cash that leaves the account on the edge of a call.

    Where a timer would sell it out between two bars, a backtest sizes the order at the later one, and an
    account that is left with a debit alone leaves it (docs/limits.md): these have more cash.
    """
    if shares < 0:
        return 30_000.0 if name.startswith("spin-off") and news == "cancelled late" else 15_000.0
    if name == "delisting":
        return 5_000.0
    return -3_650.0 if (name, news) == ("spin-off of 43%, no shape", "three days late") else -5_000.0


def closes(name: str, news: str) -> list[tuple[int, float, float]]:
    """Event time and the closes of AAA and BBB; what is cancelled did not move them."""
    before = 50.0 if name != "symbol change" else 100.0
    _, _, after, other = KINDS[name] if news != "cancelled late" else ("", {}, 100.0, before)
    rows = []
    for n, day in enumerate(DAYS):
        wave = 1.0 + 0.002 * (n % 3)
        known = (100.0, before) if day < EX_DATE else (after, other)
        rows.append((close_ms(day), round(known[0] * wave, 4), round(known[1] * wave, 4)))
    return rows


def recorded(
    rows: list[tuple[int, float, float]], told: list[Event], cash: float, shares: float
) -> list[Event]:
    """The rows of the topics."""
    first = rows[0]
    shared = {"account_id": "A", "timestamp": first[0] - 1}
    price = first[1]
    fill = {"fill_id": "f", "symbol": "AAA", "qty": shares, "price": price}
    opening = [
        {"topic": ACCOUNTS, "event": shared | {"margin_type": "REG_T"}},
        {"topic": CASH, "event": shared | {"transfer_id": "c", "amount": cash + shares * price}},
        {"topic": FILLS, "event": shared | fill},
    ]
    prints = [
        {"topic": PRICES, "event": {"symbol": symbol, "price": price, "timestamp": at}}
        for at, *prices in rows
        for symbol, price in zip(SYMBOLS, prices, strict=True)
    ]
    return sorted([*opening, *prints, *told], key=lambda row: row["event"]["timestamp"])


def ways(
    rows: list[tuple[int, float, float]], told: list[Event], place: Path, cash: float, shares: float
) -> list[Came]:
    """What the stream and a replay of its records come to."""
    records = records_of(recorded(rows, told, cash, shares))
    instruments = [Instrument(symbol=symbol) for symbol in SYMBOLS]
    return [live(records, instruments, place), replayed(records, instruments)]


def of_file(
    rows: list[tuple[int, float, float]], told: list[Event], place: Path, cash: float, shares: float
) -> Came:
    """What a backtest of the same prices as a file comes to."""
    table = ["date,AAA,BBB", *(f"{day},{a},{b}" for day, (_, a, b) in zip(DAYS, rows, strict=True))]
    (place / "prices.csv").write_text("\n".join(table))
    held = {"account_id": "A", "cash": cash, "positions": [{"symbol": "AAA", "qty": shares}]}
    return filed(place / "prices.csv", {"accounts": [held]}, told)


@pytest.mark.parametrize(("name", "news", "shares"), CASES)
def test_a_file_is_decided_as_the_stream_was(name: str, news: str, shares: float, tmp_path: Path) -> None:
    kind, terms, _, _ = KINDS[name]
    told = NEWS[news](kind, terms)
    rows, cash = closes(name, news), cash_of(name, news, shares)
    stream, again = ways(rows, told, tmp_path, cash, shares)
    file = of_file(rows, told, tmp_path, cash, shares)
    assert (again.decisions, again.sales, again.accounts) == (stream.decisions, stream.sales, stream.accounts)
    assert (file.decisions, file.sales, file.accounts) == (stream.decisions, stream.sales, stream.accounts)


def test_an_amount_that_the_prices_belie_ends_the_run_by_name(tmp_path: Path) -> None:
    told = [action(EARLY, "CASH_MERGER", {"amount": 9_500.0})]
    rows = closes("cash merger", "ahead")
    with pytest.raises(HistoryError) as refused:
        of_file(rows, told, tmp_path, -5_000.0, 100.0)
    (flaw,) = refused.value.flaws
    assert str(flaw) == (
        "-, column events: x, amount: 95 times the last price of 100.0000: dollars a share are wanted, "
        "value 9500.0"
    )
    stream, again = ways(rows, told, tmp_path, -5_000.0, 100.0)
    assert (again.decisions, again.accounts) == (stream.decisions, stream.accounts)
    assert stream.accounts["A"]["positions"] == {"AAA": 100.0}
