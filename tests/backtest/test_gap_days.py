"""The sample's five great gaps, all beyond a 15% shock:
a leveraged holder of the name alone is called that day, and by how much.
"""

from __future__ import annotations

import datetime as dt

import pytest

from margin_platform.backtest import runs
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.report.measures import measures
from margin_platform.documents.book_input import BookInput
from margin_platform.kernel.book import PORTFOLIO, REG_T, Book
from margin_platform.kernel.market import Market
from margin_platform.market import instruments
from margin_platform.policy.policy import current_policy

GAPS = [
    ("AAPL", "2000-09-29", -0.518),
    ("PG", "2000-03-07", -0.302),
    ("HD", "2000-10-12", -0.287),
    ("BAC", "2009-01-20", -0.290),
    ("CVX", "2020-03-18", -0.221),
]


def _given(symbol: str, eve: dt.date) -> BookInput:
    """$100,000 of one name at 50% and, in a portfolio-margin account of ten times that, at 20% equity;
    and one without debt.
    """
    market = Market.of(instruments.load())
    code = market.code_of()[symbol]
    price = float(sample_market.closes().loc[eve.isoformat(), symbol])
    shares = round(100_000 / price)
    value = shares * price
    rows = [
        ("half", -0.5 * value, REG_T, [(code, float(shares))]),
        ("paid", 0.0, REG_T, [(code, float(shares))]),
        ("portfolio", -8.0 * value, PORTFOLIO, [(code, 10.0 * shares)]),
    ]
    return runs.keeping_jumps(BookInput(Book.of(rows), market, current_policy()))


@pytest.mark.parametrize(("symbol", "day", "move"), GAPS)
def test_who_is_called_on_a_gap_day_and_why(symbol: str, day: str, move: float) -> None:
    on = dt.date.fromisoformat(day)
    eve = sample_market.sessions(on - dt.timedelta(days=7), on - dt.timedelta(days=1))[-1]
    job, flaws = runs.prepare(runs.sample_history(), [], _given(symbol, eve), first=eve, last=on)
    result = runs.execute(job, flaws, "gap")
    assert job.path.price[1, job.path.market.code_of()[symbol]] / job.path.price[
        0, job.path.market.code_of()[symbol]
    ] - 1 == pytest.approx(move, abs=0.001)
    called = {r.account_id: r for r in result.record.decisions if r.action == "CALL" and r.bar == 1}
    assert "paid" not in called  # nothing is owed: nothing can be called
    assert called["portfolio"].symbol == symbol
    left = 1 + move
    if left * (1 - 0.35) < 0.5:  # equity below 25% and the 10% for a single name
        # the move is given to a tenth of a percent
        assert called["half"].equity == pytest.approx((left - 0.5) * 100_000, abs=150)
        assert called["half"].deficiency > 0
    top = measures(result)["beyond_tims"]["largest"][0]
    assert (top["symbol"], top["date"]) == (symbol, day)
    lost = max(0.0, 0.8 - left) * 1_000_000  # the gap went through the portfolio account's 20%
    assert measures(result)["worst_unsecured"]["amount"] == pytest.approx(
        lost + max(0.0, 0.5 - left) * 100_000, rel=0.02
    )
