"""The market through time: the live estimators, with nothing of the future in any figure."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from margin_platform.backtest import crises
from margin_platform.backtest.engine.market_path import MarketPath, market_path
from margin_platform.backtest.history import sample_market
from margin_platform.backtest.runs import sample_history
from margin_platform.kernel.market import Market
from margin_platform.market import instruments
from margin_platform.policy.policy import current_policy
from margin_platform.volatility.beta import beta
from margin_platform.volatility.estimator import historical_volatility

DAY = dt.date(2020, 3, 16)


@pytest.fixture(scope="module")
def path() -> MarketPath:
    history = sample_history()
    return market_path(
        Market.of(instruments.load()), history, current_policy(), history.between(DAY, dt.date(2020, 3, 20))
    )


def test_volatility_is_the_live_estimator_on_the_closes_before_the_bar(path: MarketPath) -> None:
    closes = sample_market.closes().loc[: (DAY - dt.timedelta(days=1)).isoformat()]
    for code, symbol in enumerate(path.market.symbols):
        live = historical_volatility(closes[symbol].to_numpy(float), current_policy()).sigma
        assert path.sigma[0, code] == round(live, 6)  # as on volatility.v1


def test_betas_are_of_the_year_before_the_month(path: MarketPath) -> None:
    returns = sample_market.closes().pct_change().loc[:"2020-02-28"].tail(252)
    code = path.market.code_of()["AAPL"]
    assert path.beta[0, code] == pytest.approx(
        beta(returns["SPY"].to_numpy(float), returns["AAPL"].to_numpy(float)), rel=1e-12
    )


def test_a_figure_does_not_change_when_the_future_is_cut_off(path: MarketPath) -> None:
    history = sample_history()
    short = history.cut(history.between(None, DAY))
    cut = market_path(Market.of(instruments.load()), short, current_policy(), short.between(DAY, DAY))
    for name in ("price", "sigma", "beta"):
        assert np.array_equal(getattr(cut, name)[0], getattr(path, name)[0])


def test_every_crisis_has_a_year_before_it_to_estimate_from_but_the_first() -> None:
    history = sample_history()
    for crisis in crises.CRISES[1:]:
        assert history.between(None, crisis.first).stop > 252
    assert history.between(None, crises.CRISES[0].first).stop > current_policy().volatility.vol_window
