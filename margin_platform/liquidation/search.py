"""The smallest trade of one position that suffices, of any number of positions and accounts at once.

Excess is not monotone in the quantity sold: an add-on that falls away lifts it at once, another name becoming
concentrated lowers it. So quantities are put to the kernel, smallest first, as one hypothetical account each,
many in one sweep, and the first that suffices is taken; only those a proven bound excludes are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate_accounts
from margin_platform.kernel.market import Floats
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.liquidation.bounds import Numbers, accounts_of, least_conceivable
from margin_platform.money import cents

_FIRST_CHUNK, _LARGEST_CHUNK = 16, 65_536
_AT_ONCE = 1_000_000  # positions of hypothetical accounts in one sweep: what they take of memory is bounded


@dataclass(frozen=True)
class Sizes:
    """The quantities that may be traded of some positions, ascending: whole lots, and at last, for a position
    that may be closed, all of it.

    position: by number in the book; lots: how many; closing: shares, NaN where the position may not be
    closed; lot: shares.
    """

    position: Numbers
    lots: Numbers
    closing: Floats
    lot: Numbers

    @staticmethod
    def of(position: Numbers, size: Floats, most: Floats, lot: Numbers) -> Sizes:
        """Return the sizes of positions of `size` shares; at most `most` of them may be traded."""
        capped = most < size
        stop = np.where(capped, most + 1e-9, size - 1e-9)
        lots = np.maximum(0.0, np.ceil((stop - lot) / lot)).astype(np.int64)
        return Sizes(position, lots, np.where(capped, np.nan, size), lot)

    @property
    def count(self) -> Numbers:
        """How many quantities there are of each position."""
        return self.lots + ~np.isnan(self.closing)

    def shares(self, which: Numbers, number: Numbers) -> Floats:
        """Return the quantity of a number, from 0, of the positions at `which`."""
        whole = (number + 1.0) * self.lot[which]
        return np.where(number < self.lots[which], whole, self.closing[which])

    def largest(self) -> Floats:
        """Return the largest quantity of each position; 0 where there is none."""
        return self.shares(np.arange(len(self.position)), self.count - 1)

    def first_at_least(self, shares: Floats) -> Numbers:
        """Return the number of the first quantity of each position that is at least so many shares; their
        count where none is.
        """
        lots = np.ceil(shares / self.lot) - 1.0
        number = np.where(lots < self.lots, np.maximum(lots, 0.0), self.lots + (shares > self.closing))
        return np.minimum(number, self.count).astype(np.int64)


@dataclass(frozen=True)
class Search:
    """A book whose positions are traded on trial, each alone, until its account has its buffer.

    buffer: dollars of excess to reach; slippage: fraction of the price that a trade loses.
    """

    book: Book
    priced: PricedMarket
    buffer: float
    slippage: float

    @cached_property
    def account(self) -> Numbers:
        """The account, by number, of each position."""
        return accounts_of(self.book)

    def excess_after(self, position: Numbers, shares: Floats) -> Floats:
        """Return the published excess of the account after each trade: so many shares of a position towards
        flat.
        """
        book = self.book
        account = self.account[position]
        sign, proceeds = self._fill(position, shares)
        first, held = book.offsets[account], book.offsets[account + 1] - book.offsets[account]
        offsets = np.concatenate([[0], np.cumsum(held)])
        source = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], held)
        quantity = book.quantity[source]
        quantity[offsets[:-1] + position - first] -= sign * shares
        after = Book(
            account_ids=(),
            cash=book.cash[account] + proceeds,
            margin_type=book.margin_type[account],
            offsets=offsets,
            symbol=book.symbol[source],
            quantity=quantity,
        )
        everyone = np.arange(len(after), dtype=np.int64)
        return evaluate_accounts(after, self.priced, everyone, stress=False).published.excess

    def trade(self, position: Numbers, shares: Floats) -> None:
        """Book trades, of one position an account: so many shares towards flat."""
        sign, proceeds = self._fill(position, shares)
        self.book.quantity[position] -= sign * shares
        self.book.cash[self.account[position]] += proceeds

    def _fill(self, position: Numbers, shares: Floats) -> tuple[Floats, Floats]:
        """Return the sign of each position, and what so many shares of it bring, in whole cents."""
        sign = np.sign(self.book.quantity[position])
        price = self.priced.market.price[self.book.symbol[position]]
        return sign, cents(shares * price * (sign - self.slippage))

    def smallest(self, sizes: Sizes) -> tuple[Floats, Floats]:
        """Return for each position the smallest of its sizes that suffices alone, in shares, and the excess
        after it; NaN where none does.
        """
        found = np.full((2, len(sizes.position)), np.nan)
        least = least_conceivable(self.book, self.priced, self.buffer, self.slippage)[sizes.position]
        start, count = sizes.first_at_least(least * (1 - 1e-9)), sizes.count
        left, chunk = np.flatnonzero(start < count), _FIRST_CHUNK
        while len(left):
            for some in self._parts(left, sizes, chunk):
                self._try(some, np.minimum(chunk, count[some] - start[some]), start, sizes, found)
            start[left] += chunk
            left = left[np.isnan(found[0, left]) & (start[left] < count[left])]
            chunk = min(chunk * 4, _LARGEST_CHUNK)
        return found[0], found[1]

    def _parts(self, left: Numbers, sizes: Sizes, chunk: int) -> Iterator[Numbers]:
        """Yield the searches that are left as many at a time as one sweep takes."""
        held = int(np.diff(self.book.offsets).max(initial=1))
        together = max(1, _AT_ONCE // (chunk * max(held, 1)))
        for begin in range(0, len(left), together):
            yield left[begin : begin + together]

    def _try(self, which: Numbers, width: Numbers, start: Numbers, sizes: Sizes, found: Floats) -> None:
        """Put the next `width` quantities of the searches `which` to the kernel; note those that suffice."""
        ends = np.cumsum(width)
        search = np.repeat(np.arange(len(which)), width)
        number = np.arange(ends[-1]) - (ends - width)[search] + start[which][search]
        shares = sizes.shares(which[search], number)
        excess = self.excess_after(sizes.position[which][search], shares)
        enough = np.flatnonzero(excess >= self.buffer)
        hit, first = np.unique(search[enough], return_index=True)
        found[0, which[hit]], found[1, which[hit]] = shares[enough[first]], excess[enough[first]]
