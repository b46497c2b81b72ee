"""Old runs leave Dagster's storage: only those that succeeded, only of the acting jobs, and never a job's
newest.
"""

import dagster as dg

from jobs.run_history import ACTING, run_history_job
from margin_platform.definitions import definitions


def test_only_old_successes_of_acting_jobs_go_and_the_newest_stays() -> None:
    @dg.op(config_schema={"succeeds": bool})
    def work(context: dg.OpExecutionContext) -> None:
        assert context.op_config["succeeds"]

    def ran(job: str, *, succeeds: bool = True) -> str:
        graph = dg.GraphDefinition(name=job, node_defs=[work])
        config = {"ops": {"work": {"config": {"succeeds": succeeds}}}}
        return (
            graph.to_job(name=job).execute_in_process(config, instance=instance, raise_on_error=False).run_id
        )

    def prune(keep_days: float) -> set[str]:
        """The runs that are left of the other jobs."""
        config = {"ops": {"prune": {"config": {"keep_days": keep_days}}}}
        assert run_history_job.execute_in_process(config, instance=instance).success
        return {run.run_id for run in instance.get_runs() if run.job_name != run_history_job.name}

    with dg.DagsterInstance.ephemeral() as instance:
        old = [ran("enforcement") for _ in range(3)]
        kept = {
            ran("enforcement", succeeds=False),
            ran("streams"),
            ran("streams"),
            ran("liquidation"),
            ran("enforcement"),
        }
        assert prune(keep_days=1.0) == {*old, *kept}  # all are younger
        assert prune(keep_days=0.0) == kept
        assert not instance.all_logs(old[0])
        assert instance.all_logs(next(iter(kept)))


def test_every_job_that_sensors_start_is_an_acting_one() -> None:
    started = {
        name
        for sensor in definitions.get_repository_def().sensor_defs
        for name in (t.job_name for t in sensor.targets)
    }
    assert set(ACTING) == started - {"streams"}


def test_every_job_that_a_sensor_starts_for_events_is_an_acting_job() -> None:
    """One that is left out keeps its runs forever."""
    sensors = [s for s in definitions.get_repository_def().sensor_defs if s.has_jobs]
    started = {job.name for sensor in sensors for job in sensor.jobs}
    assert started - {"streams"} == set(ACTING)
