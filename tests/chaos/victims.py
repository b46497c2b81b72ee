"""What is killed: a broker that comes back on its own data folder and port, and a driver that is started
again whenever it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from pathlib import Path

import psutil

from margin_platform.kafka import topic_admin
from margin_platform.stack import broker as kafka_broker
from margin_platform.stack import ports
from tests.support.waiting import wait_for

JVM, PYTHON, WORKER, EXECUTOR, BROKER = (
    "driver's JVM",
    "driver's Python",
    "Python worker",
    "executor",
    "Kafka broker",
)
JVM_AND_BROKER = "Kafka broker and driver's JVM"
_PATIENCE_SECONDS = 120.0


class Broker:
    """A real broker on a folder and a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, ports.any_free()
        self._running = self._start()
        self.bootstrap = self._running.bootstrap
        topic_admin.create(self.bootstrap)

    def _start(self) -> kafka_broker.Broker:
        return kafka_broker.start(
            self._folder, port=self._port, environment={"MARGIN_STACK": str(self._folder)}
        )

    def kill(self) -> None:
        self._running.process.kill()
        self._running.process.wait()

    def restart(self) -> None:
        self._running = self._start()

    def stop(self) -> None:
        self._running.stop()


def children(pid: int) -> list[psutil.Process]:
    """The living processes that a process started, and those they started."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.cmdline()
                found.append(process)
    return found


def python_workers(*homes: int) -> list[psutil.Process]:
    """Spark's Python processes below a driver or executors."""
    return [p for pid in homes for p in children(pid) if "pyspark.worker" in " ".join(p.cmdline())]


class Driver:
    """`python -m spark.driver`, supervised as the Dagster op does it:
    ended for whatever reason, it is started again.
    """

    def __init__(self, command: list[str], work: Path) -> None:
        self._command = command
        self.log = work / "driver.log"
        self.starts = 0
        self.batches = 0
        self.offset = 0  # of the newest batch: records read in all, by the offsets it names
        self._reached: dict[tuple[str, str], int] = {}
        self._wanted = True
        self._process = self._start()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True, name="supervisor")
        self._supervisor.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            told = json.loads(line)
            if told["stream"] == "margin_snapshots":
                for topic, parts in told["offsets"].items():
                    self._reached |= {(topic, partition): offset for partition, offset in parts.items()}
                self.offset, self.batches = sum(self._reached.values()), self.batches + 1

    def _supervise(self) -> None:
        while self._wanted:
            self._process.wait()
            if self._wanted:
                self._process = self._start()

    def jvm(self) -> psutil.Process | None:
        """The driver's JVM, once there is one."""
        return next((p for p in children(self._process.pid) if p.name() == "java"), None)

    def workers(self) -> list[psutil.Process]:
        """The Python processes that have the shards, where the driver's threads are the executor."""
        return python_workers(self._process.pid)

    def kill_jvm(self) -> None:
        """kill -9 of the JVM: the Python process must notice and end by itself, so that it can be started
        again.
        """
        jvm, process = wait_for(self.jvm, "the driver's JVM"), self._process
        # it may have ended by itself: without a broker it does
        with contextlib.suppress(psutil.NoSuchProcess):
            jvm.kill()
        wait_for(lambda: process.poll() is not None, "the driver to end after its JVM was killed")

    def kill_python(self) -> None:
        """kill -9 of the Python process: its JVM must end by itself and not be left behind."""
        jvm, process = wait_for(self.jvm, "the driver's JVM"), self._process
        process.kill()
        wait_for(
            lambda: not jvm.is_running() or jvm.status() == psutil.STATUS_ZOMBIE,
            "the JVM to end after its driver was killed",
        )

    def end(self) -> int:
        """The end of its standard input, as when its parent goes: it stops by itself.

        Returns the exit code.
        """
        self._wanted = False
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._process.wait(_PATIENCE_SECONDS)

    def destroy(self) -> None:
        """Whatever is left, at the end of a test that failed."""
        self._wanted = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._supervisor.join()
