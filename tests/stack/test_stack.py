"""The local stack's parts that need no server: ports, remembered state, jars, the choice of components."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from margin_platform.jars import resolve as jars
from margin_platform.settings import settings, stand_alone
from margin_platform.stack import components, ports, processes, state


def test_the_usual_port_is_kept_where_it_is_free() -> None:
    free = ports.any_free()
    assert ports.choose(free) == free


def test_another_port_is_chosen_where_the_usual_one_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert not ports.is_free(taken)
        assert ports.choose(taken) != taken


def test_two_components_never_get_the_same_port() -> None:
    free = ports.any_free()
    assert ports.choose(free, taken={free}) != free


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    running = state.Running(
        "kafka", os.getpid(), processes.identity(os.getpid()).started, 9092, "127.0.0.1:9092", "kafka.log"
    )
    state.StackState(str(tmp_path), {"MARGIN_KAFKA": "127.0.0.1:9092"}, {"kafka": running}).save()
    loaded = state.load(tmp_path)
    assert loaded.components == {"kafka": running}
    assert list(loaded.living()) == ["kafka"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"data": "x"}', b'{"data":"x","environment":{},"components":{"kafka":{"pid":1}}}'],
)
def test_a_damaged_state_file_reads_as_nothing_running(tmp_path: Path, content: bytes) -> None:
    """The orphans' environment still leads to them: a torn file must not keep `margin down` from working."""
    (tmp_path / "stack.json").write_bytes(content)
    assert state.load(tmp_path).living() == {}


def test_a_process_with_the_same_pid_but_another_start_is_a_stranger() -> None:
    me = processes.identity(os.getpid())
    assert me.process() is not None
    assert processes.Identity(me.pid, me.started - 60).process() is None


def test_a_process_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    process = processes.start(["sh", "-c", "echo no space left; exit 3"], {}, log)
    with pytest.raises(processes.StartFailed, match="thing ended with exit code 3: no space left"):
        processes.wait_until(lambda: False, processes.end_of(process), log, "thing", 10)


def test_a_process_that_ignores_term_is_killed(tmp_path: Path) -> None:
    process = processes.start(
        ["sh", "-c", "trap '' TERM; echo armed; while :; do sleep 1; done"], {}, tmp_path / "x.log"
    )
    processes.wait_until(
        lambda: "armed" in (tmp_path / "x.log").read_text(),
        processes.end_of(process),
        tmp_path / "x.log",
        "sh",
        10,
    )
    victim = processes.identity(process.pid).process()
    assert victim is not None
    assert process.pid in processes.end(processes.tree([victim]), grace_s=0.3)
    assert process.wait(timeout=10) == -signal.SIGKILL


def test_a_process_that_nobody_collects_has_ended(tmp_path: Path) -> None:
    """As under a container's first process that collects none:
    waiting for it to vanish would take the whole grace.
    """
    log = tmp_path / "x.log"
    parent = processes.start(["sh", "-c", "sleep 600 & echo $!; exec sleep 600"], {}, log)
    try:
        processes.wait_until(lambda: log.read_text().endswith("\n"), processes.end_of(parent), log, "sh", 10)
        child = psutil.Process(int(log.read_text()))
        assert processes.end([child], grace_s=20) == []
        assert child.status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.wait()


def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A set of two small jars, pinned and complete, on a machine without Maven."""
    folder = tmp_path / "jars" / "broker"
    folder.mkdir(parents=True)
    for name in ("a.jar", "b.jar"):
        (folder / name).write_bytes(name.encode())
    pinned = {name: jars._digest(folder / name) for name in ("a.jar", "b.jar")}
    monkeypatch.setattr(jars, "checksums", lambda _: pinned)
    monkeypatch.setenv("PATH", "")
    return tmp_path / "jars"


def test_a_complete_cache_needs_neither_maven_nor_java(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _cache(tmp_path, monkeypatch)
    assert [Path(p).name for p in jars.broker_classpath(cache)] == ["a.jar", "b.jar"]


def test_a_tampered_jar_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = _cache(tmp_path, monkeypatch)
    (cache / "broker" / "b.jar").write_bytes(b"something else")
    with pytest.raises(jars.JarsUnavailable, match=r"b\.jar .* does not have its pinned checksum"):
        jars.broker_classpath(cache)


def test_a_missing_jar_without_maven_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = _cache(tmp_path, monkeypatch)
    (cache / "broker" / "a.jar").unlink()
    with pytest.raises(jars.JarsUnavailable, match="apt-get install maven openjdk-17-jre-headless"):
        jars.broker_classpath(cache)


def test_the_pinned_lists_name_the_versions_of_their_poms() -> None:
    """A version changed in a pom without new checksums would download jars that are not pinned."""
    for name in (*jars.SETS, *jars.ON_DEMAND):
        pom = (Path(jars.__file__).parent / f"{name}.pom.xml").read_text(encoding="utf-8")
        listed = jars.checksums(name)
        for block in pom.split("<dependency>")[1:]:
            artifact, version = (
                block.split(f"<{tag}>")[1].split("<")[0] for tag in ("artifactId", "version")
            )
            assert f"{artifact}-{version}.jar" in listed


def test_the_real_jars_are_what_was_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in jars.SETS:
        jars.classpath(name)  # downloads on a fresh machine
        monkeypatch.setattr(subprocess, "Popen", None)  # and starts nothing once they are there
        assert len(jars.classpath(name)) == len(jars.checksums(name))
        monkeypatch.undo()


def test_a_component_brings_what_it_needs() -> None:
    assert [c.name for c in components.chosen(only=["venue"])] == ["kafka", "venue", "keeper"]
    assert [c.name for c in components.chosen(only=["aws"], without=["keeper"])] == ["aws"]


def test_what_is_needed_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="dashboard needs it, value 'kafka'"):
        components.chosen(only=["dashboard"], without=["kafka"])


def test_a_venue_serves_only_while_it_is_connected_to_its_broker(tmp_path: Path) -> None:
    """It listens nowhere: a process that is only just starting, or about to die, must not be called
    running.
    """
    ready = components.BY_NAME["venue"].ready
    with socket.socket() as broker:
        broker.bind(("127.0.0.1", 0))
        broker.listen()
        port = broker.getsockname()[1]
        place = components.Place(tmp_path, settings(), {"kafka": port}, print)
        connects = (
            f"import socket; input(); s = socket.create_connection(('127.0.0.1', {port})); "
            "print('connected', flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", connects], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            venue = processes.identity(process.pid)
            assert not ready(place, venue)
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"connected\n"
            assert ready(place, venue)
            process.kill()
            process.wait()
            assert not ready(place, venue)


def test_children_are_led_to_this_stack_and_nowhere_else(tmp_path: Path) -> None:
    outer = settings(
        {"MARGIN_DATA": str(tmp_path), "MARGIN_KAFKA": "kafka.example:9092", "HOME": str(tmp_path)}
    )
    own = components.environment(tmp_path, outer, {"kafka": 19000, "aws": 19001})
    assert own["MARGIN_KAFKA"] == "127.0.0.1:19000"
    assert own["MARGIN_AWS_ENDPOINT"] == "http://127.0.0.1:19001"
    assert settings(own).kafka.bootstrap_servers == "127.0.0.1:19000"
    without_broker = components.environment(tmp_path, outer, {})
    assert without_broker["MARGIN_KAFKA"] == "kafka.example:9092"
    assert "MARGIN_AWS_ENDPOINT" not in without_broker


def test_a_demo_forgets_the_store_broker_and_providers_of_its_surroundings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outside = {
        "MARGIN_STORE": "postgresql://live.example/margin",
        "MARGIN_KAFKA": "kafka.example:9092",
        "MARGIN_SENDGRID_API_KEY": "k",
        "MARGIN_ENVIRONMENT": "aws",
        "MARGIN_FIRM_EMAIL": "risk@broker.example",
    }
    for name, value in (outside | {"MARGIN_JARS": "/kept", "MARGIN_SPARK_SHARDS": "2"}).items():
        monkeypatch.setenv(name, value)
    stand_alone()
    assert not outside.keys() & os.environ.keys()
    assert settings().spark.shards == 2
    assert (settings().environment, settings().kafka.bootstrap_servers, str(settings().jars)) == (
        "local",
        "127.0.0.1:9092",
        "/kept",
    )
