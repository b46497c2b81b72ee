"""Many prints as columns: each beside the one before it of its symbol, and which of them nothing contradicts.

A quick yes by the thresholds of `price_verdict`. A symbol with a print that is not plainly good is left, with
all of its prints, to the gate, which judges one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from margin_platform.market.split_shape import HAIR, LEAST_SHAPE
from margin_platform.policy.sections import PricePolicy

NO_SEQUENCE = -1
MOST_SEQUENCE = 1 << 62  # that a column holds; a print of a higher one is judged on its own
LATE_MS = 60_000  # how much later than it was produced a print may arrive

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Column = TypeVar("Column", Floats, Ints)


@dataclass(frozen=True)
class Prints:
    """Columns of one length, in the order of arrival. codes: of known instruments.

    times, produced: epoch milliseconds; sequences: the source's, or NO_SEQUENCE; marked: confirmed by its
    source, or a correction.
    """

    codes: Ints
    prices: Floats
    times: Ints
    produced: Ints
    sequences: Ints
    marked: Mask

    @property
    def has_sequences(self) -> bool:
        return bool((self.sequences != NO_SEQUENCE).any())

    def take(self, rows: NDArray[np.int64]) -> Prints:
        """Return some of them."""
        return Prints(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Chain:
    """Prints by symbol, and of each what it comes after: the print before it, or else the price in use.

    last: whether it is the last of its symbol.
    """

    prints: Prints
    good: Floats
    good_times: Ints
    good_sequences: Ints
    last: Mask

    @classmethod
    def of(
        cls, prints: Prints, price: Floats, price_time: Ints, sequence_of: Callable[[int], int | None]
    ) -> Chain:
        """Chain prints behind the prices in use, given by instrument code."""
        chained = prints.take(np.argsort(prints.codes, kind="stable"))
        codes = chained.codes
        last = np.append(codes[1:] != codes[:-1], True)
        first = np.append(True, last[:-1])
        sequences: Ints = np.full(len(codes), NO_SEQUENCE)
        if prints.has_sequences:
            known = map(sequence_of, codes[first].tolist())
            before = np.array([NO_SEQUENCE if n is None else min(n, MOST_SEQUENCE + 1) for n in known])
            sequences = _shifted(chained.sequences, first, before)
        return cls(
            chained,
            _shifted(chained.prices, first, price[codes[first]]),
            _shifted(chained.times, first, price_time[codes[first]]),
            sequences,
            last,
        )

    def plain(self, policy: PricePolicy) -> Mask:
        """Select the prints that are newer than the one before, in time, and near its price."""
        new, good = self.prints.prices, self.good
        known = ~np.isnan(good)
        good = np.where(known, good, new)
        near = (np.abs(new / good - 1.0) <= policy.max_jump + HAIR) & (
            np.maximum(new, good) / np.minimum(new, good) < LEAST_SHAPE
        )
        unordered = (self.prints.sequences == NO_SEQUENCE) | (self.good_sequences == NO_SEQUENCE)
        in_order = unordered | (self.prints.sequences >= self.good_sequences)
        newer = (self.prints.times > self.good_times) | ((self.prints.times == self.good_times) & in_order)
        in_time = self.prints.produced >= self.good_times - LATE_MS
        plain: Mask = near & newer & in_time & ~self.prints.marked
        return plain


def _shifted(column: Column, first: Mask, before: Column) -> Column:
    """Return of each row the value of the row before, and of the first of a symbol what was before all."""
    found = np.empty_like(column)
    found[1:] = column[:-1]
    found[first] = before
    return found
