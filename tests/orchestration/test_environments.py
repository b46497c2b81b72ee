"""Where the streams run is configuration only:
what the settings accept, and what they ask of Spark, EMR, S3 and Kafka's clients.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterator
from typing import Any

import boto3
import botocore.auth
import dagster as dg
import pyarrow as pa
import pytest

from margin_platform.kafka_security import KafkaSecurity, iam_token
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from margin_platform.stop_signal import StopSignal
from margin_platform.table_storage import storage_options
from resources import emr_serverless
from resources.stream_driver import DriverEnded, StreamDriver
from resources.tables import MissingTable, TablesResource
from spark.driver import _watch
from spark.driver_arguments import arguments
from spark.tables import rows
from spark.tables.append import Target
from spark.tables.query import base_of
from spark.tables.schemas import TABLES
from tests.support.moto_server import moto_alone
from tests.support.table_rows import append

SECRET = "not-in-any-repr"  # pragma: allowlist secret


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"MARGIN_ENVIRONMENT": "production"}, "MARGIN_ENVIRONMENT.*production"),
        ({"MARGIN_ENVIRONMENT": "cluster"}, "MARGIN_SPARK_MASTER"),
        ({"MARGIN_ENVIRONMENT": "cluster", "MARGIN_SPARK_MASTER": "local[4]"}, "MARGIN_SPARK_MASTER.*local"),
        (
            {"MARGIN_ENVIRONMENT": "cluster", "MARGIN_SPARK_MASTER": "k8s://https://eks:443"},
            "MARGIN_SPARK_IMAGE",
        ),
        ({"MARGIN_SMTP": "mail.broker.example"}, "MARGIN_SMTP: not host:port, value 'mail.broker.example'"),
        ({"MARGIN_KAFKA_SECURITY_PROTOCOL": "TLS"}, "MARGIN_KAFKA_SECURITY_PROTOCOL.*TLS"),
        (
            {"MARGIN_KAFKA_SECURITY_PROTOCOL": "SSL", "MARGIN_KAFKA_CA_FILE": "/no/such.pem"},
            "MARGIN_KAFKA_CA_FILE.*/no/such.pem",
        ),
        (
            {"MARGIN_KAFKA_SECURITY_PROTOCOL": "SSL", "MARGIN_KAFKA_CA_FILE": __file__},
            "MARGIN_KAFKA_CA_FILE: holds no certificate in PEM form, value '.*/test_environments.py'",
        ),
        ({"MARGIN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "MARGIN_KAFKA_SASL_MECHANISM"),
        (
            {"MARGIN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "MARGIN_KAFKA_SASL_MECHANISM": "PLAIN"},
            "MARGIN_KAFKA_PASSWORD",
        ),
        (
            {
                "MARGIN_KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "MARGIN_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
            },
            "SASL_SSL",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(given: dict[str, str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        settings(given)


def test_one_setting_chooses_where_the_streams_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MARGIN_ENVIRONMENT", raising=False)
    assert settings({}).environment == "local"
    assert arguments([], None).master == "local[*,4]"
    monkeypatch.setenv("MARGIN_ENVIRONMENT", "cluster")
    monkeypatch.setenv("MARGIN_SPARK_MASTER", "spark://head:7077")
    assert arguments([], None).master == "spark://head:7077"
    monkeypatch.setenv("MARGIN_ENVIRONMENT", "aws")
    assert arguments([], None).master == ""  # EMR names it to the driver it starts


def test_the_streams_end_by_themselves_when_a_newer_policy_is_in_force() -> None:
    """Their supervisor starts them again under it:
    no figure is published under one policy while decisions follow another.
    """
    newer = current_policy().model_copy(update={"version": "newer"})
    assert _watch([], StopSignal(), newer) == 0


def test_no_secret_is_in_a_repr() -> None:
    given = {
        "MARGIN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "MARGIN_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "MARGIN_KAFKA_USERNAME": "margin",
        "MARGIN_KAFKA_PASSWORD": SECRET,
        "MARGIN_SENDGRID_API_KEY": SECRET,
        "MARGIN_DASHBOARD_TOKEN": SECRET,
        "MARGIN_STORE": f"postgresql://margin:{SECRET}@db/margin",
    }
    assert SECRET not in repr(settings(given))
    assert settings(given).kafka.security.password == SECRET


def test_msk_iam_is_spelled_for_each_client() -> None:
    security = KafkaSecurity("SASL_SSL", "AWS_MSK_IAM", region="eu-west-1")
    assert security.kafka_python() == {"security_protocol": "SASL_SSL", "sasl_mechanism": "AWS_MSK_IAM"}
    librdkafka = security.librdkafka()
    assert (librdkafka["sasl.mechanism"], callable(librdkafka["oauth_cb"])) == ("OAUTHBEARER", True)
    assert security.spark() == {
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "AWS_MSK_IAM",
        "kafka.sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;",
        "kafka.sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    }


def test_the_msk_token_carries_the_signature_of_awss_own_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature was made by aws-msk-iam-sasl-signer-python 1.0.2 from the same credentials at the same
    moment.
    """
    for name, value in {
        "ACCESS_KEY_ID": "AKIDEXAMPLE",
        "SECRET_ACCESS_KEY": "secret",  # pragma: allowlist secret
        "SESSION_TOKEN": "tok/en+=",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    moment = datetime.datetime(2026, 11, 25, 4)  # noqa: DTZ001 - botocore's clock has no zone
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda **_: moment)
    token, _ = iam_token("eu-west-1")
    address = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    assert address.startswith("https://kafka.eu-west-1.amazonaws.com/?Action=kafka-cluster%3AConnect&")
    assert "&X-Amz-Expires=900&" in address
    assert "X-Amz-Signature=fe9c2d0660311193544f9f90fbdb4b5414050d7905d778c59fa07f52d980d7de&" in address
    assert "&User-Agent=" in address


def use_aws(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the settings of a deployment whose AWS is at this address."""
    given = {
        "MARGIN_AWS_ENDPOINT": url,
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def emr_endpoint() -> Iterator[str]:
    """URL of moto's own server while a test lasts: the endpoint of the local stack does not serve EMR."""
    with moto_alone() as url:
        yield url


def test_tables_live_in_a_bucket_as_they_do_in_a_folder(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_aws(aws_endpoint, monkeypatch)
    boto3.client("s3", endpoint_url=aws_endpoint).create_bucket(Bucket="margin")
    monkeypatch.setenv("MARGIN_TABLES", "s3://margin/tables")
    columns = pa.schema([pa.field("symbol", pa.string()), pa.field("batch_id", pa.int64())])
    for batch, symbol in enumerate(("AAPL", "MSFT")):
        append(settings().tables, "volatility", columns, [{"symbol": symbol, "batch_id": batch}])
    tables = TablesResource()
    assert sorted(tables.frame("volatility")["symbol"]) == ["AAPL", "MSFT"]
    with pytest.raises(MissingTable, match="s3://margin/tables/firm_exposure"):
        tables.open("firm_exposure")


@pytest.mark.parametrize("scheme", ["s3", "s3a"])
def test_a_batch_of_the_tables_query_is_in_a_bucket_once(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    use_aws(aws_endpoint, monkeypatch)
    boto3.client("s3", endpoint_url=aws_endpoint).create_bucket(Bucket="margin")
    firm = next(table for table in TABLES if table.name == "firm_exposure")
    uri = f"{scheme}://margin/tables/{firm.name}"
    target = Target(firm, uri, base_of(uri, "q"), storage_options(uri))
    loss = pa.array([b'{"scenario": "-6%", "firm_loss": 9.0}'])
    for number in (0, 0, 1):
        target.append(rows.newest(firm, [rows.events(firm, loss)]), "q", number)
    monkeypatch.setenv("MARGIN_TABLES", "s3://margin/tables")
    assert sorted(TablesResource().frame(firm.name)["batch_id"]) == [0, 1]
    assert (base_of(uri, "q"), base_of(uri, "of a new checkpoint")) == (0, 2)


def emr(monkeypatch: pytest.MonkeyPatch, **more: str) -> None:
    given = {
        "MARGIN_ENVIRONMENT": "aws",
        "MARGIN_KAFKA": "b-1.msk:9098",
        "MARGIN_TABLES": "s3://margin/tables",
        "MARGIN_EMR_ENTRY_POINT": "local:///opt/margin/spark/driver.py",
        "MARGIN_EMR_ROLE": "arn:aws:iam::123456789012:role/streams",
        "MARGIN_SPARK_JARS": "s3://margin/jars/kafka.jar,s3://margin/jars/aws-msk-iam-auth.jar",
        "MARGIN_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "MARGIN_KAFKA_SASL_MECHANISM": "AWS_MSK_IAM",
        **more,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)


# Pipes itself asks a context for its old names; elsewhere that stays an error
@pytest.mark.filterwarnings("ignore:AssetExecutionContext:DeprecationWarning")
def test_in_aws_the_streams_are_a_job_run_of_emr_serverless(
    emr_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_aws(emr_endpoint, monkeypatch)
    client = boto3.client("emr-serverless", endpoint_url=emr_endpoint)
    application = client.create_application(name="margin", releaseLabel="emr-7.9.0", type="SPARK")[
        "applicationId"
    ]
    emr(monkeypatch, MARGIN_EMR_APPLICATION=application)

    @dg.asset
    def streams(stream_driver: StreamDriver) -> None:
        for _ in stream_driver.batches(["margin_snapshots"]):
            raise AssertionError("a job run reports no micro-batch")

    with pytest.raises(DriverEnded) as ended:  # moto's job runs are over at once
        dg.materialize([streams], resources={"stream_driver": StreamDriver()})
    [run] = client.list_job_runs(applicationId=application)["jobRuns"]
    job = client.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"]
    submit = job["jobDriver"]["sparkSubmit"]
    assert run["id"] in str(ended.value)
    assert job["executionRole"] == "arn:aws:iam::123456789012:role/streams"
    assert submit["entryPoint"] == "local:///opt/margin/spark/driver.py"
    assert submit["entryPointArguments"] == ["--only", "margin_snapshots"]
    environment = "--conf spark.emr-serverless.driverEnv."
    for part in (
        "--jars s3://margin/jars/kafka.jar,s3://margin/jars/aws-msk-iam-auth.jar",
        f"{environment}MARGIN_ENVIRONMENT=aws",
        f"{environment}MARGIN_KAFKA=b-1.msk:9098",
        f"{environment}MARGIN_KAFKA_SASL_MECHANISM=AWS_MSK_IAM",
        f"{environment}MARGIN_TABLES=s3://margin/tables",
        f"{environment}DAGSTER_PIPES_CONTEXT=",
    ):
        assert part in submit["sparkSubmitParameters"]


def test_the_shards_of_the_streams_travel_to_the_job_run(monkeypatch: pytest.MonkeyPatch) -> None:
    place = "s3a://margin/checkpoints"  # the disk ends with the job run
    given = {"MARGIN_SPARK_SHARDS": "32", "MARGIN_SPARK_CHECKPOINTS": place}
    emr(monkeypatch, MARGIN_EMR_APPLICATION="00f", **given)
    job: Any = emr_serverless.request([], settings())["jobDriver"]
    said = job["sparkSubmit"]["sparkSubmitParameters"]
    for name, value in given.items():
        assert f"--conf spark.emr-serverless.driverEnv.{name}={value}" in said


def test_a_job_run_that_cannot_be_asked_for_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    emr(monkeypatch)
    with pytest.raises(ValueError, match="MARGIN_EMR_APPLICATION"):
        emr_serverless.request([], settings())
    login: dict[str, Any] = {
        "MARGIN_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "MARGIN_KAFKA_USERNAME": "m",
        "MARGIN_KAFKA_PASSWORD": SECRET,
    }
    emr(monkeypatch, MARGIN_EMR_APPLICATION="00f", **login)
    with pytest.raises(ValueError, match="MARGIN_KAFKA_PASSWORD") as refused:
        emr_serverless.request([], settings())
    assert SECRET not in str(refused.value)
