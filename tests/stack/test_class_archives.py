"""How JVMs start: with class archives of their own, as always with one that does not fit; and compilers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from margin_platform.jars import class_archive
from margin_platform.stack import broker
from spark import session

JARS = ["a.jar", "b.jar"]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    return tmp_path


def record(text: str, jars: list[str]) -> None:
    with class_archive.recorded("broker", jars) as options:
        where = options[-1].removeprefix("-XX:ArchiveClassesAtExit=")
        if text:
            Path(where).write_text(text)


def test_a_recorded_archive_is_used_for_its_jars_alone_and_replaces_the_one_before(environment: Path) -> None:
    assert class_archive.options("broker", JARS) == []
    record("of before", ["old.jar"])
    record("of now", JARS)
    (archive,) = (environment / "class-archives").iterdir()
    assert class_archive.options("broker", JARS)[-1] == f"-XX:SharedArchiveFile={archive}"
    assert archive.read_text() == "of now"
    assert class_archive.options("broker", ["old.jar"]) == class_archive.options("streams", JARS) == []


def test_a_jvm_that_ends_before_it_has_recorded_leaves_none() -> None:
    record("", JARS)
    assert class_archive.options("broker", JARS) == []


def test_the_broker_and_the_driver_are_given_theirs(
    environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(class_archive, "options", lambda program, jars: [f"-Xthe-{program}-archive"])
    monkeypatch.setattr(broker, "_format", lambda *_: None)
    assert "-Xthe-broker-archive" in broker.command(environment / "kafka", 9092)
    assert "-Xthe-streams-archive" in session.configuration("x", "local[2]")["spark.driver.extraJavaOptions"]


@pytest.mark.parametrize(("compiler", "alone", "cluster"), [(None, 1, 0), ("quick", 1, 1), ("full", 0, 0)])
def test_a_driver_has_the_compiler_of_the_settings_and_executors_have_both(
    monkeypatch: pytest.MonkeyPatch, compiler: str | None, alone: int, cluster: int
) -> None:
    if compiler is not None:
        monkeypatch.setenv("MARGIN_SPARK_COMPILER", compiler)
    of_cluster = session.configuration("x", "spark://localhost:1")
    drivers = [session.configuration("x", "local[2]"), of_cluster]
    quick = [one["spark.driver.extraJavaOptions"].split().count("-XX:TieredStopAtLevel=1") for one in drivers]
    assert quick == [alone, cluster]
    assert "Tiered" not in of_cluster["spark.executor.extraJavaOptions"]


def test_an_archive_that_does_not_fit_is_left_aside(environment: Path) -> None:
    record("no archive", JARS)
    options = class_archive.options("broker", JARS)
    done = subprocess.run(["java", *options, "-version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
