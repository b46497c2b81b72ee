"""When the ladder's timers fall due, in epoch milliseconds.

The clocks of calls and of stress restrictions run in trading time.

The exchange's calendar brings pandas, so it is loaded by the first call that needs it.
"""

from __future__ import annotations

import datetime as dt
import functools

from margin_platform.ladder.state import LadderState
from margin_platform.policy.policy import Policy
from margin_platform.policy.sections import LadderPolicy


def next_deadline(state: LadderState, policy: Policy) -> int | None:
    """Return the earliest event time at which `tick` may decide something; None where no timer runs.

    A held account has none: the observation that releases it decides what fell due meanwhile.
    """
    times: list[int] = []
    if state.held:
        return None
    if state.call and not state.close_only:
        times.append(close_only_at(state.call.opened_at, policy.ladder))
    if state.call and not state.expired:
        times.append(state.call.due_at)
    if state.awaits_session:
        times.append(_liquidation_at(state, policy.ladder))
    if state.call and state.close_only and state.asks_again:
        times.append(next_trading_time(state.last_time))
    if state.stress_restricted and state.stress_clear_since is not None:
        times.append(release_at(state.stress_clear_since, policy.ladder))
    return min(times, default=None)


def due_at(opened_at: int, rules: LadderPolicy) -> int:
    """Return when a call opened at an event time must be met: at the policy's hour of a session."""
    return _due_at(opened_at, rules.call_due_business_days, rules.call_due_hour_et)


@functools.lru_cache(maxsize=4096)  # a thousand calls may open at one close
def _due_at(opened_at: int, days: int, hour: int) -> int:
    from margin_platform.trading_time.sessions import due_time

    opened = dt.datetime.fromtimestamp(opened_at / 1000, dt.UTC)
    return int(due_time(opened, days, hour).timestamp() * 1000)


def close_only_at(opened_at: int, rules: LadderPolicy) -> int:
    """Return when a call restricts its account: minutes of trading after it was opened, without nights,
    weekends and holidays.
    """
    from margin_platform.trading_time.sessions import trading_time_after

    return trading_time_after(opened_at, rules.close_only_after_minutes * 60)


def next_trading_time(at: int) -> int:
    """Return the first time in a session from an event time on: that time itself, or the next opening."""
    from margin_platform.trading_time.sessions import trading_time_after

    return trading_time_after(at, 0.0)


def _liquidation_at(state: LadderState, rules: LadderPolicy) -> int:
    """Return when a liquidation that waits for the session is decided: at its opening, a further one after
    the pause from then.

    Until then the order before it, which waited for the same opening, may be filled.
    """
    from margin_platform.trading_time.sessions import trading_time_after

    return trading_time_after(
        state.last_time, rules.liquidation_retry_minutes * 60 if state.liquidations else 0.0
    )


def release_at(clear_since: int, rules: LadderPolicy) -> int:
    """Return when a stress restriction ends that has had no cause since an event time: after minutes of
    trading, like a call's.
    """
    from margin_platform.trading_time.sessions import trading_time_after

    return trading_time_after(clear_since, rules.stress_release_minutes * 60)
