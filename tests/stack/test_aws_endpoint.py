"""The local AWS endpoint serves three services to local programs, and nothing to a page in a browser."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import boto3
import httpx
import pytest
from botocore.parsers import ResponseParserError

from tests.support.moto_server import moto_alone

REGION = "us-east-1"
LOGIN = {"region_name": REGION, "aws_access_key_id": "x", "aws_secret_access_key": "x"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def signed_for(service: str) -> dict[str, str]:
    scope = f"x/20260101/{REGION}/{service}/aws4_request"
    return {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}


def attack(url: str, folder: Path, headers: Mapping[str, str], path: str = "/") -> httpx.Response:
    """Send CloudFormation a template that makes a folder where it is loaded unsafely."""
    template = f"Resources: !!python/object/apply:os.mkdir ['{folder}']"
    name = folder.parent.name.replace("_", "-")  # moto's stacks outlast its server
    stack = {"Action": "CreateStack", "Version": "2010-05-15", "StackName": name, "TemplateBody": template}
    return httpx.post(url + path, content=urlencode(stack), headers=FORM | headers, timeout=30)


@pytest.fixture
def unguarded() -> Iterator[str]:
    """URL of moto's own server while a test lasts."""
    with moto_alone() as url:
        yield url


@pytest.mark.parametrize("more", [{}, {"Origin": "https://evil.example"}])
def test_moto_alone_runs_code_out_of_a_template(unguarded: str, tmp_path: Path, more: dict[str, str]) -> None:
    """So the tests below can fail. When this one fails, moto has mended its loader."""
    attack(unguarded, tmp_path / "run", signed_for("cloudformation") | more)
    assert (tmp_path / "run").is_dir()


TWICE = ", ".join(signed_for(service)["Authorization"] for service in ("cloudformation", "s3"))
CREDENTIAL = f"x%2F20260101%2F{REGION}%2Fcloudformation%2Faws4_request"
HOST = {"Host": f"cloudformation.{REGION}.amazonaws.com"}
TARGET = {"X-Amz-Target": "CloudFormation.CreateStack"}
DISGUISES: dict[str, tuple[dict[str, str], str]] = {
    "plain": (signed_for("cloudformation"), "/"),
    "other case": (signed_for("CloudFormation"), "/"),
    "from a page": (signed_for("cloudformation") | {"Origin": "https://evil.example"}, "/"),
    "unsigned, named by the path": ({}, f"/cloudformation_{REGION}/"),
    "unsigned, named by the host": (HOST, "/"),
    "signed for S3, named by the host": (signed_for("s3") | HOST, "/"),
    "signed for S3, named by the path": (signed_for("s3"), f"/cloudformation_{REGION}/"),
    "signed for SNS": (signed_for("sns"), "/"),
    "signed for SQS": (signed_for("sqs"), "/"),
    "signed for SQS, named by the target": (signed_for("sqs") | TARGET, "/"),
    "signed for two services": ({"Authorization": TWICE}, "/"),
    "signed in the query": ({}, f"/?X-Amz-Credential={CREDENTIAL}"),
    "signed in the old way": ({"Authorization": "AWS x:0"}, "/"),
}


@pytest.mark.parametrize(("headers", "path"), DISGUISES.values(), ids=DISGUISES.keys())
def test_no_template_is_loaded(aws_endpoint: str, tmp_path: Path, headers: dict[str, str], path: str) -> None:
    answer = attack(aws_endpoint, tmp_path / "run", headers, path)
    assert answer.status_code >= 400
    assert not (tmp_path / "run").exists()


def test_the_process_cannot_import_cloudformation() -> None:
    """Not through a service that is served either: what stands in for serving is an import of the loader."""
    program = (
        "import importlib, sys; from margin_platform.stack import aws_endpoint; "
        "aws_endpoint.run_simple = lambda *_, **__: importlib.import_module('moto.cloudformation.parsing'); "
        "sys.argv = ['aws_endpoint', '0']; aws_endpoint.main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "'moto.cloudformation' is not a package" in ended.stderr


def refusal(answer: httpx.Response) -> str:
    """The one line of a refusal, which no page may read."""
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    [line] = answer.text.splitlines()
    return line.removeprefix("local AWS endpoint: ")


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ({"Origin": "https://evil.example"}, "refuses browsers, Origin 'https://evil.example'"),
        ({"Origin": "null"}, "refuses browsers, Origin 'null'"),
        ({"Sec-Fetch-Site": "none"}, "refuses browsers, header Sec-Fetch-Site"),
        ({"Sec-Fetch-Mode": "no-cors"}, "refuses browsers, header Sec-Fetch-Mode"),
        ({"Host": "evil.example:5566"}, "Host is not loopback, value 'evil.example:5566'"),
        ({"Host": "127.0.0.1.evil.example"}, "Host is not loopback, value '127.0.0.1.evil.example'"),
        ({"Host": "bucket.s3.amazonaws.com"}, "Host is not loopback, value 'bucket.s3.amazonaws.com'"),
    ],
)
def test_a_page_in_a_browser_is_refused(aws_endpoint: str, headers: dict[str, str], says: str) -> None:
    assert httpx.get(aws_endpoint, headers=signed_for("s3")).status_code == 200
    assert refusal(httpx.get(aws_endpoint, headers=signed_for("s3") | headers)) == says


def test_a_preflight_is_refused(aws_endpoint: str) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    page = {"Origin": "https://evil.example"}
    assert refusal(httpx.options(aws_endpoint, headers=page | asks)).startswith("refuses browsers, Origin")
    anonymous = httpx.options(aws_endpoint, headers=signed_for("s3") | asks)
    assert refusal(anonymous) == "refuses browsers, method OPTIONS"


def test_a_foreign_host_in_the_request_line_is_refused(aws_endpoint: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(aws_endpoint).netloc, timeout=30)
    connection.request("GET", "http://evil.example/", headers=signed_for("s3"))
    assert b"Host is not loopback, value 'evil.example'" in connection.getresponse().read()
    connection.close()


OTHERS = ("cloudformation", "iam", "lambda", "emr-serverless", "events", "moto_api", "s3control", "S3")


@pytest.mark.parametrize("service", OTHERS)
def test_another_service_is_refused(aws_endpoint: str, service: str) -> None:
    answer = httpx.post(aws_endpoint, headers=signed_for(service))
    assert refusal(answer) == f"serves s3, sns, sqs by signed requests only, service '{service}'"


UNSIGNED = ("/", "/moto-api/", "/moto-api/data.json", "/moto-api/reset", "/latest/meta-data/", "/bucket/key")


@pytest.mark.parametrize("path", UNSIGNED)
def test_an_unsigned_request_is_refused(aws_endpoint: str, path: str) -> None:
    for method in ("GET", "POST"):
        answer = httpx.request(method, aws_endpoint + path)
        assert refusal(answer) == "serves s3, sns, sqs by signed requests only, service ''"


def test_a_signature_does_not_open_what_moto_keeps_beside_the_services(aws_endpoint: str) -> None:
    """Paths that moto takes before it looks at the service name objects of S3 here, in no bucket."""
    sqs = boto3.client("sqs", endpoint_url=aws_endpoint, **LOGIN)
    queue = sqs.create_queue(QueueName="kept")["QueueUrl"]
    for path in ("/moto-api/reset", "/moto-api/data.json", "/latest/meta-data/iam/"):
        method = "PUT" if "reset" in path else "GET"
        answer = httpx.request(method, aws_endpoint + path, headers=signed_for("s3"))
        assert (answer.status_code, "NoSuchBucket" in answer.text) == (404, True)
    assert queue in sqs.list_queues()["QueueUrls"]


def test_boto3_says_why_another_service_fails(aws_endpoint: str) -> None:
    client = boto3.client("cloudformation", endpoint_url=aws_endpoint, **LOGIN)
    with pytest.raises(ResponseParserError, match="serves s3, sns, sqs by signed requests only"):
        client.list_stacks()


def test_s3_sns_and_sqs_work_together(aws_endpoint: str) -> None:
    s3, sns, sqs = (boto3.client(name, endpoint_url=aws_endpoint, **LOGIN) for name in ("s3", "sns", "sqs"))
    queue = sqs.create_queue(QueueName="notices")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name="notices")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, Message="deposit by noon")
    [message] = sqs.receive_message(QueueUrl=queue)["Messages"]
    assert message["Body"] == "deposit by noon"
    sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])

    s3.create_bucket(Bucket="tables")
    s3.put_object(Bucket="tables", Key="a/b c/ü.parquet", Body=b"x" * 100_000, Metadata={"version_id": "7"})
    stored = s3.get_object(Bucket="tables", Key="a/b c/ü.parquet")
    assert (len(stored["Body"].read()), stored["Metadata"]) == (100_000, {"version_id": "7"})
    assert [row["Key"] for row in s3.list_objects_v2(Bucket="tables")["Contents"]] == ["a/b c/ü.parquet"]
    s3.delete_object(Bucket="tables", Key="a/b c/ü.parquet")
    assert s3.list_objects_v2(Bucket="tables")["KeyCount"] == 0
