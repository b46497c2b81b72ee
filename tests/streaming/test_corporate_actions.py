"""Real splits, at the closes of their day:
holdings and price move together, volatility knows the split, and no account is called.

MSFT 2003-02-18 and AAPL 2005-02-28 are real closes (data/splits.csv), AAPL 2014-06-09 is case L01 of the
rulebook. Each account owes so much that its margin would be called at the raw fall.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from margin_platform.backtest.session import session_job
from margin_platform.contracts.messages import (
    ACCOUNTS,
    CASH,
    CORPORATE_ACTIONS,
    FILLS,
    MARGIN_CALC,
    MARGIN_STATUS,
    PRICES,
    VOLATILITY,
    Event,
    encode,
)
from margin_platform.contracts.offsets import Record
from margin_platform.trading_time.sessions import session_close, sessions_between
from margin_platform.volatility.estimator import historical_volatility
from tests.support.engine_feed import POLICY, Feed, Message
from tests.support.market_day import send
from tests.support.running import Running

HERE = Path(__file__).parent
HOUR = 3_600_000
SHARES = 100


@dataclass(frozen=True)
class Split:
    """closes: as traded, by session, of before and after; adjusted: the same on today's shares;
    day: the ex-date.
    """

    symbol: str
    ratio: float
    day: dt.date
    closes: dict[dt.date, float]
    adjusted: dict[dt.date, float]

    def action(self, at: int) -> Message:
        event = {
            "action_id": f"{self.symbol} {self.day}",
            "symbol": self.symbol,
            "kind": "SPLIT",
            "ratio": self.ratio,
        }
        return CORPORATE_ACTIONS, event | {"ex_date": self.day.isoformat(), "timestamp": at}

    def print_at(self, day: dt.date, at: int) -> Message:
        return PRICES, {"symbol": self.symbol, "price": self.closes[day], "timestamp": at}

    def before(self) -> list[dt.date]:
        return [day for day in self.closes if day < self.day]

    def account(self) -> list[Message]:
        """100 shares, 45% of them borrowed: at half the price nothing but debt would be left."""
        first = self.before()[0]
        at, price = closing(first) - HOUR, self.closes[self.before()[-1]]
        fill = {
            "fill_id": "f",
            "account_id": "a",
            "symbol": self.symbol,
            "qty": SHARES,
            "price": price,
            "timestamp": at,
        }
        deposit = {
            "transfer_id": "t",
            "account_id": "a",
            "amount": round(0.55 * SHARES * price, 2),
            "timestamp": at,
        }
        return [
            (ACCOUNTS, {"account_id": "a", "margin_type": "REG_T", "timestamp": at}),
            (CASH, deposit),
            (FILLS, fill),
        ]

    def sigma(self, last: dt.date) -> float:
        """The volatility on adjusted closes up to a session: what the stream must publish."""
        closes = np.array(
            [close for day, close in self.adjusted.items() if day <= last][
                -POLICY.volatility.vol_window - 1 :
            ]
        )
        return historical_volatility(closes, POLICY).sigma


def closing(day: dt.date) -> int:
    return int(session_close(day).timestamp() * 1000)


def of_file(symbol: str, day: dt.date) -> Split:
    lines = [
        line for line in (HERE / "data" / "splits.csv").read_text().splitlines() if not line.startswith("#")
    ]
    rows = [row for row in csv.DictReader(lines) if row["symbol"] == symbol]
    days = [dt.date.fromisoformat(row["date"]) for row in rows]
    raw = dict(zip(days, (float(row["close"]) for row in rows), strict=True))
    return Split(
        symbol, 2.0, day, raw, dict(zip(days, (float(row["adjusted_close"]) for row in rows), strict=True))
    )


def aapl_2014() -> Split:
    cases = json.loads((HERE.parent / "golden" / "cases.json").read_text())
    case = next(c for c in (cases if isinstance(cases, list) else cases["cases"]) if c["id"] == "L01")
    days = sessions_between(dt.date(2014, 5, 16), dt.date(2014, 6, 30))
    raw = dict(zip(days, case["inputs"]["closes"], strict=True))
    day = dt.date(2014, 6, 9)
    return Split("AAPL", 7.0, day, raw, {d: close / 7 if d < day else close for d, close in raw.items()})


SPLITS = [of_file("MSFT", dt.date(2003, 2, 18)), of_file("AAPL", dt.date(2005, 2, 28)), aapl_2014()]
NAMES = [f"{split.symbol} {split.day.year}" for split in SPLITS]


def until_the_day(split: Split) -> Feed:
    """An engine that has seen every close of before."""
    feed = Feed()
    feed.say(*split.account())
    for day in split.before():
        feed.say(split.print_at(day, closing(day)))
    return feed


def margin_of(feed: Feed) -> Event:
    return next(e for outcome in reversed(feed.outcomes) for e in reversed(outcome.calc))


def settled(feed: Feed, split: Split, last: dt.date) -> None:
    """Everything a split must leave behind."""
    event = margin_of(feed)
    assert feed.engine.ledger.positions("a") == {split.symbol: SHARES * split.ratio}
    assert event["gross_mv"] == round(SHARES * split.ratio * split.closes[last], 2)
    assert (event["status"], event["stale"]) == ("ACTIVE", False)
    assert feed.figures[-1]["as_of"] == last.isoformat()
    assert feed.figures[-1]["volatility_annual"] == pytest.approx(split.sigma(last), abs=2e-6)
    # case L01 begins 15 sessions before its split: the policy's default until the end of June
    known = feed.figures[-1]["quality"] == "OK"
    used = float(feed.engine.market.sigma[feed.engine.code_of[split.symbol]])
    assert used == feed.figures[-1]["volatility_annual"] if known else used != used


@pytest.mark.parametrize("split", SPLITS, ids=NAMES)
def test_the_raw_fall_would_have_called_the_account(split: Split) -> None:
    """What the other tests are about: the same fall without a split, confirmed by its source, is a call."""
    feed = until_the_day(split)
    topic, event = split.print_at(split.day, closing(split.day))
    feed.say((topic, event | {"confirmed": True}))
    assert "CALL" in feed.decisions("a")


@pytest.mark.parametrize("arrival", ["weeks before", "in the morning", "in the batch of the print"])
@pytest.mark.parametrize("split", SPLITS, ids=NAMES)
def test_a_split_known_in_time_moves_holdings_and_price_together_and_no_band_changes(
    split: Split, arrival: str
) -> None:
    feed = Feed()
    feed.say(*split.account())
    days = split.before()
    for day in days:
        feed.say(split.print_at(day, closing(day)))
        if arrival == "weeks before" and day == days[-12]:
            feed.say(split.action(closing(day)))
        assert feed.engine.ledger.positions("a") == {split.symbol: SHARES}  # announced is not in effect
    batch, morning = len(feed.outcomes), closing(split.day) - 6 * HOUR
    if arrival == "in the morning":
        feed.say(split.action(morning - HOUR))
        # twice the shares at half the price
        assert margin_of(feed)["gross_mv"] == round(SHARES * split.closes[days[-1]], 2)
    first = [split.print_at(split.day, morning)]
    feed.say(*([split.action(morning), *first] if arrival == "in the batch of the print" else first))
    feed.restart()
    feed.say(split.print_at(split.day, closing(split.day)))
    settled(feed, split, split.day)
    assert [e["band"] for outcome in feed.outcomes[batch:] for e in outcome.status] == []
    assert feed.decisions("a", batch) == []


@pytest.mark.parametrize("split", SPLITS, ids=NAMES)
def test_a_split_that_follows_its_print_holds_the_account_until_then_and_calls_nobody(split: Split) -> None:
    feed = until_the_day(split)
    batch, morning = len(feed.outcomes), closing(split.day) - 6 * HOUR
    feed.say(split.print_at(split.day, morning))
    assert feed.price(split.symbol) == split.closes[split.before()[-1]]  # the last good price stands
    feed.restart()
    feed.say(split.action(morning + 60_000))
    feed.say(split.print_at(split.day, closing(split.day)))
    settled(feed, split, split.day)
    assert feed.decisions("a", batch) == ["HELD", "RELEASED"]


# MSFT opened 3.3% above half: its second print would confirm a fall
@pytest.mark.parametrize("split", SPLITS[1:], ids=NAMES[1:])
def test_prints_in_the_shape_of_a_split_hold_the_account_all_day_until_the_action_comes(split: Split) -> None:
    feed = until_the_day(split)
    batch, close = len(feed.outcomes), closing(split.day)
    for hour in (6, 4, 2, 0):
        feed.say(split.print_at(split.day, close - hour * HOUR))
    feed.say(split.action(close + HOUR))
    settled(feed, split, split.day)
    assert feed.decisions("a", batch) == ["HELD", "RELEASED"]


@pytest.mark.parametrize("split", SPLITS, ids=NAMES)
def test_the_volatility_of_a_split_nobody_announced_waits_for_it(split: Split) -> None:
    feed = until_the_day(split)
    published, close = len(feed.figures), closing(split.day)
    feed.say(split.print_at(split.day, close))
    assert len(feed.figures) == published
    feed.restart()
    feed.say(split.action(close + HOUR))
    (figure,) = feed.figures[published:]
    assert figure["as_of"] == split.day.isoformat()
    assert figure["volatility_annual"] == pytest.approx(split.sigma(split.day), abs=2e-6)


@pytest.mark.parametrize("in_time", [True, False])
def test_case_l01_of_the_rulebook_comes_out_whether_its_split_is_known_before_or_after(in_time: bool) -> None:
    split = SPLITS[2]
    feed = Feed()
    if in_time:
        feed.say(split.action(closing(split.before()[0])))
    for day in split.closes:
        feed.say(split.print_at(day, closing(day)))
    if not in_time:
        assert feed.figures[-1]["volatility_annual"] == pytest.approx(5.602393, abs=1e-5)  # case L03
        feed.say(split.action(closing(max(split.closes)) + HOUR))
    assert feed.figures[-1]["volatility_annual"] == pytest.approx(0.143901, abs=1e-5)
    assert (feed.figures[-1]["tier"], feed.figures[-1]["as_of"]) == (0, "2014-06-30")


@pytest.mark.parametrize("split", SPLITS[:2], ids=NAMES[:2])
def test_a_split_booked_a_day_too_late_has_its_volatility_published_anew(split: Split) -> None:
    feed = until_the_day(split)
    after = min(day for day in split.closes if day > split.day)
    for day in (split.day, after):
        feed.say(split.print_at(day, closing(day)))
    assert feed.figures[-1]["volatility_annual"] > 1.0  # the split taken for a fall of its day
    feed.say(split.action(closing(after) + HOUR))
    assert feed.figures[-1]["as_of"] == after.isoformat()
    # MSFT paid 8 cents that day
    assert feed.figures[-1]["volatility_annual"] == pytest.approx(split.sigma(after), rel=0.01)
    assert feed.figures[-1]["tier"] == 0


def test_a_late_or_corrected_close_has_its_volatility_published_anew() -> None:
    split = SPLITS[1]
    feed = until_the_day(split)
    last = split.before()[-1]
    close, price, usual = closing(last), split.closes[last], feed.figures[-1]["volatility_annual"]
    busted = {"symbol": "AAPL", "price": round(price * 1.2, 2), "timestamp": close, "sequence": 2}
    feed.volatility.next_offset = {topic: {} for topic in feed.volatility.next_offset}
    feed.say((PRICES, busted))
    assert feed.figures[-1]["volatility_annual"] > usual + 0.1
    corrected = busted | {
        "price": price,
        "timestamp": close + 15 * HOUR,
        "correction": True,
        "corrects_timestamp": close,
    }
    feed.say((PRICES, corrected))
    assert feed.figures[-1] | {"as_of": None} == feed.figures[-3] | {"as_of": None}
    assert feed.figures[-1]["volatility_annual"] == usual


def test_a_print_older_than_the_window_publishes_nothing_and_is_not_kept() -> None:
    feed = Feed()
    days = sessions_between(dt.date(2005, 1, 3), dt.date(2005, 3, 1))
    for n, day in enumerate(days):
        feed.say((PRICES, {"symbol": "KO", "price": 40.0 + n % 3, "timestamp": closing(day)}))
    published, kept = len(feed.figures), feed.volatility.to_state()["closes"]
    feed.say(
        (PRICES, {"symbol": "KO", "price": 41.0, "timestamp": closing(dt.date(2004, 12, 31))}), partition=1
    )
    assert len(feed.figures) == published
    assert feed.volatility.to_state()["closes"] == kept


class Told:
    """Topics as a list of messages, for what only reads them."""

    bootstrap = "memory"

    def __init__(self, *messages: Message) -> None:
        self._records = [
            Record(t, 0, n, None, encode(event), event["timestamp"]) for n, (t, event) in enumerate(messages)
        ]

    def read_all(self, topic: str) -> Iterator[Record]:
        return (record for record in self._records if record.topic == topic)


@pytest.mark.parametrize(("replayed", "shares"), [("before", SHARES), ("on the day", 2 * SHARES)])
def test_a_session_is_replayed_with_the_shares_it_had(replayed: str, shares: int) -> None:
    split = SPLITS[1]
    days = split.before()
    prints = [split.print_at(day, closing(day)) for day in (*days, split.day)]
    told: Any = Told(*split.account(), split.action(closing(days[-12])), *prints)
    job = session_job(told, days[-1] if replayed == "before" else split.day, POLICY)
    assert job.book.quantity.tolist() == [shares]


def test_until_its_first_print_of_the_day_a_split_symbol_stands_at_its_last_close_on_the_new_basis() -> None:
    split = SPLITS[1]
    close, morning = (
        split.print_at(split.before()[-1], closing(split.before()[-1])),
        closing(split.day) - 6 * HOUR,
    )
    other = {"symbol": "KO", "price": 40.0, "timestamp": morning}
    prints = (close, (PRICES, other), split.print_at(split.day, morning + HOUR))
    told: Any = Told(*split.account(), split.action(closing(split.before()[-12])), *prints)
    path = session_job(told, split.day, POLICY).path
    at = path.market.code_of()[close[1]["symbol"]]
    assert path.price[0, at] == close[1]["price"] / 2
    assert path.price[1, at] == split.print_at(split.day, 0)[1]["price"]


@pytest.mark.kafka
@pytest.mark.spark
@pytest.mark.parametrize("arrival", ["before", "after"])
def test_the_real_streams_carry_an_account_through_a_split(
    arrival: str, running: Running, until: Callable[..., Any], events_of: Callable[[str], list[Event]]
) -> None:
    bus, split = running.bus, SPLITS[1]
    days, morning = split.before(), closing(split.day) - 6 * HOUR

    def last() -> Event:
        return {e["account_id"]: e for e in events_of(MARGIN_CALC)}.get("a", {})

    running.start()
    send(bus, [*split.account(), *(split.print_at(day, closing(day)) for day in days)])
    until(
        lambda: any(e["as_of"] == days[-1].isoformat() for e in events_of(VOLATILITY)),
        "the volatility of the day before",
    )
    until(
        lambda: last().get("gross_mv") == round(SHARES * split.closes[days[-1]], 2),
        "the last close of before",
    )
    told = len(events_of(MARGIN_STATUS))
    if arrival == "before":
        send(bus, [split.action(closing(days[-1]) + HOUR)])
    send(bus, [split.print_at(split.day, morning)])
    if arrival == "after":
        until(lambda: last().get("stale"), "the account held for its split-sized print")
        send(bus, [split.action(morning + 60_000)])
    send(bus, [split.print_at(split.day, closing(split.day))])
    value = round(SHARES * split.ratio * split.closes[split.day], 2)
    until(
        lambda: last().get("gross_mv") == value and not last()["stale"], "twice the shares at their new price"
    )
    (figure,) = until(
        lambda: [e for e in events_of(VOLATILITY) if e["as_of"] == split.day.isoformat()],
        "the volatility of the day",
    )
    assert figure["volatility_annual"] == pytest.approx(split.sigma(split.day), abs=2e-6)
    bands = [e["band"] for e in events_of(MARGIN_STATUS)[told:]]
    assert not any("CALL" in band or "WARNING" in band for band in bands), bands
