"""Every fill of the correction horizon as columns, and older ones as opening positions: what a ledger needs
of the past.

A million accounts have tens of millions of fills. As columns they take 24 bytes each, are written to a
snapshot without a copy and add nothing to what the garbage collector walks.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.ledger.columns.growing_table import GrowingTable

Timeline = list[tuple[int, int]]  # (event time in epoch milliseconds, micro-shares), by time

_NO_CODE = -1


class FillLog:
    """Fills in the order of arrival: account number, symbol, event time (epoch milliseconds), signed
    micro-shares.
    """

    def __init__(self, symbols: Iterable[str] = (), known: Sequence[str] = ()) -> None:
        """Start without fills. symbols: those that have a code, in the order of their codes; known: symbols
        by the codes of `append_many`.
        """
        self._symbols = {name: code for code, name in enumerate(symbols)}
        self._known = known
        self._code_at = np.array([self._symbols.get(name, _NO_CODE) for name in known], dtype=np.int32)
        self._fills = GrowingTable(shares=np.int64, time=np.int64, account=np.int32, symbol=np.int32)

    def __len__(self) -> int:
        return len(self._fills)

    def append(self, account: int, symbol: str, time: int, shares: int) -> None:
        """Append a fill; raise OverflowError, with nothing changed, where a figure does not fit 64 bits."""
        self._fills.append(shares, time, account, self._code(symbol))

    def append_many(
        self,
        accounts: NDArray[np.int64],
        symbol: NDArray[np.int64],
        times: NDArray[np.int64],
        shares: NDArray[np.int64],
    ) -> None:
        """Append fills in their order, as columns of one length. symbol: codes of known symbols."""
        for n in np.unique(symbol[self._code_at[symbol] == _NO_CODE]).tolist():
            self._code_at[n] = self._code(self._known[n])
        self._fills.extend(shares, times, accounts, self._code_at[symbol])

    def _code(self, symbol: str) -> int:
        return self._symbols.setdefault(symbol, len(self._symbols))

    def of_symbol(self, symbol: str) -> dict[int, Timeline]:
        """Return the fills of one symbol by account number, each account's in event-time order."""
        found: dict[int, Timeline] = {}
        code = self._symbols.get(symbol)
        if code is None:
            return found
        at = np.flatnonzero(self._fills["symbol"] == code)
        columns = [self._fills[name][at].tolist() for name in ("account", "time", "shares")]
        for account, time, shares in zip(*columns, strict=True):
            insort(found.setdefault(account, []), (time, shares))
        return found

    def fold(self, before: int, cuts: Mapping[str, Iterable[int]]) -> None:
        """Sum up each account's fills of before an event time (epoch milliseconds), symbol by symbol.

        cuts: by symbol, the times at which its corporate actions take effect. Fills on two sides of one stay
        apart, so that positions are the same after it, whatever its terms are or become.
        """
        old = self._fills["time"] < before
        account, symbol, time, shares = (
            self._fills[name][old].astype(np.int64) for name in ("account", "symbol", "time", "shares")
        )
        part = np.zeros(len(time), dtype=np.int64)
        for name, times in cuts.items():
            of_symbol = symbol == self._symbols.get(name, -1)
            part[of_symbol] = np.searchsorted(np.array(sorted(times)), time[of_symbol], side="right")
        key = (account * len(self._symbols) + symbol) * (part.max(initial=0) + 1) + part
        _, first, group = np.unique(key, return_index=True, return_inverse=True)
        if np.bincount(group, np.abs(shares)).max(initial=0) > 2.0**62:
            return  # no sum of theirs may overflow
        sums, latest = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.int64)
        np.add.at(sums, group, shares)
        np.maximum.at(latest, group, time)
        opening = {"account": account[first], "symbol": symbol[first], "time": latest, "shares": sums}
        self._fills.replace(
            {name: np.concatenate([rows, self._fills[name][~old]]) for name, rows in opening.items()}
        )

    def newest(self) -> int:
        """Return the newest event time, epoch milliseconds; 0 where there is none."""
        return int(self._fills["time"].max(initial=0))

    def columns(self) -> tuple[list[str], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Return the names of the symbols by code, and account number, symbol code and micro-shares of every
        fill.
        """
        return list(self._symbols), self._fills["account"], self._fills["symbol"], self._fills["shares"]

    def to_state(self) -> dict[str, object]:
        """Return the columns, and the symbols' names in the order of their codes."""
        return {
            "symbols": list(self._symbols),
            **{name: self._fills[name] for name in ("account", "symbol", "time", "shares")},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any], known: Sequence[str] = ()) -> FillLog:
        """Return the log a state was taken from."""
        log = cls(state["symbols"], known)
        log._fills.replace(state)
        return log
