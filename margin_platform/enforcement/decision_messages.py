"""What is published of a decision: margin.calls.v1, restrictions.v1 and the audit entry, with cause,
components and cures.
"""

from __future__ import annotations

from margin_platform import __version__
from margin_platform.contracts.events.figure_names import COMPONENTS
from margin_platform.contracts.events.vocabulary import CallAction, RestrictionAction
from margin_platform.contracts.messages import MARGIN_CALLS, RESTRICTIONS, Event, deterministic_id
from margin_platform.enforcement.foreseen_cures import ASKS_FOR_CURE, CuresOf
from margin_platform.ladder.state import Decision, DecisionKind
from margin_platform.policy.policy import Policy
from margin_platform.trading_time.new_york import local_time

# decision -> action on margin.calls.v1
_CALL_ACTION_OF = {
    DecisionKind.WARNING: CallAction.WARNING,
    DecisionKind.RECOVERED: CallAction.RECOVERED,
    DecisionKind.CALL: CallAction.MARGIN_CALL,
    DecisionKind.CALL_INCREASED: CallAction.AMENDED,
    DecisionKind.CALL_RESTATED: CallAction.AMENDED,
    DecisionKind.CALL_CURED: CallAction.MET,
    DecisionKind.CALL_EXPIRED: CallAction.EXPIRED,
    DecisionKind.RESCINDED: CallAction.RESCINDED,
    DecisionKind.LIQUIDATE: CallAction.LIQUIDATE,
    DecisionKind.HELD: CallAction.HELD,
    DecisionKind.RELEASED: CallAction.RELEASED,
}
_RESTRICTION_OF = {
    DecisionKind.CLOSE_ONLY: RestrictionAction.CLOSE_ONLY,
    DecisionKind.STRESS_RESTRICTION: RestrictionAction.CLOSE_ONLY,
    DecisionKind.LIFTED: RestrictionAction.LIFTED,
}
_BEGAN_AS = {
    DecisionKind.RECOVERED: DecisionKind.WARNING,
    DecisionKind.RELEASED: DecisionKind.HELD,
    DecisionKind.STRESS_RELEASED: DecisionKind.STRESS_RESTRICTION,
    DecisionKind.LIFTED: DecisionKind.STRESS_RESTRICTION,
}
_ORDER_INPUTS = ("cash", "margin_type", "positions")
_HOLDING = ("symbol", "qty", "price", "price_timestamp")


def event_id(decision: Decision, source: str) -> str:
    """Return the same id for the same decision from the same cause."""
    return deterministic_id(
        "decision", decision.account_id, decision.kind, decision.timestamp, decision.attempt, source
    )


def episode_of(decision: Decision) -> str:
    """Return the call a decision belongs to; where there is none, the warning, stress restriction or hold
    that it begins or ends.
    """
    began_as, at = _BEGAN_AS.get(decision.kind, decision.kind), decision.began_at or decision.timestamp
    return decision.call_id or deterministic_id("episode", decision.account_id, began_as, at)


def message_of(
    decision: Decision, cause: Event, policy: Policy, source: str, run_id: str | None, cures_of: CuresOf
) -> tuple[str, Event] | None:
    """Return the topic and event of a decision; None for one that only the audit trail records."""
    shared: Event = {
        "event_id": event_id(decision, source),
        "account_id": decision.account_id,
        "correlation_id": episode_of(decision),
        "causation_id": cause.get("calc_id") or source,
        "run_id": run_id,
        "source": source,
        "policy_version": policy.version,
        "timestamp": decision.timestamp,
    }
    if decision.kind in _RESTRICTION_OF:
        return RESTRICTIONS, shared | {
            "action": _RESTRICTION_OF[decision.kind],
            "reason": decision.reason,
            "decision": decision.kind,
        }
    if decision.kind not in _CALL_ACTION_OF:
        return None
    event = shared | {
        "call_id": episode_of(decision),
        "action": _CALL_ACTION_OF[decision.kind],
        "deficiency": decision.amount,
        "due_at": local_time(decision.due_at),
        "due_at_ms": decision.due_at,
        "explanation": decision.reason,
        "opened_at_ms": decision.opened_at,
        "issued": decision.issued,
        "figures_at_ms": cause.get("timestamp"),
        "components": {name: cause.get(name) for name in COMPONENTS},
        "attempt": decision.attempt,
        "decision": decision.kind,
        "applied_method": cause.get("applied_method"),
        **{name: cause.get(name) for name in ("equity", "requirement", "excess", "gross_mv", "margin_type")},
    }
    if decision.kind in ASKS_FOR_CURE:
        event["cures"] = cures_of(cause)
        event["holdings"] = [
            {name: row.get(name) for name in _HOLDING} for row in cause.get("positions") or []
        ]
    if decision.kind == DecisionKind.LIQUIDATE:
        event |= {name: cause.get(name) for name in _ORDER_INPUTS}
        event |= {name: cause[name] for name in ("fills_read",) if name in cause}
    return MARGIN_CALLS, event


def audit_entry(
    decision: Decision, cause: Event, policy: Policy, source: str, run_id: str | None
) -> dict[str, object]:
    """Return what is kept of a decision permanently: enough to repeat it."""
    return {
        "account_id": decision.account_id,
        "decision": decision.kind,
        "reason": decision.reason,
        "amount": decision.amount,
        "call_id": decision.call_id,
        "due_at": local_time(decision.due_at),
        "attempt": decision.attempt,
        "timestamp": decision.timestamp,
        "calc_id": cause.get("calc_id"),
        "inputs": cause.get("inputs"),
        "band": cause.get("band"),
        "source": source,
        "run_id": run_id,
        "policy_version": policy.version,
        "code_version": __version__,
    }
