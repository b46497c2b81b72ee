"""The enforcement ladder: a pure state machine from what is seen of an account to what is decided
(MARGIN_RULES 7).

Two tracks, margin and stress, are kept apart and combined by the most severe. A decision is a function of the
state, the observation and the event clock only, so a replay of the same events decides the same, byte for
byte. A call has one life: issued, amended, met, expired or rescinded; a new deficiency after a cure is a new
call with a new clock.
"""

from __future__ import annotations

from typing import Unpack

from margin_platform.contracts.messages import deterministic_id
from margin_platform.dollars import format_dollars
from margin_platform.ladder import reasons
from margin_platform.ladder.deadlines import (
    close_only_at,
    due_at,
    next_deadline,
    next_trading_time,
    release_at,
)
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.severity import is_severe
from margin_platform.ladder.state import (
    MS_PER_MINUTE,
    Call,
    Decision,
    DecisionFigures,
    DecisionKind,
    LadderState,
    replace,
)
from margin_platform.money import cents, exceeds
from margin_platform.policy.policy import Policy
from margin_platform.policy.sections import LadderPolicy, StressPolicy
from margin_platform.trading_time.new_york import written_time


def step(state: LadderState, seen: Observation, policy: Policy) -> tuple[LadderState, tuple[Decision, ...]]:
    """Return the next state and the decisions of one observation.

    An observation older than the last, or seen already, decides nothing. What fell due before it is
    `tick`'s to decide first.
    """
    if seen.timestamp < state.last_time or (seen.calc_id and seen.calc_id == state.last_calc_id):
        return state, ()
    state = replace(state, last_time=seen.timestamp, last_calc_id=seen.calc_id)
    if -policy.ladder.small_deficiency <= seen.excess < 0:
        seen = replace(seen, excess=0.0)
    if seen.held:
        return _hold(state, seen)
    decisions: list[Decision] = []
    if state.held:
        decisions.append(
            _decision(
                DecisionKind.RELEASED,
                seen,
                f"prices are good again after: {state.held}",
                began_at=state.held_at,
            )
        )
        state = replace(state, held=None)
    state, more = _stress_track(state, seen, policy.stress)
    decisions += more
    for rung in (_call_track, _warning_track):
        state, more = rung(state, seen, policy.ladder)
        decisions += more
    state, more = _timers(state, seen.timestamp, policy.ladder)
    decisions += more
    state, more = _liquidation_track(state, seen.timestamp, policy.ladder)
    return state, tuple(decisions + more)


def tick(state: LadderState, now: int, policy: Policy) -> tuple[LadderState, tuple[Decision, ...]]:
    """Decide what the event clock alone decides up to a time: close-only by age, expiry, release of a stress
    restriction.

    Each is decided at the time it falls due, not at the time the clock is read. However often and late
    the clock is read, the same events give the same decisions. Held accounts wait.
    """
    decisions: list[Decision] = []
    while now >= state.last_time and (due := next_deadline(state, policy)) is not None and due <= now:
        at = max(due, state.last_time)
        state, more = _timers(state, at, policy.ladder)
        decisions += more
        # further ones wait for newer figures
        if state.asks_again or state.awaits_session or not state.liquidations:
            state, more = _liquidation_track(state, at, policy.ladder)
            decisions += more
    return state, tuple(decisions)


_Result = tuple[LadderState, list[Decision]]


def _decision(
    kind: DecisionKind, seen: Observation, reason: str, **figures: Unpack[DecisionFigures]
) -> Decision:
    return Decision(kind, seen.account_id, seen.timestamp, reason, **figures)


def _hold(state: LadderState, seen: Observation) -> tuple[LadderState, tuple[Decision, ...]]:
    if state.held == seen.held:
        return state, ()
    return replace(state, held=seen.held, held_at=seen.timestamp), (
        _decision(DecisionKind.HELD, seen, f"no enforcement: {seen.held}"),
    )


def _stress_track(state: LadderState, seen: Observation, rules: StressPolicy) -> _Result:
    if seen.severe_underwater:
        if state.stress_restricted:
            return replace(state, stress_clear_since=None), []
        reason = f"Fails SPY ±{100 * rules.severe_move:g}% stress"
        news = [_decision(DecisionKind.STRESS_RESTRICTION, seen, reason)]
        return replace(
            state, stress_restricted=True, stress_clear_since=None, stressed_at=seen.timestamp
        ), news
    if state.stress_restricted and state.stress_clear_since is None:
        state = replace(state, stress_clear_since=seen.timestamp)
    return state, []


def _call_track(state: LadderState, seen: Observation, rules: LadderPolicy) -> _Result:
    deficiency = cents(max(0.0, -seen.excess))
    if deficiency > 0 and state.call is None:
        nth = state.calls_then + 1 if state.called_at == seen.timestamp else 1
        new = _new_call(seen, deficiency, rules, nth)
        reason = reasons.deficient(seen.equity, deficiency, seen.requirement)
        severe = is_severe(deficiency, seen.requirement, seen.equity, rules)
        state = replace(
            state, call=new, warned=False, severe=severe, called_at=seen.timestamp, calls_then=nth
        )
        return state, [_decision(DecisionKind.CALL, seen, reason, amount=deficiency, **new.as_fields())]
    call = state.call
    if call is None:
        return state, []
    if deficiency > 0:
        return _still_deficient(
            replace(state, severe=is_severe(deficiency, seen.requirement, seen.equity, rules)),
            call,
            seen,
            deficiency,
        )
    return _cured(state, call, seen)


def _new_call(seen: Observation, deficiency: float, rules: LadderPolicy, nth: int) -> Call:
    """Open a call that is the nth of its account at this millisecond: met and missed again, it is another
    one."""
    call_id = deterministic_id(
        "maintenance-call", seen.account_id, seen.timestamp, *([nth] if nth > 1 else [])
    )
    return Call(
        call_id, seen.timestamp, due_at(seen.timestamp, rules), deficiency, deficiency, seen.timestamp
    )


def _still_deficient(state: LadderState, call: Call, seen: Observation, deficiency: float) -> _Result:
    """Raise the amount called for as the deficiency grows; lower it where it was called for on a price
    withdrawn since.
    """
    withdrawn = seen.corrected and call.issued_at >= seen.corrected_since
    if deficiency == call.issued or (deficiency < call.issued and not withdrawn):
        return replace(state, call=replace(call, outstanding=deficiency)), []
    amended = replace(call, issued=deficiency, outstanding=deficiency, issued_at=seen.timestamp)
    kind, reason = DecisionKind.CALL_INCREASED, reasons.increased(call.issued, deficiency)
    if deficiency < call.issued:
        kind, reason = DecisionKind.CALL_RESTATED, reasons.reduced(call.issued, deficiency)
    return replace(state, call=amended), [
        _decision(kind, seen, reason, amount=deficiency, **amended.as_fields())
    ]


def _cured(state: LadderState, call: Call, seen: Observation) -> _Result:
    kind, reason = (
        DecisionKind.CALL_CURED,
        f"Excess is {format_dollars(seen.excess)}: the call of {format_dollars(call.issued)} is met",
    )
    if seen.corrected and call.opened_at >= seen.corrected_since:
        kind, reason = DecisionKind.RESCINDED, "The call was made on a price that was withdrawn"
    decisions = [_decision(kind, seen, reason, amount=call.issued, **call.as_fields())]
    after = replace(
        state,
        call=None,
        close_only=False,
        severe=False,
        expired=False,
        liquidations=0,
        liquidated_at=None,
        asks_again=False,
    )
    if state.close_only and not after.restricted:
        decisions.append(
            _decision(
                DecisionKind.LIFTED,
                seen,
                "The call that restricted the account is closed",
                **call.as_fields(),
            )
        )
    return after, decisions


def _warning_track(state: LadderState, seen: Observation, rules: LadderPolicy) -> _Result:
    if state.call is not None:
        return state, []
    if exceeds(rules.warn_frac * seen.gross_mv, seen.excess):
        if state.warned:
            return state, []
        reason = reasons.low(seen.excess, rules.warn_frac, seen.gross_mv)
        return replace(state, warned=True, warned_at=seen.timestamp), [
            _decision(DecisionKind.WARNING, seen, reason, amount=seen.excess)
        ]
    if state.warned and not exceeds((rules.warn_frac + rules.warn_hysteresis) * seen.gross_mv, seen.excess):
        reason = f"Excess is {format_dollars(seen.excess)}"
        return replace(state, warned=False), [
            _decision(DecisionKind.RECOVERED, seen, reason, amount=seen.excess, began_at=state.warned_at)
        ]
    return state, []


def _timers(state: LadderState, now: int, rules: LadderPolicy) -> _Result:
    decisions: list[Decision] = []
    call = state.call
    if call and not state.close_only and now >= close_only_at(call.opened_at, rules):
        state = replace(state, close_only=True)
        minutes = rules.close_only_after_minutes
        reason = f"The call of {format_dollars(call.issued)} has been open for {minutes:g} minutes of trading"
        decisions.append(
            Decision(
                DecisionKind.CLOSE_ONLY, state.account_id, now, reason, call.outstanding, **call.as_fields()
            )
        )
    if call and not state.expired and now >= call.due_at:
        state = replace(state, expired=True)
        reason = f"Not met when due, {written_time(call.due_at)}"
        decisions.append(
            Decision(
                DecisionKind.CALL_EXPIRED, state.account_id, now, reason, call.outstanding, **call.as_fields()
            )
        )
    since = state.stress_clear_since
    if state.stress_restricted and since is not None and now >= release_at(since, rules):
        state = replace(state, stress_restricted=False, stress_clear_since=None)
        reason, began = "Passes every severe SPY stress again", state.stressed_at
        decisions.append(
            Decision(DecisionKind.STRESS_RELEASED, state.account_id, now, reason, began_at=began)
        )
        if not state.restricted:
            decisions.append(
                Decision(DecisionKind.LIFTED, state.account_id, now, "No restriction is left", began_at=began)
            )
    return state, decisions


def _liquidation_track(state: LadderState, now: int, rules: LadderPolicy) -> _Result:
    """Liquidate when past due, or severe once close-only; and again, after a pause, for as long as the
    account stays so (J03, J09).

    Outside a session nothing is sold: the decision waits for the opening and its figures.
    """
    call = state.call
    if call is None or not state.close_only or not (state.severe or state.expired or state.liquidations):
        return replace(state, awaits_session=False), []
    pause = rules.liquidation_retry_minutes * MS_PER_MINUTE
    if state.liquidated_at is not None and now - state.liquidated_at < pause and not state.asks_again:
        return state, []
    if next_trading_time(now) > now:
        return replace(state, awaits_session=True), []
    why = (
        "Past due"
        if state.expired
        else "Severe deficiency"
        if state.severe
        else f"Deficient after {state.liquidations} liquidations"
    )
    state = replace(
        state, liquidations=state.liquidations + 1, liquidated_at=now, asks_again=False, awaits_session=False
    )
    reason = f"{why}: {format_dollars(call.outstanding)} outstanding"
    return state, [
        Decision(
            DecisionKind.LIQUIDATE,
            state.account_id,
            now,
            reason,
            call.outstanding,
            attempt=state.liquidations,
            **call.as_fields(),
        )
    ]
