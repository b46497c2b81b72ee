"""A status event rebuilds its account:
its positions, put back through the kernel, give the figures beside them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from margin_platform.documents.book_input import parse
from margin_platform.documents.rebuilt import document
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument, Market
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.giving_out.explanation import Explained
from margin_platform.snapshots.giving_out.inputs import Inputs

INSTRUMENTS = [
    Instrument("GOOG", 100.0, 1.1, 0.39, issuer="Alphabet", volatility_tier=1),
    Instrument("GOOGL", 101.0, 1.1, 0.45, issuer="Alphabet"),
    Instrument(
        "SPY",
        400.0,
        1.0,
        up=0.06,
        down=0.08,
        class_group="SPX",
        product_group="HICAP",
        portfolio_group="INDEX",
    ),
    Instrument(
        "SSO",
        50.0,
        2.0,
        up=0.06,
        down=0.08,
        etf_leverage=2.0,
        class_group="SPX",
        product_group="HICAP",
        portfolio_group="INDEX",
    ),
    Instrument("HARD", 4.0, short_rate=0.5, htb_addon=0.2),
    Instrument("IPO", 30.0, long_rate=0.4, marginable=False),
]
HELD = {"GOOG": 20.0, "GOOGL": 15.0, "SPY": 10.0, "SSO": -40.0, "HARD": -100.0, "IPO": 50.0}


def test_the_positions_of_a_status_event_carry_every_figure_the_kernel_used() -> None:
    """Issuers, groups, funds, own rates, borrow, tiers: leaving one out would rebuild another requirement."""
    market, policy = Market.of(INSTRUMENTS), current_policy().override({"vol_hysteresis": True})
    code = market.code_of()
    book = Book.of([("A", 3000.0, 0, [(code[s], q) for s, q in HELD.items()])])
    inputs = Inputs(1, 1, {}, np.ones(len(code), dtype=np.int64))
    rows = Explained(book, market, inputs).account(0, 0, [])["positions"]
    again = parse(document({"account_id": "A", "cash": 3000.0, "positions": rows}), policy)
    before, after = evaluate(book, market, policy), evaluate(again.book, again.market, again.policy)
    assert before.concentration_addon[0] > 0
    assert before.volatility_addon[0] > 0
    for field in dataclasses.fields(before):
        if isinstance(getattr(before, field.name), np.ndarray) and field.name != "largest_position":
            np.testing.assert_array_equal(
                getattr(after, field.name), getattr(before, field.name), err_msg=field.name
            )
