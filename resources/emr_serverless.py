"""The streams as a job run of an EMR Serverless application, started and awaited through Dagster Pipes.

Pipes passes the run's context on, and cancels the job run when the Dagster run is terminated. EMR starts a
streaming job again by itself, in another zone if need be; only when it gives up does the wait end.
"""

from __future__ import annotations

import re

import boto3
import dagster as dg
from dagster_aws.pipes import PipesEMRServerlessClient

from margin_platform.settings import Settings, settings

_FAILURES_AN_HOUR = 5
_POLL_SECONDS = 5.0


def request(only: list[str], here: Settings) -> dict[str, object]:
    """Build the StartJobRun request of these streams, all when empty.

    ValueError names a setting that is missing or cannot travel.
    """
    wanted = {
        "MARGIN_EMR_APPLICATION": here.emr.application,
        "MARGIN_EMR_ROLE": here.emr.role,
        "MARGIN_EMR_ENTRY_POINT": here.emr.entry_point,
    }
    for name, value in wanted.items():
        if not value:
            raise ValueError(f"{name}: needed where MARGIN_ENVIRONMENT=aws, value {value!r}")
    if here.kafka.security.password:
        raise ValueError(
            "MARGIN_KAFKA_PASSWORD: would be readable in the job run; use "
            "MARGIN_KAFKA_SASL_MECHANISM=AWS_MSK_IAM"
        )
    return {
        "applicationId": here.emr.application,
        "executionRoleArn": here.emr.role,
        "name": "margin-streams",
        "mode": "STREAMING",
        "retryPolicy": {"maxFailedAttemptsPerHour": _FAILURES_AN_HOUR},
        "jobDriver": {
            "sparkSubmit": {
                "entryPoint": here.emr.entry_point,
                "entryPointArguments": ["--only", ",".join(only)] if only else [],
                "sparkSubmitParameters": _parameters(here),
            }
        },
        "configurationOverrides": {
            "monitoringConfiguration": {"cloudWatchLoggingConfiguration": {"enabled": True}}
        },
    }


def _parameters(here: Settings) -> str:
    """Return the connector's jars, the executors' memory and, as the driver's environment, the settings the
    streams read.
    """
    security = here.kafka.security
    environment = {
        "MARGIN_ENVIRONMENT": "aws",
        "MARGIN_KAFKA": here.kafka.bootstrap_servers,
        "MARGIN_KAFKA_SECURITY_PROTOCOL": security.protocol,
        "MARGIN_KAFKA_SASL_MECHANISM": security.mechanism,
        "MARGIN_KAFKA_CA_FILE": None if security.ca_file is None else str(security.ca_file),
        "MARGIN_TABLES": here.tables,
        "MARGIN_SPARK_SHARDS": str(here.spark.shards),
        "MARGIN_SPARK_CHECKPOINTS": here.spark.checkpoints,
        "AWS_DEFAULT_REGION": here.aws.region,
    }
    given = {f"spark.emr-serverless.driverEnv.{name}": value for name, value in environment.items() if value}
    parts = [f"--jars {','.join(here.spark.jars)}"] if here.spark.jars else []
    for name, value in {"spark.executor.memory": here.spark.executor_memory, **given}.items():
        if re.search(r"\s", value):
            raise ValueError(
                f"{name.rpartition('.')[2]}: has a space, which spark-submit's parameters cannot carry, "
                f"value {value!r}"
            )
        parts.append(f"--conf {name}={value}")
    return " ".join(parts)


def run(only: list[str]) -> str:
    """Start the job run, wait until it has ended, and return how it ended. Must be called inside a Dagster
    step."""
    here = settings()
    pipes = PipesEMRServerlessClient(
        client=boto3.client(
            "emr-serverless", endpoint_url=here.aws.endpoint_url, region_name=here.aws.region
        ),
        # the driver sends no Pipes messages: its log stays in CloudWatch
        message_reader=dg.PipesTempFileMessageReader(),
        poll_interval=_POLL_SECONDS,
    )
    try:
        done = pipes.run(context=dg.AssetExecutionContext.get(), start_job_run_params=request(only, here))
    except RuntimeError as error:  # what Pipes raises where the job run failed or was cancelled
        return str(error)
    return f"the job run ended by itself: {done.metadata}"
