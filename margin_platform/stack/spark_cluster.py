"""Spark's own standalone cluster on one machine:
a master and workers, each a process, from the jars inside the pyspark package.

For trying on one machine what the streams do on several (`MARGIN_SPARK_MASTER`): tests, fault injection and
benchmarks use it; `margin up` does not, because executors as threads of the driver need less memory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pyspark

from margin_platform.contracts.json_object import Json
from margin_platform.stack import ports, processes

SPARK_HOME = Path(pyspark.__file__).parent
_JAVA = ("java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{SPARK_HOME}/jars/*")
_EXECUTOR = "CoarseGrainedExecutorBackend"
_READY_S = 60.0


class SparkCluster:
    """A master and workers of one core and 700 MB each, every one in a session of its own;
    `master` is the address for a driver.

    folder: logs and the workers' files. Nothing runs before `start`; StartFailed where a process does not
    come up.
    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        self.folder = folder
        self.names = [f"worker-{n}" for n in range(1, workers + 1)]
        self.port, self.web = ports.any_free(), ports.any_free()
        self.master = f"spark://{ports.HOST}:{self.port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the cluster; return when the master knows all its workers."""
        self._run(
            "master",
            "master.Master",
            "--host",
            ports.HOST,
            "--port",
            str(self.port),
            "--webui-port",
            str(self.web),
        )
        self._await(lambda: ports.accepts(self.web), "master")
        for name in self.names:
            self._run(
                name,
                "worker.Worker",
                "--host",
                ports.HOST,
                "--cores",
                "1",
                "--memory",
                "700m",
                "--webui-port",
                "0",
                "--work-dir",
                str(self.folder / name),
                self.master,
            )
        for name in self.names:
            self._await(lambda: self.state().get("aliveworkers") == len(self.names), name)

    def _run(self, name: str, kind: str, *arguments: str) -> None:
        environment = {
            "SPARK_HOME": str(SPARK_HOME),
            "SPARK_SCALA_VERSION": "2.13",
            "SPARK_LOCAL_IP": ports.HOST,
        }
        command = [*_JAVA, f"org.apache.spark.deploy.{kind}", *arguments]
        self.processes[name] = processes.start(command, environment, self.folder / f"{name}.log")

    def _await(self, ready: Callable[[], bool], name: str) -> None:
        processes.wait_until(
            ready,
            processes.end_of(self.processes[name]),
            self.folder / f"{name}.log",
            f"Spark's {name}",
            _READY_S,
        )

    def state(self) -> Json:
        """Return the master's report on its workers and applications; its port answers with another page
        until all of it is up.
        """
        answer = httpx.get(f"http://{ports.HOST}:{self.web}/json/", timeout=10)
        return dict(answer.json()) if answer.is_success and answer.text.startswith("{") else {}

    def executors(self) -> list[psutil.Process]:
        """Return the executors' processes now: children of the workers, which start another one where one
        dies."""
        found = []
        for name in self.names:
            with contextlib.suppress(psutil.NoSuchProcess):
                children = psutil.Process(self.processes[name].pid).children(recursive=True)
                found += [p for p in children if any(_EXECUTOR in word for word in p.cmdline())]
        return found

    def kill(self, name: str) -> None:
        """Send kill -9 to the master or a worker, and to the executors it started."""
        os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()

    def stop(self) -> None:
        """End what is left of it; nothing it holds is still needed."""
        for name, process in self.processes.items():
            if process.poll() is None:
                self.kill(name)
