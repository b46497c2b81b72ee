"""The priced markets of a run: neighboring bars are priced together, what stays the same once."""

from __future__ import annotations

from margin_platform.backtest.engine.market_path import MarketPath
from margin_platform.kernel.priced_market import PricedMarket
from margin_platform.policy.policy import Policy

_TOGETHER = 1024  # instruments of neighboring bars: so many take little longer to price than one


class PricedBars:
    """Prices under one policy, bar by bar."""

    def __init__(self, path: MarketPath, policy: Policy) -> None:
        self._path, self._policy = path, policy
        self._first: PricedMarket | None = None
        self._ahead: dict[int, PricedMarket] = {}

    def at(self, bar: int) -> PricedMarket:
        """Price the market as it was known at a bar."""
        if bar not in self._ahead:
            together = max(1, _TOGETHER // len(self._path.market.symbols))
            bars = range(bar, min(bar + together, len(self._path)))
            priced = self._fixed().at_each([self._path.at(each) for each in bars])
            self._ahead = dict(zip(bars, priced, strict=True))
        return self._ahead[bar]

    def between(self, bar: int, at: int) -> PricedMarket:
        """Price the market of the bar before, as corporate actions have changed it up to a time."""
        (priced,) = self._fixed().at_each([self._path.between(bar, at)])
        return priced

    def _fixed(self) -> PricedMarket:
        if self._first is None:
            self._first = PricedMarket.of(self._path.at(0), self._policy)
        return self._first
