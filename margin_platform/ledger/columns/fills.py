"""Many fills as columns, in their order, and what booking them at once needs to know.

The text of a content is that of `KnownIds.content_of_fill`, the arithmetic that of `amounts`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from margin_platform.ledger.columns.digests import Digests, digests_of
from margin_platform.ledger.columns.known_ids import CONTENT, KnownIds
from margin_platform.ledger.columns.texts import LONGEST_PACKED, Texts
from margin_platform.ledger.micros import MICRO, MOST
from margin_platform.money import cents

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

# between these a float is written without an exponent, by orjson as by Python
_PLAIN_LOW, _PLAIN_HIGH = 1e-3, 1e15
_FULL = MOST * MICRO * (1 - 1e-9)  # sums of so many are looked at in float64


@dataclass(frozen=True)
class Fills:
    """Columns of one length. numbers: of the accounts, which the ledger has; symbol: codes of symbols that it
    knows.
    """

    numbers: Ints
    account_ids: Texts
    symbol: Ints
    symbol_names: Texts
    fill_ids: Texts
    qty: Floats
    price: Floats
    fee: Floats
    times: Ints
    venues: Texts
    order_ids: Texts

    def shares(self) -> Ints:
        """Return the signed micro-shares, as `to_micros` has them."""
        return to_micros(self.qty)

    def costs(self) -> tuple[Ints, Mask]:
        """Return what each costs in micro-dollars, as `net_money` has it, and where a ledger can hold it."""
        money = cents(self.qty * self.price + self.fee)
        fits = np.abs(money) <= MOST
        return to_micros(np.where(fits, money, 0.0)), fits

    def contents(self) -> Ints:
        """Return what `KnownIds.content_of_fill` does of each."""
        figures = map(_as_texts, (self.qty, self.price, self.fee, self.times.astype(np.float64)))
        found = digests_of(b"", (self.account_ids, self.symbol_names, *figures), CONTENT)
        return found[:, 0].astype(np.uint32).byteswap() | self._places()

    def _places(self) -> Ints:
        """Return what `KnownIds.content_of_place` does of each."""
        if self.order_ids.there.any() or self.venues.longest > LONGEST_PACKED:
            where = [*zip(self.venues.encoded(), self.order_ids.encoded(), strict=True)]
            found = {place: KnownIds.content_of_place(*map(bytes.decode, place)) for place in set(where)}
            return np.array([found[place] for place in where], dtype=np.int64)
        _, at, row = np.unique(self.venues.packed(), return_index=True, return_inverse=True)
        venues = self.venues.take(at).strings()
        return np.array([KnownIds.content_of_place(venue, None) for venue in venues], dtype=np.int64)[row]


def to_micros(amounts: Floats) -> Ints:
    """Return what `micros.to_micros` does of each of these, which a ledger can hold."""
    scaled = (np.abs(amounts) * MICRO + 0.5).astype(np.int64)
    return np.where(amounts >= 0, scaled, -scaled)


def _as_texts(column: Floats) -> Texts:
    """Return each figure as `repr` writes it."""
    size = np.abs(column)
    if not ((size == 0) | ((size >= _PLAIN_LOW) & (size < _PLAIN_HIGH))).all():
        return Texts.of([repr(figure) for figure in column.tolist()])
    raw = np.frombuffer(bytearray(orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)), np.uint8)
    commas = np.flatnonzero(raw == ord(","))
    return Texts(raw, np.append(0, commas) + 1, np.append(commas, len(raw) - 1))


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

    symbol: its code.
    """

    numbers: Ints
    symbol: Ints
    sums: Sums

    @classmethod
    def of(cls, fills: Fills) -> Positions:
        wide = int(fills.symbol.max(initial=0)) + 1
        sums = Sums.by(fills.numbers * wide + fills.symbol)
        return cls(*np.divmod(sums.keys, wide), sums)


def once(digests: Digests) -> Mask:
    """Return which of these is there once; it may leave one out that is."""
    halves = np.sort(digests[:, 0])
    again = halves[1:][halves[1:] == halves[:-1]]
    return ~np.isin(digests[:, 0], again) if len(again) else np.ones(len(digests), dtype=np.bool_)
