"""One run of a job on a topic at a time: events that come meanwhile share the next one.

Group commit: under load runs grow instead of multiplying, so that a crash of the market cannot start hundreds
of processes that wait for each other's locks; and the events of a partition are decided in their order.
"""

import datetime as dt
import math
import threading
import time
from collections.abc import Mapping

import dagster as dg

from margin_platform.orchestration.run_tags import WORKER_TAG
from margin_platform.orchestration.worker_identity import is_alive

_WORKING = [  # one that waits in a queue counts: the events after its own are not decided before them
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# A look is two queries. A run that has not ended soon is one that stays, and takes what comes meanwhile.
_LOOK_SECONDS, _SOON_SECONDS, _LATER_LOOK_SECONDS = 0.2, 1.0, 1.0
# One that has not by then was lost, as Dagster's daemon can lose one when it starts again: those behind it
# must not wait for it. If it comes after all, it finds its events decided.
_RETRY_BEGINS_WITHIN = dt.timedelta(minutes=1)


def working(
    instance: dg.DagsterInstance,
    job: str,
    tags: Mapping[str, str] | None = None,
    makes_room_after: float = math.inf,
) -> str | None:
    """Return the id of a run of the job with these tags that is running, queued or about to be retried by
    Dagster. A run that hangs ends by its `dagster/max_runtime`. One that failed for good blocks nothing.

    makes_room_after: seconds after which a run that stays lets the next one begin, and ends once it has.
    """
    wanted = dg.RunsFilter(job_name=job, tags=dict(tags or {}), statuses=_WORKING)
    oldest = time.time() - makes_room_after
    for record in instance.get_run_records(wanted):
        if (record.start_time or math.inf) > oldest and not _is_lost(instance, record.dagster_run):
            return record.dagster_run.run_id
    return _to_be_repeated(instance, job, dict(tags or {}))


def _is_lost(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Report whether a run's worker is gone. The run is then reported as failed, so that Dagster repeats it
    now. Dagster itself checks the workers of started runs only: one killed before it starts would block its
    topic until the time limit of a start.
    """
    worker = run.tags.get(WORKER_TAG)
    if worker is None or is_alive(worker) or _is_inherited(instance, run, worker):
        return False
    now = instance.get_run_by_id(run.run_id)  # it may have ended well between the two looks
    if now is not None and now.status in _WORKING:
        instance.report_run_failed(now, message=f"Worker {worker} of this run is gone.")
    return True


def _is_inherited(instance: dg.DagsterInstance, run: dg.DagsterRun, worker: str) -> bool:
    """Report whether the tag is the repeated run's: a repetition has its tags until it is launched."""
    before = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    return before is not None and before.tags.get(WORKER_TAG) == worker


def _to_be_repeated(instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> str | None:
    since = dt.datetime.now(dt.UTC) - _RETRY_BEGINS_WITHIN
    failed = dg.RunsFilter(
        job_name=job, tags=tags, statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since
    )
    return next(
        (run.run_id for run in instance.get_runs(failed) if run.is_complete_and_waiting_to_retry), None
    )


def wait_for(
    instance: dg.DagsterInstance, job: str, tags: Mapping[str, str], seconds: float, makes_room_after: float
) -> str | None:
    """Wait until no such run works; return the id of the one that still does after `seconds`.

    makes_room_after: see `working`.
    """
    pause, began = threading.Event(), time.monotonic()
    while (run_id := working(instance, job, tags, makes_room_after)) is not None:
        waited = time.monotonic() - began
        if waited >= seconds:
            break
        pause.wait(min(seconds - waited, _LOOK_SECONDS if waited < _SOON_SECONDS else _LATER_LOOK_SECONDS))
    return run_id
