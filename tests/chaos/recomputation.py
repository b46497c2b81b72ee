"""The same book computed again from the input topics, apart from the platform's ledger and engine:
a fold over the raw events.

Cash and quantities are exact decimals. Margin is the kernel's on this book, at the newest price of each name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import numpy as np

from margin_platform.contracts.messages import ACCOUNTS, BETAS, CASH, FILLS, PRICES, VOLATILITY, Event
from margin_platform.contracts.offsets import Record
from margin_platform.kafka.bus import Bus
from margin_platform.kernel.book import MARGIN_TYPES, Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Market
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.bands import band_codes, band_name
from margin_platform.snapshots.events import calc_events
from margin_platform.snapshots.giving_out.inputs import Inputs

SPLIT_KO = 1_582_520_400_000  # midnight in New York of 2020-02-24
# of an event that says when and from what it was computed
OWN = ("inputs", "calc_id", "calc_timestamp", "timestamp")
Place = tuple[str, int, int]


@dataclass
class Account:
    """An account from its raw events: dollars, shares by symbol, margin type and the time it was last
    said.
    """

    margin_type: str
    since: int
    cash: Decimal = Decimal(0)
    shares: dict[str, Decimal] | None = None


@dataclass
class Recomputation:
    """What the topics say.

    dead: places that must have a dead letter; early: places that may have one.
    """

    accounts: dict[str, Account]
    figures: dict[str, Event]
    bands: dict[str, str]
    dead: set[Place]
    early: set[Place]
    records: int


def _good(
    bus: Bus, topic: str, bad: set[bytes], dead: set[Place], seen: list[Record]
) -> Iterator[tuple[Record, Any]]:
    """Records the producer did not spoil, decimals exact; the others' places go to `dead`."""
    for record in bus.read_all(topic):
        seen.append(record)
        if record.value in bad:
            dead.add((topic, record.partition, record.offset))
        else:
            yield record, json.loads(record.value or b"", parse_float=Decimal)


def recompute(bus: Bus, bad: set[bytes]) -> Recomputation:
    """Reads the input topics from their beginning and folds them."""
    dead, early, seen = set[Place](), set[Place](), list[Record]()
    accounts: dict[str, Account] = {}
    announced: dict[str, int] = {}
    for record, e in _good(bus, ACCOUNTS, bad, dead, seen):
        announced.setdefault(e["account_id"], record.timestamp_ms)
        if e["account_id"] not in accounts or e["timestamp"] >= accounts[e["account_id"]].since:
            accounts[e["account_id"]] = Account(e["margin_type"], e["timestamp"], shares={})
    known = set[str]()
    for topic, name in ((CASH, "transfer_id"), (FILLS, "fill_id")):
        for record, e in _good(bus, topic, bad, dead, seen):
            place = (topic, record.partition, record.offset)
            # may have been read first, and so reported, or not
            if record.timestamp_ms <= announced[e["account_id"]] + 2000:
                early.add(place)
            if e[name] in known:
                dead.add(place)
                continue
            known.add(e[name])
            _book(accounts[e["account_id"]], topic, e)
    list(_good(bus, "corporate_actions.v1", bad, dead, seen))
    market = _market(bus, bad, dead, seen)
    figures, bands = _margin(accounts, market)
    return Recomputation(accounts, figures, bands, dead, early, len(seen))


def _book(account: Account, topic: str, e: Any) -> None:
    if topic == CASH:
        account.cash += e["amount"]
        return
    assert account.shares is not None
    shares = Decimal(e["qty"]) * (2 if e["symbol"] == "KO" and e["timestamp"] < SPLIT_KO else 1)
    # as confirmed
    account.cash -= (Decimal(e["qty"]) * e["price"] + e["fee"]).quantize(Decimal("0.01"), ROUND_HALF_UP)
    account.shares[e["symbol"]] = account.shares.get(e["symbol"], Decimal(0)) + shares


def _market(bus: Bus, bad: set[bytes], dead: set[Place], seen: list[Record]) -> Market:
    """The newest price of each name by event time and sequence, and its newest beta and volatility."""
    newest: dict[tuple[str, str], tuple[tuple[int, int], Any]] = {}
    for topic in (PRICES, BETAS, VOLATILITY):
        counted = seen if topic != VOLATILITY else []  # the streams publish it, the load does not send it
        for _, e in _good(bus, topic, bad, dead, counted):
            order = (e["timestamp"], e.get("sequence", 0))
            if order >= newest.get((topic, e["symbol"]), ((0, 0), None))[0]:
                newest[topic, e["symbol"]] = (order, e)
    market = Market.of(load())
    code_of = market.code_of()
    for (topic, symbol), (_, e) in newest.items():
        code = code_of[symbol]
        if topic == PRICES:
            market.price[code] = float(e["price"])
        elif topic == BETAS:
            market.beta[code] = float(e["beta"])
        else:
            market.sigma[code] = np.nan if e.get("quality") == "DEFAULT" else float(e["volatility_annual"])
            market.volatility_tier[code] = e.get("tier") or 0
    return market


def _margin(accounts: dict[str, Account], market: Market) -> tuple[dict[str, Event], dict[str, str]]:
    code_of = market.code_of()
    book = Book.of(
        [
            (
                name,
                float(a.cash),
                MARGIN_TYPES[a.margin_type],
                [(code_of[s], float(q)) for s, q in (a.shares or {}).items() if q],
            )
            for name, a in accounts.items()
        ]
    )
    margin = evaluate(book, market, current_policy())
    times = np.zeros(len(market.symbols), dtype=np.int64)
    events = calc_events(book, market, margin, Inputs(0, 0, {}, times))
    bands = dict(zip(book.account_ids, (band_name(int(code)) for code in band_codes(margin)), strict=True))
    return {e["account_id"]: figures(e) for e in events}, bands


def figures(event: Event) -> Event:
    """An event without when and from what it was computed."""
    return {name: value for name, value in event.items() if name not in OWN}
