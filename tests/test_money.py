"""Money is rounded half away from zero to whole cents, whatever its size,
and an unknown figure stays unknown without a warning.
"""

from __future__ import annotations

import math
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import CASH, FILLS, BadEvent
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from margin_platform.dollars import format_dollars, format_move
from margin_platform.ledger.ledger import Ledger
from margin_platform.ledger.micros import to_micros
from margin_platform.money import cents, cents_or_none, shares


@pytest.mark.parametrize(
    ("amount", "rounded"),
    [
        (1.005, 1.01),
        (-1.005, -1.01),
        (2800.105, 2800.11),
        (0.004999, 0.0),
        (-0.004, 0.0),
        (1e20, 1e20),
        (-1e24, -1e24),
    ],
)
def test_half_a_cent_goes_away_from_zero_and_a_large_amount_overflows_nothing(
    amount: float, rounded: float
) -> None:
    assert cents(amount) == rounded
    assert math.copysign(1.0, cents(-0.001)) == 1.0  # no negative zero on the wire


@settings(max_examples=300, deadline=None)
@given(st.integers(-(10**13), 10**13), st.integers(0, 1))
@example(292_667_751_155, 0)
def test_rounding_agrees_with_exact_arithmetic(thousandths: int, half: int) -> None:
    exact = Fraction(2 * thousandths + half, 2000)
    whole = Fraction(math.floor(abs(exact) * 100 + Fraction(1, 2)), 100)
    assert cents(float(exact)) == pytest.approx(
        float(whole if exact >= 0 else -whole), abs=1e-3 if abs(exact) > 1e9 else 1e-9
    )


def test_an_unknown_figure_raises_no_floating_point_warning() -> None:
    """NaN is a missing price: ordinary, and so no RuntimeWarning of NumPy's either."""
    document = {
        "accounts": [
            {
                "account_id": "A",
                "cash": 10,
                "positions": [{"symbol": "LOST", "qty": 5}, {"symbol": "X", "qty": -5, "price": 10}],
            },
            {"account_id": "B", "cash": 10, "positions": [{"symbol": "X", "qty": -5, "price": 10}]},
        ]
    }
    with warnings.catch_warnings(), np.errstate(all="warn"):
        warnings.simplefilter("error", RuntimeWarning)
        unknown = np.tile([np.nan, 1.0, -1.0, np.nan, np.inf], 50)
        assert np.isnan(cents(unknown)[0])
        assert cents_or_none(float("nan")) is None
        result = evaluation(parse(document), house_grid=True)
    assert [account["equity"] for account in result["accounts"]] == [None, -40.0]
    assert format_dollars(None) == format_dollars(float("nan")) == "–"


def test_two_moves_never_read_alike() -> None:
    assert [format_move(m) for m in (-0.08, -0.02, -0.015, 0.0, 0.06, 0.1 + 0.2)] == [
        "-8%",
        "-2%",
        "-1.5%",
        "+0%",
        "+6%",
        "+30%",
    ]


@pytest.mark.parametrize("amount", [float("inf"), float("-inf"), float("nan"), 1e303])
def test_an_amount_a_ledger_cannot_hold_is_refused_by_its_value(amount: float) -> None:
    with pytest.raises(OverflowError, match="more than a ledger holds, value"):
        to_micros(amount)


@pytest.mark.parametrize(("field", "value"), [("qty", 1e16), ("price", 1e14), ("fee", 1e300)])
def test_a_fill_too_large_for_the_ledger_names_its_field_and_leaves_nothing_behind(
    field: str, value: float
) -> None:
    ledger = Ledger()
    fill = {
        "fill_id": "1",
        "account_id": "A",
        "symbol": "X",
        "qty": 100.0,
        "price": 10.0,
        "fee": 1.0,
        "timestamp": 1,
    }
    with pytest.raises(BadEvent) as refused:
        ledger.apply(FILLS, fill | {field: value})
    assert (refused.value.field, refused.value.value, refused.value.reason) == (
        field,
        value,
        "more than a ledger holds",
    )
    assert ledger.apply(FILLS, fill) == ["A"]  # its id is still free
    assert (ledger.cash("A"), ledger.positions("A")) == (-1001.0, {"X": 100.0})


def test_a_transfer_too_large_for_the_ledger_names_its_field() -> None:
    with pytest.raises(BadEvent, match="amount"):
        Ledger().apply(CASH, {"transfer_id": "1", "account_id": "A", "amount": -1e16, "timestamp": 1})


def test_shares_are_kept_to_a_millionth() -> None:
    assert (shares(1.0000005), shares(-1.0000005), shares(0.0)) == (1.000001, -1.000001, 0.0)
