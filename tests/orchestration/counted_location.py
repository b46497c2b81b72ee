"""A code location for tests of Dagster's storage: a sensor whose cursor counts, and a run a count."""

import dagster as dg


class Count(dg.Config):
    number: int


@dg.op
def count(context: dg.OpExecutionContext, config: Count) -> None:
    context.log_event(dg.AssetObservation("counted", metadata={"number": config.number}))


@dg.job(executor_def=dg.in_process_executor)
def counted() -> None:
    count()


@dg.sensor(job=counted, minimum_interval_seconds=1, default_status=dg.DefaultSensorStatus.RUNNING)
def counting(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    number = int(context.cursor or 0)
    config = {"ops": {"count": {"config": {"number": number}}}}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=str(number), run_config=config)], cursor=str(number + 1)
    )


definitions = dg.Definitions(jobs=[counted], sensors=[counting])
