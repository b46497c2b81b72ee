"""A ledger's columns against plain dictionaries: ids, positions, and what a snapshot still sees of them."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from margin_platform.ledger.columns import holdings
from margin_platform.ledger.columns.digests import Digests
from margin_platform.ledger.columns.fills import Fills
from margin_platform.ledger.columns.growing_table import GrowingTable
from margin_platform.ledger.columns.holdings import Holdings
from margin_platform.ledger.columns.known_ids import KnownIds
from margin_platform.ledger.columns.pairs import sums_by_pair
from margin_platform.ledger.columns.texts import NOT_THERE, NOTHING, TextIndex, Texts
from margin_platform.ledger.current_book import CurrentBook, Opening
from tests.support.engine_feed import through_bytes

SPAN = 1000


def digest(n: int) -> bytes:
    return hashlib.blake2b(str(n).encode(), digest_size=16).digest()


def digests(numbers: Iterable[int]) -> Digests:
    return np.array([np.frombuffer(digest(n), np.int64) for n in numbers], np.int64).reshape(-1, 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 5 * SPAN)), max_size=90), max_size=5))
def test_ids_are_known_until_their_span_is_over_one_by_one_and_many_at_once(
    batches: list[list[tuple[int, int]]],
) -> None:
    ids, expected = KnownIds(span_ms=SPAN), dict[int, int]()
    for turn, batch in enumerate(batches):
        fresh = {n: at for n, at in batch if n not in expected}
        if turn % 2:
            times, contents = (np.array([*part], dtype=np.int64) for part in (fresh.values(), fresh))
            ids.add_many(digests(fresh), times, contents)
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
            assert np.flatnonzero(one.known(digests(range(401)))).tolist() == sorted(expected)
            assert [n for n in range(401) if digest(n) in one] == sorted(expected)
            assert all(one.delivered({"id": n}, "id", digest(n), n) for n in expected)
            assert len(one) == len(expected)


NAME = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAME, NAME), min_size=1, max_size=20), st.booleans(), st.integers(0, 300))
def test_many_digests_are_those_of_single_ids(
    pairs: list[tuple[str, str]], by_account: bool, more: int
) -> None:
    ids = KnownIds(by_account=by_account)
    pairs += [("a" * more, "b" * more)]
    accounts, names = ([pair[n] for pair in pairs] for n in (0, 1))
    found = ids.digests("fill", Texts.of(names), Texts.of(accounts))
    assert [row.tobytes() for row in found] == [ids.digest("fill", name, account) for account, name in pairs]


FIGURE = st.one_of(
    st.integers(-(10**12), 10**12).map(float),
    st.decimals(-(10**9), 10**9, places=4).map(float),
    st.floats(-1e12, 1e12),
    st.sampled_from((0.001, 0.0001, 1e-6, 0.1 + 0.2, 999_999_999.999999, 1e15, 123456789012345.6)),
)


SHORT_VENUE = st.sampled_from(("", "A", "AA", "ARCA", "ARCAÄ", "1234567"))
VENUES = st.one_of(SHORT_VENUE, st.sampled_from(("12345678", "123456789")))


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.lists(st.tuples(NAME, FIGURE, FIGURE, venue), min_size=1, max_size=20)
        for venue in (SHORT_VENUE, VENUES)
    )
)
def test_many_contents_are_those_of_single_fills(rows: list[tuple[str, float, float, str]]) -> None:
    names, qty, price, venues = ([row[n] for row in rows] for n in range(4))
    zeros, none = np.zeros(len(rows)), Texts(np.zeros(0, np.uint8), *np.full((2, len(rows)), NOTHING))
    fills = Fills(
        numbers=zeros.astype(np.int64),
        account_ids=Texts.of(names),
        symbol=zeros.astype(np.int64),
        symbol_names=Texts.of(["W"] * len(rows)),
        fill_ids=Texts.of(names),
        qty=np.array(qty),
        price=np.array(price),
        fee=zeros,
        times=np.full(len(rows), 1_790_000_000_000),
        venues=Texts.of(venues),
        order_ids=none,
    )
    for n, found in enumerate(fills.contents().tolist()):
        fill = {"account_id": names[n], "symbol": "W", "qty": qty[n], "price": price[n]}
        assert found == KnownIds.content_of_fill(
            fill | {"timestamp": 1_790_000_000_000, "venue": venues[n] or None}
        )


@settings(max_examples=60, deadline=None)
@example([["abb", ""]], [])  # both begin at one slot
@given(st.lists(st.lists(NAME, max_size=60), max_size=4), st.lists(NAME, max_size=20))
def test_a_text_is_found_by_its_last_number(parts: list[list[str]], others: list[str]) -> None:
    index, names = TextIndex(), list[str]()
    for part in parts:
        names += part
        expected = {name: number for number, name in enumerate(names)}
        asked = [*names, *others]
        found = index.numbers_of(names, Texts.of(asked)).tolist()
        assert found == [expected.get(name, NOT_THERE) for name in asked]


PUTS = st.lists(st.tuples(st.integers(0, 6), st.sampled_from("WXYZ"), st.integers(-3, 3)), max_size=60)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PUTS, st.booleans(), st.booleans())
def test_positions_are_what_was_put_last_wherever_they_are_kept(
    monkeypatch: pytest.MonkeyPatch, puts: list[tuple[int, str, int]], named: bool, many: bool
) -> None:
    monkeypatch.setattr(holdings, "_FEWEST_APART", 2)
    held, expected = Holdings("XY" if named else ""), dict[tuple[int, str], int]()
    for number, symbol, shares in puts:
        assert held.get(number, symbol) == expected.get((number, symbol), 0)
        if many and symbol in held.symbols:
            pair = np.array([number]), np.array([held.symbols.index(symbol)])
            rows, before = held.get_many(*pair)
            assert before.tolist() == [expected.get((number, symbol), 0)]
            held.put_many(rows, *pair, np.array([shares]))
        else:
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


STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 6), st.sampled_from("WXYZ"), st.integers(-1, 1)), max_size=12),
        st.booleans(),
        st.booleans(),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(PUTS, STEPS)
def test_a_book_that_is_kept_current_is_the_one_laid_out_anew(
    puts: list[tuple[int, str, int]], steps: list[tuple[list[tuple[int, str, int]], bool, bool]]
) -> None:
    """Positions that open, close and open again, many at once or one by one, looked at now and then."""
    held, codes = Holdings("WXYZ"), {"Z": 0, "W": 1, "X": 2, "Y": 3}
    for number, symbol, shares in puts:
        held.put(number, symbol, shares)

    def fresh() -> CurrentBook:
        return CurrentBook(lambda _: 0.0, held.of, lambda: Opening(np.zeros(7), held.symbols, laid(), ()))

    def laid() -> Any:
        return held.laid_out(7)

    def seen(book: CurrentBook) -> list[list[float]]:
        found = book.of("abcdefg", array("b", bytes(7)), codes)
        return [found.offsets.tolist(), found.symbol.tolist(), found.quantity.tolist()]

    kept = fresh()
    seen(kept)
    for touched, many, looks in steps:
        last = {(number, symbol): shares for number, symbol, shares in touched}
        pairs = np.array([(n, held.symbols.index(s)) for n, s in last], np.int64).reshape(-1, 2)
        for (number, symbol), shares in last.items():
            held.put(number, symbol, shares)
            if not many:
                kept.touch(number, 0, symbol)
        if many:
            kept.touch_many(pairs[:, 0], pairs[:, 1], np.array([*last.values()], np.int64))
        if looks:
            assert seen(kept) == seen(fresh())
    assert seen(kept) == seen(fresh())


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


def test_a_table_that_took_over_columns_changes_nothing_in_them() -> None:
    given, read_only = np.array([1, 2]), np.array([3, 4], dtype=np.int32)
    read_only.flags.writeable = False
    one, other = (GrowingTable(time=np.int64, shares=np.int32) for _ in range(2))
    one.replace({"time": given, "shares": read_only})
    assert np.shares_memory(one["time"], given)
    assert one["shares"].flags.writeable
    other.replace({name: one[name] for name in ("time", "shares")})
    for n in range(200):
        one.append(n, n)
        other.extend([-n], [-n])
    assert given.tolist() == one["time"][:2].tolist() == other["time"][:2].tolist() == [1, 2]
    assert (one["time"][-1], other["time"][-1]) == (199, -199)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99), st.integers(-(1 << 40), 1 << 40)), max_size=400)
)
def test_sums_by_pair_are_those_of_a_dictionary(rows: list[tuple[int, int, int]]) -> None:
    sums: dict[tuple[int, int], int] = {}
    for *pair, micros in rows:
        sums[pair[0], pair[1]] = sums.get((pair[0], pair[1]), 0) + micros
    account, code, amount = np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy()
    offsets, symbol, amounts = sums_by_pair(account.astype(np.int32), code.astype(np.int32), amount, 6, 100)
    accounts = np.repeat(np.arange(6), np.diff(offsets))
    found = zip(accounts.tolist(), symbol.tolist(), amounts.tolist(), strict=True)
    assert [*found] == [(*held, micros) for held, micros in sorted(sums.items())]
