"""The checkpoints of the queries: dropped when asked to, on S3, and left alone while they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from margin_platform.orchestration import checkpoint_lock
from spark import checkpoints
from spark.account_shards import rescale


def folders(of: Path) -> set[str]:
    return {path.name for path in of.iterdir()}


def test_a_rebuild_drops_the_checkpoints_of_its_queries_and_no_other(tmp_path: Path) -> None:
    for name in ("margin_snapshots", "firm_exposure", "tables"):
        (tmp_path / name / "commits").mkdir(parents=True)
    checkpoints.forget(str(tmp_path), ["margin_snapshots", "tables"])
    assert folders(tmp_path) == {"firm_exposure"}
    with pytest.raises(checkpoints.Elsewhere, match="below s3a://bucket/checkpoints"):
        checkpoints.forget("s3a://bucket/checkpoints", ["margin_snapshots"])


def test_a_first_start_says_that_the_state_of_before_is_not_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.mention_earlier_state(str(tmp_path))
    assert caplog.text == ""
    (tmp_path / "margin_snapshots" / "spark").mkdir(parents=True)
    checkpoints.mention_earlier_state(str(tmp_path))
    assert "the state of the earlier streams is not read: rebuilding the book from the topics" in caplog.text
    caplog.clear()
    (tmp_path / "margin_snapshots" / "metadata").touch()  # of Spark: this is not the first start
    checkpoints.mention_earlier_state(str(tmp_path))
    assert caplog.text == ""


def test_places_on_s3_bring_their_endpoint_and_folders_bring_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGIN_AWS_ENDPOINT", "http://127.0.0.1:5000")
    assert checkpoints.storage("/var/checkpoints", "tables") == {}
    assert checkpoints.storage_jars("/var/checkpoints", "tables") == []
    for places in (("s3a://bucket/checkpoints", "tables"), ("checkpoints", "s3://bucket/tables")):
        assert checkpoints.storage(*places)["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:5000"
    monkeypatch.setenv(
        "MARGIN_S3_ENDPOINT", "http://127.0.0.1:7070"
    )  # a store of its own, beside SNS and SQS
    assert checkpoints.storage("s3://bucket/x")["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:7070"


def test_running_streams_are_not_rescaled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.argv", ["rescale", "2", "--checkpoint", str(tmp_path)])
    with checkpoint_lock.held(tmp_path, ["margin_snapshots"]):
        assert rescale.main() == checkpoint_lock.EXIT_CODE
    assert "stop the streams first: margin_snapshots: its checkpoint is held by" in caplog.text
