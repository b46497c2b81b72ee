"""A market kept current, instrument by instrument, is the market priced from scratch:
the same figures to the last bit.
"""

from __future__ import annotations

import contextlib
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import BETAS, PRICES, VOLATILITY, BadEvent
from margin_platform.kernel.book import PORTFOLIO, REG_T, Book
from margin_platform.kernel.evaluate import Margin, evaluate_accounts
from margin_platform.kernel.market import Instrument, Market
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.market.live_market import LiveMarket
from margin_platform.policy.policy import Policy, current_policy
from tests.support.engine_feed import Feed
from tests.support.market_day import OPEN, seed, tick

POLICY = current_policy()
INSTRUMENTS = [
    Instrument(symbol="X", class_group="G", product_group="HICAP", portfolio_group="INDEX"),
    Instrument(
        symbol="Y", class_group="G", product_group="HICAP", portfolio_group="INDEX", etf_leverage=-2.0
    ),
    Instrument(symbol="Z", issuer="X"),
]
SYMBOLS = [i.symbol for i in INSTRUMENTS]
BOOK = Book.of(
    [
        ("a", 1_000.0, REG_T, [(0, 100.0), (1, -50.0), (2, 30.0)]),
        ("b", 90_000.0, PORTFOLIO, [(0, -500.0), (1, 700.0)]),
        ("c", -500.0, REG_T, [(2, 400.0)]),
    ]
)
EVENTS = st.one_of(
    st.tuples(st.just(PRICES), st.sampled_from(SYMBOLS), st.floats(0.5, 400.0)),
    # beyond 1 / move: a fall is floored
    st.tuples(st.just(BETAS), st.sampled_from(SYMBOLS), st.floats(-30.0, 30.0)),
    st.tuples(st.just(VOLATILITY), st.sampled_from(SYMBOLS), st.floats(0.05, 1.5)),
)
# events, then what the clock adds
BATCH = st.tuples(st.lists(EVENTS, max_size=4), st.integers(0, 3 * 3_600_000))


def _take(live: LiveMarket, topic: str, symbol: str, figure: float, at: int) -> None:
    event: dict[str, Any] = {"symbol": symbol, "timestamp": at}
    event |= {
        PRICES: {"price": figure, "confirmed": True},
        BETAS: {"beta": figure},
        VOLATILITY: {
            "volatility_annual": figure,
            "tier": int(figure > 0.4) + int(figure > 0.6),
            "quality": "OK",
        },
    }[topic]
    with contextlib.suppress(BadEvent):  # set aside as implausible
        live.take(topic, live.code_of[symbol], event)


def _same(kept: Margin, fresh: Margin) -> None:
    for each in fields(Margin):
        mine, own = getattr(kept, each.name), getattr(fresh, each.name)
        if isinstance(own, np.ndarray):
            np.testing.assert_array_equal(mine, own, err_msg=each.name)  # NaN is equal to NaN here
        else:
            assert mine == own, each.name


@settings(max_examples=60, deadline=None)
@given(st.lists(BATCH, min_size=1, max_size=8))
def test_a_market_kept_current_gives_the_figures_of_one_priced_anew(batches: list[Any]) -> None:
    live, now = LiveMarket(INSTRUMENTS, POLICY), OPEN
    accounts = np.arange(len(BOOK), dtype=np.int64)
    for events, passed in batches:
        now += passed
        for topic, symbol, figure in events:
            now += 1
            _take(live, topic, symbol, figure, now)
        live.mark_stale(now)
        kept = evaluate_accounts(BOOK, live.priced(), accounts, detail=True)
        _same(kept, evaluate_accounts(BOOK, PricedMarket.of(live.market, POLICY), accounts, detail=True))


def test_the_margin_stream_prices_its_market_once_for_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Later batches price the instruments that moved, and no others: `PricedMarket.of` prices all of them."""
    priced, of = list[Market](), PricedMarket.of

    def counted(market: Market, policy: Policy) -> PricedMarket:
        priced.append(market)
        return of(market, policy)

    monkeypatch.setattr(PricedMarket, "of", staticmethod(counted))
    feed = Feed()
    calc = feed.say(*seed(3)).calc
    for step in range(1, 6):
        calc += feed.say(*tick(step)).calc
    assert len({event["timestamp"] for event in calc}) == 6
    assert len(priced) == 1


def test_markets_that_stand_apart_are_each_priced_as_alone() -> None:
    """To the last bit, for accounts of their own too: neither symbols nor issuers nor groups meet."""
    each = [Market.order_of(replace(i, price=40.0 + n, beta=n) for i in INSTRUMENTS) for n in range(3)]
    together = PricedMarket.of(Market.apart(each), POLICY)
    codes = [0, 3, 6]
    book = Book.of([(f"a{c}", -700.0, PORTFOLIO, [(c, 20.0), (c + 1, -5.0), (c + 2, 9.0)]) for c in codes])
    margin = evaluate_accounts(book, together, np.arange(3))
    for n, rows in enumerate(each):
        alone = PricedMarket.of(Market.of(rows), POLICY)
        part = slice(2 * codes[n], 2 * codes[n] + 6)  # two sides an instrument
        np.testing.assert_array_equal(together.shares.rows[part], alone.shares.rows)
        np.testing.assert_array_equal(together.shares.flags[part], alone.shares.flags)
        own = Book.of([(f"a{n}", -700.0, PORTFOLIO, [(0, 20.0), (1, -5.0), (2, 9.0)])])
        assert margin.take(np.array([n])).excess == evaluate_accounts(own, alone, np.arange(1)).excess
