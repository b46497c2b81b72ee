"""How many fills and prices one thread takes in, beside an earlier state of this repository in the same run.

`MarginEngine.take_in` alone: records are made beforehand, nothing is evaluated. Each round gives both engines
the same batches: fills (four in five of positions that the account has, the others open one), then prices
that move by a fifth of a percent. With `--dividends` every symbol has paid one before; with `--venues` fills
name a venue and a fee, and their prices have all digits of a float64. Times are processor
time of the one thread, as other work on the machine stretches the clock; medians of the rounds' own ratios.
Beside them the bound: decoding alone, by msgspec.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from bench.checkouts import ROOT, answer_of, checkout
from bench.kernel_books import POSITIONS, SYMBOLS, book, market
from bench.scale_book import engine_of, solvent
from margin_platform.contracts.events.inputs import Fill, PricePrint
from margin_platform.contracts.messages import CORPORATE_ACTIONS, FILLS, PRICES, encode
from margin_platform.contracts.offsets import Record

BEFORE = "06c4ad5"  # the last one that took in record by record
OPENING = 1_790_000_000_000
EX_DATE = "2026-09-01"  # of the dividends, before OPENING
PARTITIONS = 4
VENUES = ("ARCA", "BATS", "NSDQ")


class Feed:
    """Records as Kafka has them, the same ones in each run."""

    def __init__(self, engine: Any, generator: np.random.Generator, venues: bool) -> None:
        held = engine.ledger.book(engine.code_of)
        self._ids, self._symbols = engine.ledger.account_ids(), engine.market.symbols
        self._held, self._price = held.symbol.reshape(-1, POSITIONS), engine.market.price.copy()
        self._venues = venues
        self._generator, self._sent, self._ends = generator, 0, dict[tuple[str, int], int]()

    def _record(self, topic: str, partition: int, event: dict[str, Any]) -> Record:
        place = topic, partition % PARTITIONS
        offset = self._ends[place] = self._ends.get(place, -1) + 1
        return Record(*place, offset, None, encode(event), event["timestamp"])

    def fills(self, count: int, at: int) -> list[Record]:
        draw, records = self._generator, []
        accounts = draw.integers(0, len(self._ids), count).tolist()
        opens, positions = draw.random(count) < 0.2, draw.integers(0, POSITIONS, count)
        codes = np.where(opens, draw.integers(0, SYMBOLS, count), self._held[accounts, positions])
        for number, code in zip(accounts, codes.tolist(), strict=True):
            self._sent += 1
            fill = {"fill_id": f"f-{self._sent:09d}", "account_id": self._ids[number]}
            fill |= {"symbol": self._symbols[code], "qty": float(1 + number % 90), "price": 101.25}
            if self._venues:
                fill |= {"price": float(draw.uniform(5, 400)), "fee": 0.35, "venue": VENUES[number % 3]}
            records.append(self._record(FILLS, number, fill | {"timestamp": at}))
        return records

    def prices(self, count: int, at: int) -> list[Record]:
        codes = self._generator.integers(0, SYMBOLS, count)
        moves, records = self._generator.normal(0, 0.002, count), []
        for code, move in zip(codes.tolist(), moves.tolist(), strict=True):
            self._price[code] *= 1 + move
            event = {
                "symbol": self._symbols[code],
                "price": round(float(self._price[code]), 4),
                "timestamp": at,
            }
            records.append(self._record(PRICES, code, event))
        return records


def dividends(symbols: Sequence[str]) -> list[Record]:
    """Return the announcements of one dividend of each symbol, of the day before."""
    event = {"kind": "DIVIDEND", "ex_date": EX_DATE, "amount": 0.25, "timestamp": OPENING - 86_400_000}
    return [
        Record(CORPORATE_ACTIONS, 0, n, None, encode({"action_id": f"d{n}", "symbol": s} | event), OPENING)
        for n, s in enumerate(symbols)
    ]


def alone(accounts: int, batches: int, fills: int, prices: int, paid: bool, venues: bool) -> dict[str, float]:
    """Measure the engine that is imported; events a second of processor time, medians of the batches."""
    generator = np.random.default_rng(7)
    priced = market(generator)
    engine = engine_of(solvent(book(accounts, priced, generator), priced, generator), priced)
    opening = [
        Record(PRICES, 9, n, None, encode({"symbol": s, "price": float(p), "timestamp": OPENING}), OPENING)
        for n, (s, p) in enumerate(zip(priced.symbols, priced.price, strict=True))
    ]
    engine.take_in([*opening, *(dividends(priced.symbols) if paid else ())], 0)
    feed, found = Feed(engine, generator, venues), dict[str, list[float]]()
    for batch in range(batches + 1):
        at = OPENING + 1000 * (batch + 1)
        for name, records in (("fills", feed.fills(fills, at)), ("prices", feed.prices(prices, at))):
            values, declared = [r.value for r in records], Fill if name == "fills" else PricePrint
            begun = time.process_time()
            engine.take_in(records, batch + 1)
            taken = time.process_time()
            list(map(msgspec.json.Decoder(declared).decode, values))
            decoded = time.process_time()
            engine.ledger.book(engine.code_of)
            found.setdefault(name, []).append(len(records) / (taken - begun))
            found.setdefault(f"{name} decoded", []).append(len(records) / (decoded - taken))
    return {name: statistics.median(rates[1:]) for name, rates in found.items()}  # the first is a warm-up


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--before", default=BEFORE, help="a folder or a revision (default %(default)s)")
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=7)
    parser.add_argument("--fills", type=int, default=4_000, help="of a batch (default %(default)s)")
    parser.add_argument("--prices", type=int, default=4_000, help="of a batch (default %(default)s)")
    parser.add_argument("--dividends", action="store_true", help="every symbol has paid one")
    parser.add_argument("--venues", action="store_true", help="fills with venue, fee and long prices")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one line of JSON; the same as without")
    given = parser.parse_args(arguments)
    if given.alone:
        sizes_of = given.accounts, given.batches, given.fills, given.prices
        print(json.dumps(alone(*sizes_of, given.dividends, given.venues)))
        return 0
    sizes = [f"--{name}={getattr(given, name)}" for name in ("accounts", "batches", "fills", "prices")]
    sizes += [f"--{name}" for name in ("dividends", "venues") if getattr(given, name)]
    with checkout(given.before) as tree:
        runs = [
            [answer_of(__file__, where, [*sizes, "--alone"]) for where in (tree, ROOT)]
            for _ in range(given.rounds)
        ]
    found: dict[str, Any] = {"accounts": given.accounts}
    for name in ("fills", "prices"):
        found[f"{name}_a_second"] = round(statistics.median(now[name] for _, now in runs))
        found[f"{name}_a_second_before"] = round(statistics.median(before[name] for before, _ in runs))
        found[f"{name}_ratio"] = round(statistics.median(now[name] / before[name] for before, now in runs), 1)
        bound = statistics.median(now[f"{name} decoded"] / now[name] for _, now in runs)
        found[f"{name}_over_decoding_alone"] = round(bound, 1)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
