"""Lifting a restriction by a person's decision, before the policy's waiting time is over.

A restriction ends when its reason is gone (MARGIN_RULES 7.1: close-only until the call is cured; 5.2: a
stress restriction until no severe scenario is underwater, with a margin of time). A person may shorten the
margin of time and nothing else: where the reason persists the lift is refused, because the next event would
impose the restriction again.
"""

from __future__ import annotations

from margin_platform.ladder.state import Decision, DecisionKind, LadderState, replace


class LiftRefused(ValueError):
    """The restriction may not be lifted; the message says why."""


_REASON = "lifted by the margin desk"  # the customer reads it: who did it and why is in the act


def lift(state: LadderState) -> tuple[LadderState, tuple[Decision, ...]]:
    """Return the state without its stress restriction, and the decisions that the end of one has.

    Their time is that of the account's newest figures. LiftRefused where the account is not restricted or the
    reason persists.
    """
    if not state.restricted:
        raise LiftRefused("not restricted")
    if persisting := _persisting(state):
        raise LiftRefused(f"the reason of its restriction persists: {persisting}")
    began, at = state.stressed_at, state.last_time
    kinds = (DecisionKind.STRESS_RELEASED, DecisionKind.LIFTED)
    decisions = [Decision(kind, state.account_id, at, _REASON, began_at=began) for kind in kinds]
    return replace(state, stress_restricted=False, stress_clear_since=None), tuple(decisions)


def _persisting(state: LadderState) -> str | None:
    if state.close_only and state.call:
        return f"call {state.call.call_id} over {state.call.outstanding:,.2f} is not met"
    if state.held:
        return f"the newest figures cannot be relied on ({state.held})"
    if state.stress_clear_since is None:
        return "a severe SPY scenario is short of margin by the newest figures"
    return None
