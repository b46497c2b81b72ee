"""Market impact by the square-root law,
and the split of a cure over names that costs least (MARGIN_RULES 8.7).
"""

from __future__ import annotations

import numpy as np

from margin_platform.kernel.market import Floats

_STEPS = 80  # halvings of the search: far below a cent


def impact_cost(traded: Floats, sigma: Floats, adv: Floats, coefficient: float) -> Floats:
    """Return dollars lost to impact by trading these dollars of each name: Y x sigma x x x sqrt(x / ADV).

    sigma: daily volatility as a fraction; adv: dollars traded on an average day; all (names,).
    """
    return coefficient * sigma * traded * np.sqrt(traded / adv)


def at_marginal_cost(price: Floats, rates: Floats, sigma: Floats, adv: Floats, coefficient: float) -> Floats:
    """Return dollars of each name at which a further dollar of cure costs `price`: ADV x (2 price rate / (3 Y
    sigma)) squared.
    """
    return adv * (2.0 * price * rates / (3.0 * coefficient * sigma)) ** 2


def participation_caps(adv: dict[str, float], share: float, prices: dict[str, float]) -> dict[str, float]:
    """Return the most shares of each symbol: `share` of its average daily volume (dollars) at its price.

    Symbols without a volume have none.
    """
    return {
        symbol: share * volume / prices[symbol]
        for symbol, volume in adv.items()
        if prices.get(symbol, 0.0) > 0
    }


def minimum_impacts(
    deficiencies: Floats, rates: Floats, sigma: Floats, adv: Floats, caps: Floats, coefficient: float
) -> Floats:
    """Return dollars of each name to trade so that sum(rates x dollars) is the deficiency at least impact,
    none above its cap.

    One row a deficiency: (n,) to (n, names).
    Without cliffs the problem is convex and the optimum has one marginal cost for every name that is not
    capped; that cost is searched for. Where even the caps do not suffice, the caps are returned.
    """
    low, high = np.zeros(len(deficiencies)), np.ones(len(deficiencies))
    most = float(rates @ caps)

    def split(price: Floats) -> Floats:
        return np.minimum(caps, at_marginal_cost(price[:, None], rates, sigma, adv, coefficient))

    while np.any(short := (split(high) @ rates < np.minimum(deficiencies, most * (1 - 1e-12)))):
        high = np.where(short, high * 2.0, high)
    for _ in range(_STEPS):
        middle = (low + high) / 2.0
        enough = split(middle) @ rates >= deficiencies
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return np.where((deficiencies >= most)[:, None], caps, split(high))
