"""Which requirement a call is for: the firm's, the exchange's, or portfolio margin's."""

from __future__ import annotations

from margin_platform.contracts.events.vocabulary import CallKind
from margin_platform.contracts.messages import Event


def call_kind(event: Event) -> CallKind:
    """Return the kind of a call by the figures that it carries (an event of margin.calls.v1).

    EXCHANGE: equity is below the requirement without any house add-on (FINRA 4210(c)). PORTFOLIO_MINIMUM: a
    portfolio account to which the rules-based requirement applies, because its equity is below the minimum
    (PM-008). Figures that are missing make it a HOUSE call, which promises nothing of an exchange.
    """
    if event.get("margin_type") == "PORTFOLIO":
        below = event.get("applied_method") == "REG_T"
        return CallKind.PORTFOLIO_MINIMUM if below else CallKind.PORTFOLIO
    parts = event.get("components") or {}
    base, equity = parts.get("base_requirement"), event.get("equity")
    if base is None or equity is None or equity >= base + (parts.get("cap_adjustment") or 0.0):
        return CallKind.HOUSE
    return CallKind.EXCHANGE
