"""The firm in one line: its exposure and its worst loss against their limits, from the newest firm.risk.v1
events. Computes no risk.
"""

from __future__ import annotations

from collections.abc import Sequence

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.firm.limits import FirmLevel, level_of
from margin_platform.policy.sections import FirmPolicy


def firm_now(events: Sequence[Event], policy: FirmPolicy) -> Json | None:
    """Return {exposure, loss}, each {amount, limit, level} in dollars, loss with its scenario; None before
    the first event.

    written_at: when Kafka got the newest event, epoch milliseconds; 0 where it is unknown.

    The limits are those the events were judged by, the policy's where they name none.
    """
    if not events:
        return None
    newest = max(events, key=lambda e: e.get("timestamp") or 0)
    worst = max(events, key=lambda e: e.get("firm_loss") or 0.0)
    exposure, loss = newest.get("firm_beta_weighted_exposure"), worst.get("firm_loss")
    return {
        "written_at": max(e.get("produced_at") or 0 for e in events),
        "exposure": _against(exposure, newest.get("exposure_limit") or policy.firm_exposure_limit, policy),
        "loss": _against(loss, worst.get("loss_limit") or policy.firm_loss_limit, policy)
        | {"scenario": worst["scenario"]},
    }


def _against(amount: float | None, limit: float, policy: FirmPolicy) -> dict[str, object]:
    # where it stands, not which alert is still open
    level = None if amount is None else level_of(amount, limit, policy, FirmLevel.CLEAR)
    return {"amount": amount, "limit": limit, "level": level}
