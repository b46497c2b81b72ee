"""What the ladder sees of an account: the figures of one status event, or why nothing may be enforced on them."""

from __future__ import annotations

from dataclasses import dataclass

from margin_platform.contracts.messages import Event


@dataclass(frozen=True)
class Observation:
    """What was seen of an account at one event time. Money in dollars, rounded to cents; times in epoch milliseconds.

    held: why nothing may be enforced on these figures (stale, missing or implausible prices), or None. corrected: the figures
    rest on a price that replaces one the source has withdrawn, on which calls opened from `corrected_since` on may have rested.
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
        """The observation of a margin.status.v1 event; one without figures (a missing price) is held."""
        stale = event.get("stale_symbols") or []
        held = f"stale or missing price: {', '.join(stale)}" if stale else None
        held = event.get("held") or held
        if event.get("excess") is None:
            held = held or "figures missing"
        return Observation(
            account_id=event["account_id"], timestamp=event["timestamp"], equity=event.get("equity") or 0.0,
            gross_mv=event.get("gross_mv") or 0.0, requirement=event.get("requirement") or 0.0, excess=event.get("excess") or 0.0,
            severe_underwater=bool(event.get("severe_underwater")), held=held, corrected=bool(event.get("corrected_symbols")),
            corrected_since=event.get("corrected_since") or 0, calc_id=event["calc_id"],
        )
