"""Every fill of the correction horizon as columns, older ones as opening positions, and which ids are known:
what a ledger needs of the past.

A million accounts have tens of millions of fills. As columns they take 24 bytes each, are copied for a
snapshot in milliseconds and add nothing to what the garbage collector walks.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.messages import BadEvent, Event

_UNKNOWN = -1  # the content of an id booked before contents were kept
_FIGURES = 32  # bits of a content that are of the figures; those above are of venue and order, 0: not kept
_SPAN_MS = 40 * 86_400_000  # ids are forgotten by spans of event time
_DIGEST = 16  # bytes: with ten million ids the chance that two of them look the same is below one in 10^24

Timeline = list[tuple[int, int]]  # (event time in epoch milliseconds, micro-shares), by time


class FillLog:
    """Fills in the order of arrival: account number, symbol, event time (epoch milliseconds), signed
    micro-shares.
    """

    def __init__(self) -> None:
        self._symbols: dict[str, int] = {}
        self._account, self._symbol = array("i"), array("i")
        self._time, self._shares = array("q"), array("q")

    def __len__(self) -> int:
        return len(self._time)

    def append(self, account: int, symbol: str, time: int, shares: int) -> None:
        """Append a fill; raise OverflowError, with nothing changed, where a figure does not fit 64 bits."""
        self._time.append(time)
        try:
            self._shares.append(shares)
        except OverflowError:
            self._time.pop()
            raise
        self._account.append(account)
        self._symbol.append(self._symbols.setdefault(symbol, len(self._symbols)))

    def append_many(
        self,
        accounts: NDArray[np.int64],
        symbols: Iterable[str],
        times: NDArray[np.int64],
        shares: NDArray[np.int64],
    ) -> None:
        """Append fills in their order, as columns of one length."""
        codes = [self._symbols.setdefault(symbol, len(self._symbols)) for symbol in symbols]
        self._account.frombytes(accounts.astype(np.int32).tobytes())
        self._symbol.extend(codes)
        self._time.frombytes(times.tobytes())
        self._shares.frombytes(shares.tobytes())

    def of_symbol(self, symbol: str) -> dict[int, Timeline]:
        """Return the fills of one symbol by account number, each account's in event-time order."""
        found: dict[int, Timeline] = {}
        code = self._symbols.get(symbol)
        if code is None:
            return found
        at = np.flatnonzero(np.frombuffer(self._symbol, dtype=np.int32) == code)
        columns = [np.frombuffer(column, dtype=kind)[at].tolist() for column, kind in self._typed()]
        for account, time, shares in zip(*columns, strict=True):
            insort(found.setdefault(account, []), (time, shares))
        return found

    def _typed(self) -> tuple[tuple[array[int], type], ...]:
        return (self._account, np.int32), (self._time, np.int64), (self._shares, np.int64)

    def fold(self, before: int, cuts: Mapping[str, Iterable[int]]) -> None:
        """Sum up each account's fills of before an event time (epoch milliseconds), symbol by symbol.

        cuts: by symbol, the times at which its corporate actions take effect. Fills on two sides of one stay
        apart, so that positions are the same after it, whatever its terms are or become.
        """
        account, symbol, time, shares = (
            np.array(column, dtype=np.int64)
            for column in (self._account, self._symbol, self._time, self._shares)
        )
        old, part = time < before, np.zeros(len(time), dtype=np.int64)
        for name, times in cuts.items():
            of_symbol = symbol == self._symbols.get(name, -1)
            part[of_symbol] = np.searchsorted(np.array(sorted(times)), time[of_symbol], side="right")
        key = (account * len(self._symbols) + symbol) * (part.max(initial=0) + 1) + part
        _, first, group = np.unique(key[old], return_index=True, return_inverse=True)
        if np.bincount(group, np.abs(shares[old])).max(initial=0) > 2.0**62:
            return  # no sum of theirs may overflow
        sums, latest = np.zeros(len(first), dtype=np.int64), np.zeros(len(first), dtype=np.int64)
        np.add.at(sums, group, shares[old])
        np.maximum.at(latest, group, time[old])
        rows = np.concatenate([np.flatnonzero(old)[first], np.flatnonzero(~old)])
        time, shares = np.concatenate([latest, time[~old]]), np.concatenate([sums, shares[~old]])
        self._account = array("i", account[rows].astype(np.int32).tobytes())
        self._symbol = array("i", symbol[rows].astype(np.int32).tobytes())
        self._time, self._shares = array("q", time.tobytes()), array("q", shares.tobytes())

    def newest(self) -> int:
        """Return the newest event time, epoch milliseconds; 0 where there is none."""
        return max(self._time, default=0)

    def totals(self) -> list[tuple[int, str, int]]:
        """List (account number, symbol, micro-shares) of every pair that was ever traded, as if there were no
        corporate actions.
        """
        if not len(self):
            return []
        names = list(self._symbols)
        pair = np.array(self._account, dtype=np.int64) * len(names) + np.array(self._symbol, dtype=np.int64)
        order = np.argsort(pair, kind="stable")
        starts = np.flatnonzero(np.diff(pair[order], prepend=-1))
        sums = np.add.reduceat(np.array(self._shares)[order], starts).tolist()
        number, code = np.divmod(pair[order][starts], len(names))
        return [
            (n, names[c], total) for n, c, total in zip(number.tolist(), code.tolist(), sums, strict=True)
        ]

    def to_state(self) -> dict[str, object]:
        """Copy the columns, and the symbols' names in the order of their codes."""
        return {
            "symbols": list(self._symbols),
            "account": np.array(self._account),
            "symbol": np.array(self._symbol),
            "time": np.array(self._time),
            "shares": np.array(self._shares),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> FillLog:
        log = cls()
        log._symbols = {name: code for code, name in enumerate(state["symbols"])}
        for column, kind in (("account", "i"), ("symbol", "i"), ("time", "q"), ("shares", "q")):
            setattr(log, f"_{column}", array(kind, np.asarray(state[column]).astype(kind).tobytes()))
        return log


class KnownIds:
    """Ids of events that were booked, for as long as the topics keep them:
    each as a digest of 128 bits, and one of its content.

    The content tells an event delivered twice from another event under the same id. States of before have
    none, or one of the figures alone. What is stored says how far the comparison goes.
    """

    def __init__(self, *, by_account: bool = False, span_ms: int = _SPAN_MS) -> None:
        """by_account: an id is one of its account, rather than of all accounts.

        span_ms: milliseconds of event time whose ids are forgotten together.
        """
        self._by_account = by_account
        self._span = span_ms
        self._spans: dict[int, dict[bytes, int]] = {}  # number of a span of event time -> content by digest

    def digest(self, kind: str, identity: str, account_id: str) -> bytes:
        """Return the digest under which an id of an account's event is known."""
        if self._by_account:
            identity = f"{account_id}\x1f{identity}"
        return hashlib.blake2b(f"{kind}:{identity}".encode(), digest_size=_DIGEST).digest()

    @staticmethod
    def content(*figures: str | float | None) -> int:
        """Return a digest of an event's content; equal numbers are equal, whole or not."""
        text = "\x1f".join(repr(float(f)) if isinstance(f, int | float) else str(f) for f in figures)
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())

    @staticmethod
    def content_of_fill(fill: Event) -> int:
        """Return a digest of a fill's figures, and above it one of where it traded: its venue and order."""
        figures = (fill["symbol"], fill["qty"], fill["price"], fill.get("fee") or 0.0, fill["timestamp"])
        where = KnownIds.content(fill.get("venue") or None, fill.get("order_id"))
        return (where >> 1 | 1) << _FIGURES | KnownIds.content(fill["account_id"], *figures)

    def __contains__(self, digest: bytes) -> bool:
        return self._known(digest) is not None

    def _known(self, digest: bytes) -> int | None:
        for contents in self._spans.values():
            if (content := contents.get(digest)) is not None:
                return content
        return None

    def known(self, digests: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return which of these ids are known."""
        found = np.zeros(len(digests), dtype=np.bool_)
        for contents in self._spans.values():
            found |= np.fromiter(map(contents.__contains__, digests), dtype=np.bool_, count=len(digests))
        return found

    def __len__(self) -> int:
        return sum(map(len, self._spans.values()))

    def forget(self, before: int) -> None:
        """Forget the ids of spans that end before an event time, in epoch milliseconds."""
        for span in [span for span in self._spans if (span + 1) * self._span <= before]:
            del self._spans[span]

    def delivered(self, event: Event, name: str, digest: bytes, content: int) -> bool:
        """Return True if an event was booked.

        BadEvent where another one was, under its id: it must not be lost silently.
        """
        known = self._known(digest)
        if known is None or known == _UNKNOWN:
            return known is not None
        if (known ^ content) % (1 << _FIGURES):
            raise BadEvent(name, event[name], "id of an earlier event that says something else: not booked")
        if known >> _FIGURES not in (0, content >> _FIGURES):
            raise BadEvent(
                name,
                event[name],
                "id of an earlier fill of another venue or order: not booked; send it under an id of its own",
            )
        return True

    def add(self, digest: bytes, time: int, content: int = _UNKNOWN) -> None:
        """Keep an id of an event time, in epoch milliseconds."""
        self._spans.setdefault(time // self._span, {})[digest] = content

    def add_many(self, digests: Sequence[bytes], times: NDArray[np.int64], contents: Sequence[int]) -> None:
        """Keep ids of event times, in epoch milliseconds, with their contents: columns of one length."""
        spans = times // self._span
        if len(times) and spans.min() == spans.max():
            self._spans.setdefault(int(spans[0]), {}).update(zip(digests, contents, strict=True))
            return
        for digest, time, content in zip(digests, times.tolist(), contents, strict=True):
            self.add(digest, time, content)

    def to_state(self) -> NDArray[np.uint8]:
        """Return the digests one after another."""
        digests = (digest for contents in self._spans.values() for digest in contents)
        return np.frombuffer(b"".join(digests), dtype=np.uint8)

    def contents(self) -> NDArray[np.int64]:
        """Return the digests of the contents, in the same order."""
        found = (content for contents in self._spans.values() for content in contents.values())
        return np.fromiter(found, dtype=np.int64, count=len(self))

    def spans(self) -> list[tuple[int, int]]:
        """Return the newest time of each span, and how many of the ids are of it, in the same order."""
        return [((span + 1) * self._span - 1, len(contents)) for span, contents in self._spans.items()]

    def restore(self, state: object, contents: object, spans: Iterable[tuple[int, int]]) -> None:
        """Continue from a saved state."""
        joined = np.asarray(state, dtype=np.uint8).tobytes()
        digests = [joined[n : n + _DIGEST] for n in range(0, len(joined), _DIGEST)]
        given = [_UNKNOWN] * len(digests) if contents is None else np.asarray(contents).tolist()
        known: Iterator[tuple[bytes, int]] = zip(digests, given, strict=True)
        for time, count in spans:
            self._spans.setdefault(time // self._span, {}).update(islice(known, count))
