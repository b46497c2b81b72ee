"""A worker that was killed before its run started:
the topic goes on at once, not after the time limit of a start.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from margin_platform.orchestration import run_launcher
from margin_platform.orchestration.run_launcher import ForkServerRunLauncher
from margin_platform.orchestration.run_tags import WORKER_TAG
from margin_platform.orchestration.worker_identity import this_worker, worker_of
from sensors.topic_ticks import earlier_runs, topic_undone

STARTING = dg.DagsterRunStatus.STARTING


def killed_worker() -> str:
    with subprocess.Popen(["sleep", "60"]) as process:
        worker = worker_of(process.pid)
        process.kill()
    return worker


def starting(instance: dg.DagsterInstance, worker: str | None, **tags: str) -> str:
    named = {"kafka/topic": "t", **tags} | ({WORKER_TAG: worker} if worker else {})
    return create_run_for_test(instance, job_name="enforcement", status=STARTING, tags=named).run_id


def test_a_run_whose_worker_was_killed_before_it_began_fails_and_holds_nobody_up() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = starting(instance, killed_worker())
        assert earlier_runs.working(instance, "enforcement", {"kafka/topic": "t"}) is None
        found = instance.get_run_by_id(run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE


def test_one_that_lives_or_is_only_being_launched_is_waited_for() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for worker in (this_worker(), None):
            run_id = starting(instance, worker, n=str(worker))
            assert earlier_runs.working(instance, "enforcement", {"n": str(worker)}) == run_id


def test_a_repetition_that_still_has_the_tag_of_the_run_before_is_waited_for() -> None:
    """Dagster copies the tags of the run that it repeats:
    failing the repetition would cost one attempt after the other.
    """
    with dg.DagsterInstance.ephemeral() as instance:
        worker = killed_worker()
        failed = create_run_for_test(
            instance, job_name="enforcement", status=dg.DagsterRunStatus.FAILURE, tags={WORKER_TAG: worker}
        ).run_id
        again = create_run_for_test(
            instance,
            job_name="enforcement",
            status=STARTING,
            tags={WORKER_TAG: worker},
            parent_run_id=failed,
            root_run_id=failed,
        ).run_id
        assert earlier_runs.working(instance, "enforcement") == again
        found = instance.get_run_by_id(again)
        assert found is not None
        assert found.status is STARTING


def test_a_repetition_that_never_begins_is_waited_for_a_minute_and_then_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dagster's daemon, starting again, can leave a failed run marked for a repetition that never comes."""
    span = {"topic": "t", "partition": 0, "start": 14, "end": 15}
    with dg.DagsterInstance.ephemeral() as instance:
        failed = create_run_for_test(
            instance,
            job_name="enforcement",
            status=dg.DagsterRunStatus.FAILURE,
            run_config={"ops": {"enforce": {"config": span}}},
            tags={"kafka/topic": "t", "dagster/will_retry": "true", "dagster/max_retries": "3"},
        ).run_id

        def asked() -> tuple[str | None, list[str | None]]:
            busy = earlier_runs.working(instance, "enforcement", {"kafka/topic": "t"})
            requests = topic_undone.requests(instance, "enforcement", "t", None, lambda _: False)
            return busy, [request.run_key for request in requests]

        for seconds, expected in (
            (0, (failed, [])),
            (55, (failed, [])),
            (65, (None, [f"t@None:0:14-15:after-{failed}"])),
        ):

            class Later(dt.datetime):
                ahead = dt.timedelta(seconds=seconds)

                @classmethod
                def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
                    return dt.datetime.now(tz) + cls.ahead

            clock = SimpleNamespace(datetime=Later, timedelta=dt.timedelta, UTC=dt.UTC)
            for module in (earlier_runs, topic_undone):
                monkeypatch.setattr(module, "dt", clock)
            assert asked() == expected


def test_one_that_ended_well_between_the_two_looks_is_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run_id = starting(instance, killed_worker())
        ended = instance.get_run_by_id(run_id)
        assert ended is not None
        monkeypatch.setattr(
            instance, "get_run_by_id", lambda _: ended.with_status(dg.DagsterRunStatus.SUCCESS)
        )
        assert earlier_runs.working(instance, "enforcement") is None
        monkeypatch.undo()
        found = instance.get_run_by_id(run_id)
        assert found is not None
        assert found.status is STARTING


def test_a_worker_that_is_gone_before_the_launcher_can_name_it_fails_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tag would say who worked for it, so nothing would ever look."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        launcher = ForkServerRunLauncher()
        launcher.register_instance(instance)
        monkeypatch.setattr(launcher, "_fork", lambda _: process.pid)
        monkeypatch.setattr(run_launcher, "serialize_value", lambda _: "")
        run = create_run_for_test(instance, job_name="enforcement", status=STARTING)

        class Context:
            dagster_run, job_code_origin = run, object()

        monkeypatch.setattr(run_launcher, "ExecuteRunArgs", lambda *_: None)
        context: Any = Context()
        launcher.launch_run(context)
        found = instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE
