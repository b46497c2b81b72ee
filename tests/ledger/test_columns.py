"""A ledger's columns against plain dictionaries: ids, positions, and what a snapshot still sees of them."""

from __future__ import annotations

import hashlib
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from margin_platform.ledger.columns import holdings
from margin_platform.ledger.columns.growing_table import GrowingTable
from margin_platform.ledger.columns.holdings import Holdings
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.current_book import CurrentBook, Opening
from tests.support.engine_feed import through_bytes

SPAN = 1000


def digest(n: int) -> bytes:
    return hashlib.blake2b(str(n).encode(), digest_size=16).digest()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5 * SPAN)), max_size=90), max_size=5))
def test_ids_are_known_until_their_span_is_over_one_by_one_and_many_at_once(
    batches: list[list[tuple[int, int]]],
) -> None:
    ids, expected = KnownIds(span_ms=SPAN), dict[int, int]()
    for turn, batch in enumerate(batches):
        fresh = {n: at for n, at in batch if n not in expected}
        if turn % 2:
            contents = list(fresh)
            ids.add_many([digest(n) for n in fresh], np.array([*fresh.values()], dtype=np.int64), contents)
        else:
            for n, at in fresh.items():
                ids.add(digest(n), at, n)
        expected |= fresh
        before = turn * SPAN
        ids.forget(before)
        expected = {n: at for n, at in expected.items() if (at // SPAN + 1) * SPAN > before}
        again = KnownIds(span_ms=SPAN)
        again.restore(through_bytes(ids.to_state()), 0)
        for one in (ids, again):
            asked = [digest(n) for n in range(401)]
            assert np.flatnonzero(one.known(asked)).tolist() == sorted(expected)
            assert [n for n in range(401) if digest(n) in one] == sorted(expected)
            assert all(one.delivered({"id": n}, "id", digest(n), n) for n in expected)
            assert len(one) == len(expected)


PUTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("WXYZ"), st.integers(-3, 3)), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PUTS, st.booleans())
def test_positions_are_what_was_put_last_wherever_they_are_kept(
    monkeypatch: pytest.MonkeyPatch, puts: list[tuple[int, str, int]], named: bool
) -> None:
    monkeypatch.setattr(holdings, "_FEWEST_APART", 2)
    held, expected = Holdings("XY" if named else ""), dict[tuple[int, str], int]()
    for number, symbol, shares in puts:
        assert held.get(number, symbol) == expected.get((number, symbol), 0)
        held.put(number, symbol, shares)
        expected[number, symbol] = shares
    for number in range(7):
        mine = {symbol: shares for (n, symbol), shares in expected.items() if n == number and shares}
        assert held.of(number) == mine
    codes = {"Z": 0, "W": 1, "X": 2, "Y": 3}  # not the order in which the ledger met them
    laid = held.laid_out(7)
    opening = Opening(np.zeros(7), held.symbols, laid, ())
    book = CurrentBook(lambda _: 0.0, held.of, lambda: opening).of("abcdefg", array("b", bytes(7)), codes)
    for number in range(7):
        run = slice(book.offsets[number], book.offsets[number + 1])
        found = dict(zip(book.symbol[run].tolist(), (book.quantity[run] * 1e6).tolist(), strict=True))
        assert found == {codes[symbol]: shares for symbol, shares in held.of(number).items()}
        assert list(found) == sorted(found)


def test_what_a_snapshot_sees_of_a_table_does_not_change_as_it_grows() -> None:
    table = GrowingTable(time=np.int64, shares=np.int32)
    table.append(1, 2)
    seen: dict[str, Any] = {name: table[name] for name in ("time", "shares")}
    for n in range(500):
        table.append(n, n)
    table.extend([7, 8], [9, 10])
    assert (seen["time"].tolist(), seen["shares"].tolist()) == ([1], [2])
    with pytest.raises(OverflowError):
        table.append(3, 1 << 40)
    assert (len(table), table["time"][-1], table["shares"][-1]) == (503, 8, 10)
