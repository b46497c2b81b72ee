"""The figure gate: whether a new beta or volatility may be acted upon, as the price gate does for prices.

A figure out of all proportion to the one in use is set aside, with a dead letter, until a second one agrees
with it. The first figure of an instrument has nothing to be held against but its range (`contracts.bounds`).
Pure: follows from the figures only.
"""

from __future__ import annotations

from typing import Any

from margin_platform.contracts.messages import BETAS, BadEvent

_BETA_STEP = 2.0  # a fund of three times the index is 2 away from the index
# percent for a fraction is a hundred times; a crash is four times or less in one session
_VOLATILITY_TIMES = 10.0
_VOLATILITY_QUIET = 1.0  # below 100% a year no figure is out of proportion


class FigureGate:
    """The figures set aside, by topic and symbol. Durable through `to_state`."""

    def __init__(self) -> None:
        # "topic symbol" -> figure, event time in epoch milliseconds
        self._aside: dict[str, tuple[float, int]] = {}

    def pass_on(self, topic: str, symbol: str, known: float, figure: float, at: int) -> None:
        """Return if a figure may replace the known one (NaN: none). BadEvent names one that is set aside."""
        name = f"{topic} {symbol}"
        aside, since = self._aside.get(name, (float("nan"), at))
        if not _far(topic, known, figure) or (
            at > since and not _far(topic, aside, figure) and aside == aside
        ):
            self._aside.pop(name, None)
            return
        self._aside[name] = (figure, at)
        field = "beta" if topic == BETAS else "volatility_annual"
        raise BadEvent(field, figure, f"implausible after {known:g}: set aside until a second figure agrees")

    def to_state(self) -> dict[str, object]:
        """Return the state, JSON-able."""
        return {name: list(row) for name, row in self._aside.items()}

    def restore(self, state: dict[str, Any]) -> None:
        self._aside = {name: (figure, at) for name, (figure, at) in state.items()}


def _far(topic: str, known: float, figure: float) -> bool:
    """Return True where a figure is out of proportion to a known one; NaN is no figure to hold it against."""
    if topic == BETAS:
        return abs(figure - known) > _BETA_STEP
    return figure > _VOLATILITY_QUIET and figure > _VOLATILITY_TIMES * known
