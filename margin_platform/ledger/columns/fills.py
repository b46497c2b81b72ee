"""Many fills as columns, in their order, and what booking them at once needs to know.

The text of a content is that of `KnownIds.content_of_fill`, the arithmetic that of `amounts`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.micros import MICRO, MOST
from margin_platform.money import cents

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_FULL = MOST * MICRO * (1 - 1e-9)  # sums of so many are looked at in float64
# between these a float is written without an exponent, by orjson as by Python
_PLAIN_LOW, _PLAIN_HIGH = 1e-3, 1e15


@dataclass(frozen=True)
class Fills:
    """Columns of one length. numbers: of the accounts, which the ledger has.

    symbols: those of the fills, each once; symbol: where that of each fill stands among them.

    venues, order_ids: None where a fill names none.
    """

    numbers: Ints
    account_ids: list[str]
    symbols: list[str]
    symbol: Ints
    fill_ids: list[str]
    qty: Floats
    price: Floats
    fee: Floats
    times: Ints
    venues: list[str | None]
    order_ids: list[str | None]

    def shares(self) -> Ints:
        """Return the signed micro-shares, as `to_micros` has them."""
        return to_micros(self.qty)

    def costs(self) -> tuple[Ints, Mask]:
        """Return what each costs in micro-dollars, as `net_money` has it, and where a ledger can hold it."""
        money = cents(self.qty * self.price + self.fee)
        fits = np.abs(money) <= MOST
        return to_micros(np.where(fits, money, 0.0)), fits

    def contents(self) -> list[int]:
        """Return what `KnownIds.content_of_fill` does of each."""
        figures = (self.qty, self.price, self.fee, self.times.astype(np.float64))
        symbols = _texts(self.symbols)
        texts = _texts(self.account_ids), [symbols[n] for n in self.symbol.tolist()], *map(_numbers, figures)
        written = map(b"\x1f".join, zip(*texts, strict=True))
        joined = b"".join([hashlib.blake2b(text, digest_size=4).digest() for text in written])
        where = list(zip(self.venues, self.order_ids, strict=True))
        above = {place: KnownIds.content_of_place(*place) for place in set(where)}
        figures_alone = np.frombuffer(joined, dtype=">u4").tolist()
        return [above[place] + content for place, content in zip(where, figures_alone, strict=True)]


def to_micros(amounts: Floats) -> Ints:
    """Return what `micros.to_micros` does of each of these, which a ledger can hold."""
    scaled = (np.abs(amounts) * MICRO + 0.5).astype(np.int64)
    return np.where(amounts >= 0, scaled, -scaled)


def _texts(names: list[str]) -> list[bytes]:
    return "\n".join(names).encode().split(b"\n")


def _numbers(column: Floats) -> list[bytes]:
    """Return each figure as `repr` writes it."""
    size = np.abs(column)
    if bool(((size == 0) | ((size >= _PLAIN_LOW) & (size < _PLAIN_HIGH))).all()):
        return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
    return [repr(figure).encode() for figure in column.tolist()]


@dataclass(frozen=True)
class Sums:
    """Amounts summed up by what they belong to. keys: ascending; row: where the key of each amount stands."""

    keys: Ints
    row: Ints

    @classmethod
    def by(cls, keys: Ints) -> Sums:
        return cls(*np.unique(keys, return_inverse=True))

    def fits(self, before: Ints, amounts: Ints) -> Mask:
        """Report of each amount whether all of its key, in any order, stay within what a ledger holds."""
        reach = np.abs(before.astype(np.float64)) + np.bincount(self.row, np.abs(amounts))
        return (reach <= _FULL)[self.row]

    def of(self, rows: Mask, amounts: Ints) -> tuple[Ints, Ints]:
        """Return the places of the keys that these rows have, and what their amounts come to."""
        total = np.zeros(len(self.keys), dtype=np.int64)
        np.add.at(total, self.row[rows], amounts[rows])
        there = np.zeros(len(self.keys), dtype=np.bool_)
        there[self.row[rows]] = True
        places = np.flatnonzero(there)
        return places, total[places]


@dataclass(frozen=True)
class Positions:
    """Account number and symbol of fills, each pair once, and the sums by them.

    symbol: its place among the symbols of the fills.
    """

    numbers: Ints
    symbol: Ints
    sums: Sums

    @classmethod
    def of(cls, fills: Fills) -> Positions:
        sums = Sums.by(fills.numbers * len(fills.symbols) + fills.symbol)
        return cls(*np.divmod(sums.keys, len(fills.symbols)), sums)


def once(names: Sequence[bytes]) -> Mask:
    """Return which of these is there once."""
    if len(set(names)) == len(names):
        return np.ones(len(names), dtype=np.bool_)
    counts: dict[bytes, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return np.array([counts[name] == 1 for name in names])
