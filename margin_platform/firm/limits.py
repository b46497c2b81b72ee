"""The firm's own limits: beta-weighted exposure and stressed loss against policy, alerted when a level
changes, once per episode.

Rule: MARGIN_RULES 6. A level is CLEAR, WARNING (beyond `firm_warning_share` of the limit) or BREACH (beyond
the limit). It ends `firm_hysteresis` below its line: an amount that wavers on the line is one episode and one
alert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum

from margin_platform.contracts.messages import Event, deterministic_id
from margin_platform.policy.sections import FirmPolicy

Levels = dict[str, str]


class FirmLevel(StrEnum):
    """How far a figure of the firm is from its limit, the worst last."""

    CLEAR = "CLEAR"
    WARNING = "WARNING"
    BREACH = "BREACH"


START: Mapping[str, str] = {"exposure": FirmLevel.CLEAR.value, "loss": FirmLevel.CLEAR.value}
_LEVELS = tuple(level.value for level in FirmLevel)


@dataclass(frozen=True)
class FirmAlert:
    """One change of level. amount and limit are dollars;
    accounts are those that cause most of it, largest first.
    """

    alert_id: str
    kind: str
    level: str
    previous: str
    amount: float
    limit: float
    scenario: str
    accounts: tuple[str, ...]
    timestamp: int

    def as_event(self) -> Event:
        return {**asdict(self), "accounts": list(self.accounts)}

    def sentence(self) -> str:
        """Describe what happened, for a person."""
        what = {
            "exposure": "Firm beta-weighted exposure",
            "loss": f"Firm loss in SPY scenario {self.scenario}",
        }[self.kind]
        causes = f"; most of it from {', '.join(self.accounts)}" if self.accounts else ""
        return (
            f"{what} is ${self.amount:,.2f}, limit ${self.limit:,.2f}: {self.previous} -> "
            f"{self.level}{causes}."
        )


def level_of(amount: float, limit: float, policy: FirmPolicy, before: str) -> str:
    """Return the level of an amount of either sign, given the level before; the limit itself is still
    within."""
    lines = (limit * policy.firm_warning_share, limit)
    reached = sum(abs(amount) > line for line in lines)
    kept = sum(abs(amount) > line * (1.0 - policy.firm_hysteresis) for line in lines)
    return _LEVELS[max(reached, min(kept, _LEVELS.index(before)))]


def alerts_of(
    events: Iterable[Event], levels: Mapping[str, str], policy: FirmPolicy
) -> tuple[list[FirmAlert], Levels]:
    """Return the changes of level these firm.risk.v1 events bring, in order, and the levels after them.

    Only the worst scenario's row of a sweep is read: it carries the largest loss and the same exposure as the
    others.
    """
    now: Levels = {**START, **levels}
    alerts = []
    for event in events:
        if not event.get("worst"):
            continue
        for kind, amount, limit, causes in _readings(event, policy):
            level = level_of(amount, limit, policy, now[kind])
            if level != now[kind]:
                alerts.append(_alert(kind, level, now[kind], amount, limit, event, causes))
                now[kind] = level
    return alerts, now


def _readings(event: Event, policy: FirmPolicy) -> list[tuple[str, float, float, tuple[str, ...]]]:
    exposure, loss = event["firm_beta_weighted_exposure"], event["firm_loss"]
    return [
        ("exposure", exposure, policy.firm_exposure_limit, _accounts(event.get("top_exposures"))),
        ("loss", loss, policy.firm_loss_limit, _accounts(event.get("top_contributors"))),
    ]


def _accounts(rows: object) -> tuple[str, ...]:
    """Return the accounts that rows name. A row that names none is left out: the alert is due without it."""
    named = (row.get("account_id") for row in rows if isinstance(row, dict)) if isinstance(rows, list) else ()
    return tuple(account for account in named if isinstance(account, str))


def _alert(
    kind: str, level: str, previous: str, amount: float, limit: float, event: Event, accounts: tuple[str, ...]
) -> FirmAlert:
    at = int(event.get("timestamp") or 0)
    alert_id = deterministic_id("firm", kind, level, event["scenario"], at)
    return FirmAlert(alert_id, kind, level, previous, amount, limit, str(event["scenario"]), accounts, at)
