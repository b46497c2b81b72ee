"""A code location of one job for the launcher's tests:
its op says where it runs, and when it was cleaned up.
"""

import gc
import os
import threading
from pathlib import Path

import dagster as dg

from margin_platform.policy.policy import policies_of
from margin_platform.trading_time.sessions import _calendar_from


class Stay(dg.Config):
    diary: str
    seconds: float = 0.0


@dg.op
def stay(context: dg.OpExecutionContext, config: Stay) -> None:
    with Path(config.diary).open("a", encoding="utf-8") as diary:
        made = _calendar_from.cache_info().currsize, policies_of.cache_info().currsize
        diary.write(f"started {context.run_id} with calendar and policies {made}\n")
        diary.write(f"{gc.get_freeze_count()} objects frozen, a collection each {gc.get_threshold()[0]}\n")
        diary.write(
            f"niceness {os.nice(0)}, {'a' if os.getsid(0) == os.getpid() else 'no'} session of its own\n"
        )
        diary.flush()
        try:
            threading.Event().wait(config.seconds)
        finally:
            diary.write(f"cleaned {context.run_id}\n")


@dg.job(executor_def=dg.in_process_executor)
def staying() -> None:
    stay()
