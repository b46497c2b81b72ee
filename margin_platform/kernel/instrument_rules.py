"""Rule-based margin per share: FINRA 4210(c) maintenance, leveraged ETFs, volatility and hard-to-borrow
add-ons.

Everything here depends on the instrument and the price alone, not on who holds it, so it is worked out once
per instrument and price lane (today's price and each stress price) and the account sweep only multiplies by
shares. What depends on the account (concentration, box, cap, TIMS netting) is in `account_sweep`.
"""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.market import Floats, Market
from margin_platform.kernel.sweep.columns import Schedule
from margin_platform.kernel.volatility_tiers import tiers
from margin_platform.policy.policy import Policy

_TIE = 1e-9  # dollars within which a shocked price counts as the low-price boundary itself


def shocked_prices(price: Floats, beta: Floats, moves: Floats) -> Floats:
    """Return prices under SPY moves: price x (1 + beta x move), a fall floored at -100% (MARGIN_RULES 5.1).

    Shape (n, 1 + moves).
    """
    lanes = np.concatenate([[0.0], moves])
    shocked: Floats = price[:, None] * np.maximum(0.0, 1.0 + beta[:, None] * lanes[None, :])
    return shocked


def effective_beta(market: Market, policy: Policy) -> Floats:
    """Return each instrument's beta, the policy's default where it is unknown."""
    return np.where(np.isnan(market.beta), policy.stress.default_beta, market.beta)


def long_base_per_share(price: Floats, market: Market, policy: Policy) -> Floats:
    """Return long maintenance a share: 25% x |leverage|, 100% when non-marginable or (house) below $5.

    Source: FINRA 4210(c)(1), RN 09-53.
    """
    rules = policy.maintenance
    own = np.where(np.isnan(market.long_rate), rules.long_rate, market.long_rate)
    rate = _funds_rate(own, market)
    rate = np.where(market.marginable, rate, np.maximum(rate, rules.non_marginable_rate))[:, None]
    if rules.use_low_price_long:
        rate = np.where(price < rules.low_price - _TIE, np.maximum(rate, rules.low_price_long_rate), rate)
    return rate * price


def short_base_per_share(price: Floats, market: Market, policy: Policy) -> Floats:
    """Return short maintenance a share: from $5, max($5, 30% x |leverage|); below, max($2.50, 100%).

    Source: FINRA 4210(c)(2), (3), RN 09-53.
    """
    rules = policy.maintenance
    own = np.where(np.isnan(market.short_rate), rules.short_rate, market.short_rate)
    rate = _funds_rate(own, market)[:, None]
    upper = np.maximum(rules.short_min_per_share, rate * price)
    lower = np.maximum(rules.short_low_min, rules.short_low_rate * price)
    return np.where(price < rules.low_price - _TIE, lower, upper)


def _funds_rate(plain: Floats, market: Market) -> Floats:
    """Multiply a rate by the fund's factor without its sign, at most 100%: RN 09-53 raises rates, it takes
    none below the plain one.
    """
    return np.maximum(plain, np.minimum(1.0, plain * np.abs(market.etf_leverage)))


def volatility_rate(market: Market, policy: Policy) -> Floats:
    """Return the add-on rate of each instrument, by the tier its volatility is in (MARGIN_RULES 3.2)."""
    rules = policy.volatility
    if not rules.use_vol:
        return np.zeros_like(market.sigma)
    return np.array([0.0, rules.vol_addon1, rules.vol_addon2])[
        tiers(market.sigma, market.volatility_tier, rules)
    ]


def schedule_of(market: Market, policy: Policy) -> Schedule:
    """Return the dollars-a-share schedule of a market under a policy: the whole of the instrument-level
    rules."""
    beta = effective_beta(market, policy)
    price = shocked_prices(market.price, beta, np.array(policy.stress.scenarios))
    portfolio = policy.portfolio_margin
    return Schedule(
        price=np.ascontiguousarray(price),
        long_base=np.ascontiguousarray(long_base_per_share(price, market, policy)),
        short_base=np.ascontiguousarray(short_base_per_share(price, market, policy)),
        volatility=np.ascontiguousarray(volatility_rate(market, policy)[:, None] * price),
        htb=market.htb_addon,
        beta=beta,
        scan_up=np.where(np.isnan(market.up), portfolio.pm_up, market.up) * market.etf_leverage,
        scan_down=np.where(np.isnan(market.down), portfolio.pm_down, market.down) * market.etf_leverage,
    )
