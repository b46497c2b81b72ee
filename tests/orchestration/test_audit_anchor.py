"""The anchor of a day on a real broker, a real store and S3 with Object Lock:
made once, and what is forged later is named.
"""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import orjson
import pytest
from botocore.exceptions import ClientError
from sqlalchemy import delete, update
from typer.testing import CliRunner

from jobs.audit_anchor import audit_anchor_job, audit_anchor_schedule
from margin_platform.audit import signing
from margin_platform.cli import app
from margin_platform.contracts.messages import AUDIT
from margin_platform.kafka.bus import Bus
from margin_platform.recordkeeping import anchoring, archive
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from resources.aws import AwsResource
from resources.decisions import DecisionsResource
from resources.kafka import KafkaResource
from tests.support import audit_story as story

BUCKET = "margin-audit"


@pytest.fixture
def s3(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of an S3 that has a bucket with Object Lock; the settings name both."""
    for name, value in (("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MARGIN_AWS_ENDPOINT", aws_endpoint)
    monkeypatch.setenv("MARGIN_AUDIT_BUCKET", BUCKET)
    client = boto3.client("s3", endpoint_url=aws_endpoint, region_name="us-east-1")
    client.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    return client


def run_job(day: str, store_url: str, address: str) -> None:
    resources = {
        "kafka": KafkaResource(bootstrap_servers=address),
        "decisions": DecisionsResource(store_url=store_url),
        "aws": AwsResource(),
    }
    config = {"ops": {"anchor_day": {"config": {"day": day}}}}
    assert audit_anchor_job.execute_in_process(run_config=config, resources=resources).success


def verified(store_url: str, *arguments: str) -> set[tuple[str, str]]:
    done = CliRunner().invoke(app, ["audit", "verify", "--json", "--store", store_url, *arguments])
    assert done.exit_code in (0, 1), done.output
    return {(broken["account_id"], broken["kind"]) for broken in json.loads(done.stdout)["broken"]}


@pytest.mark.kafka
def test_a_day_is_anchored_once_published_archived_and_holds_a_forger_to_it(
    bus: Bus, s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_DATA", str(tmp_path))
    signing.create(tmp_path / "audit-key.pem")
    url = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(url) as store:
        story.tell(store)
    for _ in range(2):  # a run that is repeated doubles nothing
        run_job("2026-11-27", url, bus.bootstrap)
    events = [orjson.loads(record.value or b"") for record in bus.read_all(AUDIT)]
    (anchor,) = [event for event in events if event["decision"] == "ANCHOR"]
    assert json.loads(anchor["statement"])["day"] == "2026-11-27"
    (archived,) = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    kept = s3.head_object(Bucket=BUCKET, Key=archived["Key"])
    assert kept["ObjectLockMode"] == "COMPLIANCE"
    assert kept["ObjectLockRetainUntilDate"].year == dt.datetime.now(dt.UTC).year + 6
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=BUCKET, Key=archived["Key"], VersionId=archived["VersionId"])

    outside = ("--bootstrap", bus.bootstrap, "--bucket", BUCKET)
    assert verified(url, *outside) == set()
    with Store(url) as store, store.write() as connection:  # all of an account, and what was signed of it
        for table in (t.audit, t.ladder_states, t.calls, t.orders):
            connection.execute(delete(table).where(table.c.account_id == "A1"))
        connection.execute(delete(t.audit_anchors))
    assert verified(url) == set()  # by itself the store looks whole
    assert verified(url, "--bootstrap", bus.bootstrap) == {
        ("A1", "ACCOUNT_DELETED"),
        ("firm/anchors", "ANCHOR_MISSING"),
    }
    assert verified(url, "--bucket", BUCKET) == {("firm/anchors", "ANCHOR_MISSING")}
    with Store(url) as store, store.write() as connection:  # an account of before, invented
        story.invent(connection, "A3", "A9")
        connection.execute(delete(t.calls).where(t.calls.c.account_id == "A2"))
    assert ("A9", "UNPUBLISHED") in verified(url, "--bootstrap", bus.bootstrap)
    with pytest.raises(dg.Failure) as failed:  # each night's run compares the store with itself and audit.v1
        run_job("2026-11-28", url, bus.bootstrap)
    assert "A2 CALL_DELETED" in str(failed.value.description)
    assert "A1 ACCOUNT_DELETED at" in str(failed.value.description)


def test_an_anchor_that_the_bucket_does_not_hold_is_archived_again(s3: Any, tmp_path: Path) -> None:
    """Hidden by a delete marker, covered by a forged version, or never put though the store says so."""
    key, bucket = signing.Ed25519PrivateKey.generate(), f"{BUCKET}-checked"
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        story.tell(store)
        for day in (25, 26, 27):
            anchoring.anchor(store, key, day=dt.date(2026, 11, day), at_ms=1_795_000_000_000, by="schedule")
        with store.write() as connection:
            third = update(t.audit_anchors).where(t.audit_anchors.c.number == 3)
            connection.execute(third.values(archived="s3://elsewhere/written-by-hand"))
        placed = archive.put_missing(store, s3, bucket, 6)
        names = [place.removeprefix(f"s3://{bucket}/") for place in placed]
        assert [name[:21] for name in names] == [f"audit/anchor-0000000{n}" for n in (1, 2, 3)]
        assert archive.put_missing(store, s3, bucket, 6) == []
        s3.delete_object(Bucket=bucket, Key=names[0])
        s3.put_object(Bucket=bucket, Key=names[1], Body=b"{}")
        assert archive.put_missing(store, s3, bucket, 6) == placed[:2]
        assert archive.put_missing(store, s3, bucket, 6) == []
    newest = s3.get_object(Bucket=bucket, Key=names[1])
    assert (orjson.loads(newest["Body"].read())["number"], newest["ObjectLockMode"]) == (2, "COMPLIANCE")


def test_the_schedule_closes_the_new_york_day_that_ended_also_where_clocks_change() -> None:
    for now, day in (
        ("2026-11-28T05:05:00+00:00", "2026-11-27"),
        ("2026-07-01T04:05:00+00:00", "2026-06-30"),
        ("2026-11-02T05:05:00+00:00", "2026-11-01"),
    ):
        context = dg.build_schedule_context(scheduled_execution_time=dt.datetime.fromisoformat(now))
        request = audit_anchor_schedule(context)
        assert isinstance(request, dg.RunRequest)
        assert request.run_key == day
        assert request.run_config == {"ops": {"anchor_day": {"config": {"day": day}}}}
    assert audit_anchor_schedule.execution_timezone == "America/New_York"
