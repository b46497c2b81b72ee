"""What every run needs and none changes, made once in the process that workers are forked from.

The exchange's calendar alone was a fifth of the processor time of a run of 300 events.
"""

from __future__ import annotations

import importlib

from margin_platform.contracts.messages import MARGIN_CALLS, Event
from margin_platform.liquidation.cures import cures_of
from margin_platform.notification.message import notice_of
from margin_platform.policy.policy import current_policy
from margin_platform.trading_time.sessions import trading_time_after

# What jobs and resources import where they use it: before the fork, and not with the code location.
USED_BY_RUNS = (
    "boto3",
    "margin_platform.enforcement.acting",
    "margin_platform.enforcement.enforcer",
    "margin_platform.enforcement.liquidation_desk",
    "margin_platform.notification.announcing",
    "margin_platform.notification.delivery",
    "margin_platform.notification.providers.sendgrid",
    "margin_platform.notification.providers.smtp",
    "margin_platform.notification.providers.sns",
)
_A_SESSION = 1_582_295_400_000  # 2020-02-21 09:30 New York
_STATUS: Event = {
    "account_id": "none",
    "cash": -90.0,
    "margin_type": "REG_T",
    "excess": -15.0,
    "positions": [{"symbol": "NONE", "qty": 1.0, "price": 100.0}],
}
_CALL: Event = {
    "account_id": "none",
    "action": "MARGIN_CALL",
    "correlation_id": "none",
    "deficiency": 15.0,
    "timestamp": _A_SESSION,
}


def warm() -> None:
    """Import what runs use, read calendar and policies, load the compiled kernel and templates."""
    for module in USED_BY_RUNS:
        importlib.import_module(module)
    policy = current_policy()
    trading_time_after(_A_SESSION, 3_600.0)
    cures_of(_STATUS, policy)
    notice_of(MARGIN_CALLS, _CALL, policy)
