"""The ids of events that were booked, as columns and a hash index: some 35 bytes an id."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import BadEvent, Event
from margin_platform.ledger.columns.digests import Digests, digests_of
from margin_platform.ledger.columns.growing_table import GrowingTable
from margin_platform.ledger.columns.hash_index import NO_ROW, grown, is_full, rows_of, slot_of
from margin_platform.ledger.columns.texts import Texts

_UNKNOWN = -1  # the content of an id booked before contents were kept
_ABSENT = -2  # no content: the id is not known
_FIGURES = 32  # bits of a content that are of the figures; those above are of venue and order, 0: not kept
_SPAN_MS = 40 * 86_400_000  # ids are forgotten by spans of event time
_DIGEST = 16  # bytes: with ten million ids the chance that two of them look the same is below one in 10^24
CONTENT = 4  # bytes of a digest of a content's figures
_FEW = 64  # rows that are indexed one by one


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
        self._span_ms = span_ms
        # span: the number of a span of event time
        self._ids = GrowingTable(digest=(np.int64, (2,)), content=np.int64, span=np.int32)
        self._slots = np.full(64, NO_ROW, dtype=np.int32)

    def digest(self, kind: str, identity: str, account_id: str) -> bytes:
        """Return the digest under which an id of an account's event is known."""
        name = f"{account_id}\x1f{identity}" if self._by_account else identity
        return hashlib.blake2b(f"{kind}:{name}".encode(), digest_size=_DIGEST).digest()

    def digests(self, kind: str, identities: Texts, account_ids: Texts) -> Digests:
        """Return the digest of each of these ids."""
        parts = [account_ids, identities] if self._by_account else [identities]
        return digests_of(f"{kind}:".encode(), parts, _DIGEST)

    @staticmethod
    def content(*figures: str | float | None) -> int:
        """Return a digest of an event's content; equal numbers are equal, whole or not."""
        text = "\x1f".join(repr(float(f)) if isinstance(f, int | float) else str(f) for f in figures)
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=CONTENT).digest())

    @staticmethod
    def content_of_fill(fill: Event) -> int:
        """Return a digest of a fill's figures, and above it one of where it traded: its venue and order."""
        figures = (fill["symbol"], fill["qty"], fill["price"], fill.get("fee") or 0.0, fill["timestamp"])
        where = KnownIds.content_of_place(fill.get("venue"), fill.get("order_id"))
        return where | KnownIds.content(fill["account_id"], *figures)

    @staticmethod
    def content_of_place(venue: str | None, order_id: str | None) -> int:
        """Return the part of a fill's content that is of its venue and order."""
        return (KnownIds.content(venue or None, order_id or None) >> 1 | 1) << _FIGURES

    def __contains__(self, digest: bytes) -> bool:
        return self._content_of(digest) != _ABSENT

    def __len__(self) -> int:
        return len(self._ids)

    def _content_of(self, digest: bytes) -> int:
        row = self._slots[slot_of(self._ids["digest"], self._slots, *_halves(digest))]
        return _ABSENT if row == NO_ROW else int(self._ids["content"][row])

    def known(self, digests: Digests) -> NDArray[np.bool_]:
        """Return which of these ids are known."""
        return np.asarray(rows_of(self._ids["digest"], self._slots, digests) != NO_ROW)

    def forget(self, before: int) -> None:
        """Forget the ids of spans that end before an event time, in epoch milliseconds."""
        kept = (self._ids["span"].astype(np.int64) + 1) * self._span_ms > before
        if not kept.all():
            self._ids.replace({name: self._ids[name][kept] for name in ("digest", "content", "span")})
            self._slots = grown(self._ids["digest"], self._slots[:0], 0)

    def delivered(self, event: Event, name: str, digest: bytes, content: int) -> bool:
        """Return True if an event was booked.

        BadEvent where another one was, under its id: it must not be lost silently.
        """
        known = self._content_of(digest)
        if known in (_ABSENT, _UNKNOWN):
            return known == _UNKNOWN
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
        self._ids.append(_halves(digest), content, time // self._span_ms)
        self._index(len(self) - 1)

    def add_many(self, digests: Digests, times: NDArray[np.int64], contents: NDArray[np.int64]) -> None:
        """Keep ids of event times, in epoch milliseconds, with their contents: columns of one length.

        None of them is known, and none is there twice.
        """
        before = len(self)
        self._ids.extend(digests, contents, times // self._span_ms)
        self._index(before)

    def _index(self, first: int) -> None:
        """Index the rows from `first` on. A few are not worth a call of compiled code."""
        digests = self._ids["digest"]
        if len(digests) - first > _FEW or is_full(digests, self._slots):
            self._slots = grown(digests, self._slots, first)
            return
        for row in range(first, len(digests)):
            self._slots[slot_of(digests, self._slots, *digests[row].tolist())] = row

    def to_state(self) -> dict[str, object]:
        """Return the digests one after another, those of their contents, and the newest time of each span
        with the number of ids of it; all in the same order.
        """
        digests, contents, spans = (self._ids[name] for name in ("digest", "content", "span"))
        if (np.diff(spans) < 0).any():
            order = np.argsort(spans, kind="stable")
            digests, contents, spans = digests[order], contents[order], spans[order]
        numbers, counts = np.unique(spans, return_counts=True)
        newest = ((numbers.astype(np.int64) + 1) * self._span_ms - 1).tolist()
        return {
            "seen": digests.reshape(-1).view(np.uint8),
            "seen_content": contents,
            "seen_spans": list(zip(newest, counts.tolist(), strict=True)),
        }

    def restore(self, state: Json, newest: int) -> None:
        """Continue from a saved state. newest: of an older one, which does not say when its ids were, the
        event time of the newest fill: none was later.
        """
        digests = np.asarray(state["seen"], dtype=np.uint8).view(np.int64).reshape(-1, 2)
        contents = state.get("seen_content")
        spans = state.get("seen_spans", [(newest, len(digests))])
        times, counts = np.array(spans, dtype=np.int64).reshape(-1, 2).T
        self._ids.replace(
            {
                "digest": digests,
                "content": np.full(len(digests), _UNKNOWN) if contents is None else contents,
                "span": np.repeat(times // self._span_ms, counts),
            }
        )
        self._slots = grown(self._ids["digest"], self._slots[:0], 0)


def _halves(digest: bytes) -> tuple[int, int]:
    low, high = (int.from_bytes(digest[n : n + 8], "little", signed=True) for n in (0, 8))
    return low, high
