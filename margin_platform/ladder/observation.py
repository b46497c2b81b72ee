"""What the ladder sees of an account: the figures of one status event, or why nothing may be enforced on
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from margin_platform.contracts.messages import Event

_NO_FIGURES = "figures missing"


@dataclass(frozen=True)
class Observation:
    """What was seen of an account at one event time.

    Money in dollars, rounded to cents; times in epoch milliseconds.

    held: why nothing may be enforced on these figures (stale, missing or implausible prices), or None.
    corrected: the figures rest on a price that replaces one the source has withdrawn, on which calls opened
    from `corrected_since` on may have rested.
    """

    account_id: str
    timestamp: int
    equity: float
    gross_mv: float
    requirement: float
    excess: float
    severe_underwater: bool = False
    held: str | None = None
    corrected: bool = False
    corrected_since: int = 0
    calc_id: str = ""

    @staticmethod
    def from_status_event(event: Event) -> Observation:
        """Return the observation of a margin.status.v1 event;
        one without figures (a missing price) is held.
        """
        held = event.get("held") or price_hold(event.get("stale_symbols") or [])
        if event.get("excess") is None:
            held = held or _NO_FIGURES
        return Observation(
            account_id=event["account_id"],
            timestamp=event["timestamp"],
            equity=event.get("equity") or 0.0,
            gross_mv=event.get("gross_mv") or 0.0,
            requirement=event.get("requirement") or 0.0,
            excess=event.get("excess") or 0.0,
            severe_underwater=bool(event.get("severe_underwater")),
            held=held,
            corrected=bool(event.get("corrected_symbols")),
            corrected_since=event.get("corrected_since") or 0,
            calc_id=event["calc_id"],
        )

    @staticmethod
    def of_row(
        account_id: str,
        timestamp: int,
        figures: tuple[float, float, float, float],
        *,
        severe_underwater: bool,
        stale_symbols: Sequence[str],
        calc_id: str,
    ) -> Observation:
        """Return what `from_status_event` returns for the event of these figures.

        figures: equity, gross market value, requirement and excess, dollars in cents; NaN where they are
        unknown.
        """
        held = price_hold(stale_symbols)
        if any(figure != figure for figure in figures):
            return Observation(
                account_id, timestamp, 0.0, 0.0, 0.0, 0.0, held=held or _NO_FIGURES, calc_id=calc_id
            )
        return Observation(account_id, timestamp, *figures, severe_underwater, held, calc_id=calc_id)


def price_hold(symbols: Sequence[str]) -> str | None:
    """Return why nothing may be enforced on figures that rest on stale or missing prices of these symbols;
    None without any.
    """
    return f"stale or missing price: {', '.join(symbols)}" if symbols else None
