"""Messages made of columns are byte for byte those of dictionaries, whatever the book."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import encode
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.bands import band_codes
from margin_platform.snapshots.events import calc_events, calculated, status_event, status_texts, stress_texts
from margin_platform.snapshots.giving_out.inputs import Inputs
from margin_platform.snapshots.giving_out.json_rows import Decimals, lines
from tests.support import dict_events

POLICY = current_policy()
UNKNOWN = st.just(float("nan"))
INSTRUMENTS = st.fixed_dictionaries(
    {
        "price": st.integers(1, 9_000_000).map(lambda n: n / 10_000) | UNKNOWN,
        "beta": st.sampled_from([-1.0, 0.6, 1.37]) | UNKNOWN,
        "sigma": st.sampled_from([0.2, 0.5, 0.7]) | UNKNOWN,
        "issuer": st.sampled_from([None, "ALPHABET"]),
    }
)
QUANTITY = st.sampled_from([1.0, -40.0, 0.001, 1_234.567891, -3e8, 9e11])
POSITIONS = st.lists(st.tuples(st.integers(0, 3), QUANTITY), max_size=5)
CASH = st.integers(-4_000_000, 4_000_000).map(lambda cents: cents / 100) | st.sampled_from([0.0, 1e14, -7e16])
ACCOUNTS = st.lists(st.tuples(CASH, st.sampled_from([0, 1]), POSITIONS), min_size=1, max_size=4)
NAMES = ("A-1", 'say "so"', "Ä\u2028\U0001f600", "back\\slash")
OWN = {NAMES[1]: {"fills.v1": {"3": [5, 9]}}}


@settings(max_examples=60, deadline=None)
@given(
    st.lists(INSTRUMENTS, min_size=4, max_size=4),
    ACCOUNTS,
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([{}, OWN]),
)
def test_messages_of_columns_are_those_of_dictionaries_byte_for_byte(
    drawn: list[Any], accounts: list[Any], stale: list[bool], own: Any
) -> None:
    market = Market.of(Instrument(f'S{n}"', **figures) for n, figures in enumerate(drawn))
    market.stale[:] = stale
    book = Book.of([(NAMES[n], *account) for n, account in enumerate(accounts)])
    times = np.array([0, 1_790_000_000_123, 1_780_000_000_000, 5])
    inputs = Inputs(
        1_790_000_000_999, 7, {"prices.v1": {"0": [1, 2]}}, times, own_offsets=own, set_aside={1: "odd"}
    )
    margin = evaluate(book, market, POLICY)
    bands, rows = band_codes(margin), np.arange(len(book))[::-1]
    expected = dict_events.calc_events(book, market, margin, inputs)
    calc = calculated(book, market, margin, inputs)
    assert calc.texts == [encode(event) for event in expected]
    assert calc.calc_ids == [event["calc_id"] for event in expected]
    assert calc_events(book, market, margin, inputs) == [*map(orjson.loads, calc.texts)]
    status = [
        dict_events.status_event(event, n, int(bands[n]), book, market, margin, inputs)
        for n, event in enumerate(expected)
    ]
    texts = status_texts(calc.texts, rows, bands, book, market, margin, inputs)
    assert texts == [encode(status[n]) for n in rows.tolist()]
    assert status == [
        status_event(event, n, int(bands[n]), book, market, margin, inputs)
        for n, event in enumerate(expected)
    ]
    stress = [dict_events.stress_events(expected[n], n, margin) for n in rows.tolist()]
    assert stress_texts(calc, rows, margin, inputs) == [
        encode(event) for events in stress for event in events
    ]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.floats(), max_size=30), st.lists(st.integers(-(10**17), 10**17), max_size=30))
def test_any_number_is_written_as_short_as_the_dictionaries_have_it(
    floats: list[float], cents: list[int]
) -> None:
    values = np.array([*floats, *(n / 100 for n in cents), *(n / 10**6 for n in cents), -0.0])
    columns = {"a": values, "b": Decimals(values, 6), "c": np.stack([values, values], axis=1)}
    expected = [
        {"a": x, "b": x, "c": [x, x] if x == x else None} for x in values.tolist()
    ]  # a list whose first number is unknown is
    assert lines(columns, len(values)) == [encode(row) for row in expected]
