"""One run of a job on a topic at a time: events that come meanwhile share the next one.

Group commit: under load runs grow instead of multiplying, so that a crash of the market cannot start hundreds of processes
that wait for each other's locks; and the events of a partition are decided in their order.
"""

import threading
from collections.abc import Mapping

import dagster as dg

_WORKING = [   # one that waits in a queue counts: the events after its own are not decided before them
    dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING,
]
_LOOK_SECONDS = 0.1


def working(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str] | None = None) -> str | None:
    """Id of a run of the job with these tags that works now or will. A run that hangs ends by its `dagster/max_runtime`."""
    runs = instance.get_runs(dg.RunsFilter(job_name=job, tags=dict(tags or {}), statuses=_WORKING), limit=1)
    return runs[0].run_id if runs else None


def wait_for(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str], seconds: float) -> str | None:
    """Waits until no such run works; the id of the one that still does after `seconds`."""
    pause = threading.Event()
    looks = max(1, int(seconds / _LOOK_SECONDS))
    for _ in range(looks):
        if (run_id := working(instance, job, tags)) is None:
            return None
        pause.wait(_LOOK_SECONDS)
    return run_id
