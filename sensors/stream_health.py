"""Keeps the streams running: no active run means a new one, unless a person stopped the last;
a dead worker is reported.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import dagster as dg

from jobs.streams import streams_job
from margin_platform.contracts.messages import PRICES
from margin_platform.orchestration.run_tags import WORKER_TAG
from margin_platform.orchestration.worker_identity import is_alive
from resources.kafka import UNAVAILABLE, KafkaResource
from sensors.alarms.stopped_streams import stopped_streams

_ACTIVE = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True)
class StreamRun:
    """One run of the streams as the sensor sees it; worker is None until it started."""

    run_id: str
    status: str
    worker: str | None


@dataclass(frozen=True)
class Verdict:
    """Runs whose worker is gone, and why no new run is needed (None: start one)."""

    gone: tuple[str, ...]
    skip: str | None


def verdict_on(runs: Sequence[StreamRun], lives: Callable[[str], bool]) -> Verdict:
    """Decide what to do about these runs, newest first."""
    active = [r for r in runs if r.status in {s.value for s in _ACTIVE}]
    gone = tuple(r.run_id for r in active if r.worker is not None and not lives(r.worker))
    living = [r for r in active if r.run_id not in gone]
    if living:
        return Verdict(gone, f"run {living[0].run_id} works")
    if not gone and runs and runs[0].status == dg.DagsterRunStatus.CANCELED.value:
        return Verdict(
            (),
            (
                f"run {runs[0].run_id} was stopped by a person; start the job {streams_job.name} by hand to "
                "resume"
            ),
        )
    return Verdict(gone, None)


@dg.sensor(
    job=streams_job,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs of the streams: starts the next where none works, unless a person stopped the last.",
)
def stream_health(context: dg.SensorEvaluationContext, kafka: KafkaResource) -> dg.RunRequest | dg.SkipReason:
    """Start the streams when nothing runs them and there is a broker to read from."""
    instance = context.instance
    records = instance.get_run_records(dg.RunsFilter(job_name=streams_job.name), limit=20)
    by_id = {r.dagster_run.run_id: r.dagster_run for r in records}
    runs = [StreamRun(r.run_id, r.status.value, r.tags.get(WORKER_TAG)) for r in by_id.values()]
    verdict = verdict_on(runs, is_alive)
    for run_id in verdict.gone:
        instance.report_run_failed(by_id[run_id], message="The worker of this run is gone.")
    if verdict.skip is not None:
        return dg.SkipReason(verdict.skip)
    try:
        with kafka.bus() as bus:
            bus.end_offsets(PRICES)
    except UNAVAILABLE as missing:
        return dg.SkipReason(f"the streams wait: {missing}")
    return dg.RunRequest()


SENSORS = [stream_health, stopped_streams]
