"""What the stream benchmarks watch: a driver's progress lines, decisions as a consumer has them, memory
and files as time goes by.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import psutil
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from margin_platform.contracts.messages import MARGIN_STATUS


class Statuses(threading.Thread):
    """Epoch seconds at which a plain consumer had the margin.status.v1 events of each tick, by event time."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self.had: dict[int, list[float]] = {}
        self.ended = threading.Event()
        options = {
            "bootstrap.servers": bootstrap,
            "group.id": "scale",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
        }
        self._consumer = Consumer(options)
        self._consumer.assign([TopicPartition(MARGIN_STATUS, 0, OFFSET_END)])

    def run(self) -> None:
        while not self.ended.is_set():
            for message in self._consumer.consume(2_000, 0.02):
                self.had.setdefault(orjson.loads(message.value() or b"{}")["timestamp"], []).append(
                    time.time()
                )
        self._consumer.close()


class Lines:
    """A child's progress lines: how many records it has taken in all, and the lines themselves."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.told: list[dict[str, Any]] = []
        self.taken: list[tuple[float, int]] = []
        self.process = process
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        total = 0
        for line in self.process.stdout or ():
            if not line.startswith(b"{"):
                continue  # a JVM that is asked for a profile says so here
            told = orjson.loads(line)
            if told.get("stream", "margin_snapshots") != "margin_snapshots":
                continue  # another query of the driver
            total += told["rows"]
            self.told.append(told)
            # by Spark's clock; revisions of before do not say it
            self.taken.append((told["ended"] / 1000 if "ended" in told else time.time(), total))

    def until(self, total: int, seconds: float = 600.0) -> float:
        """Return when the batch ended that brought the records to a total, in epoch seconds."""
        deadline = time.monotonic() + seconds
        while not self.taken or self.taken[-1][1] < total:
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise TimeoutError(f"{total} records; so far {self.taken[-1:]}")
            time.sleep(0.002)
        return next(at for at, reached in self.taken if reached >= total)


@contextmanager
def child(command: list[str], folder: Path, name: str) -> Iterator[Lines]:
    environment = os.environ | {"MARGIN_INSTRUMENTS": str(folder / "instruments.yaml")}
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment
        )
        try:
            yield Lines(process)
        finally:
            process.communicate(b"", timeout=120)


def quantiles(seconds: list[float]) -> dict[str, int]:
    return {"n": len(seconds)} | {
        name: round(float(np.quantile(seconds, q)) * 1000) for name, q in (("p50", 0.5), ("p99", 0.99))
    }


def family(*processes: psutil.Process) -> Iterator[tuple[bool, psutil.Process]]:
    """Yield processes and their children, and of each whether it is a JVM."""
    for process in processes:
        for one in (process, *process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                yield "java" in one.name(), one


def tree_mb(*processes: psutil.Process) -> tuple[int, int]:
    """Return the memory of processes and their children: of Python, and of the JVMs.

    Python workers are forks of one process: what they share counts once.
    """
    found = [0, 0]
    for jvm, one in family(*processes):
        found[jvm] += one.memory_info().rss if jvm else one.memory_full_info().pss
    return round(found[0] / 1e6), round(found[1] / 1e6)


def tree_seconds(*processes: psutil.Process) -> tuple[float, float]:
    """Return processor seconds so far of processes and their children: of Python, and of the JVMs."""
    found = [0.0, 0.0]
    for jvm, one in family(*processes):
        times = one.cpu_times()
        found[jvm] += times.user + times.system
    return found[0], found[1]


class Sizes(threading.Thread):
    """Every so many seconds: minutes since the start, MB of the saved state, of the checkpoint with it, of
    the table and of both processes, and records not yet read.
    """

    def __init__(self, lines: Lines, folder: Path, every: float) -> None:
        super().__init__(daemon=True)
        self.rows: list[dict[str, float | None]] = []
        self.ended = threading.Event()
        self._lines, self._folder, self._every = lines, folder, every

    def run(self) -> None:
        began = time.monotonic()
        while not self.ended.wait(self._every):
            self.rows.append({"minute": round((time.monotonic() - began) / 60, 1)} | self.now())

    def now(self) -> dict[str, float | None]:
        told, (python, jvm) = self._lines.told[-1], tree_mb(psutil.Process(self._lines.process.pid))
        saved = told["assets"]["margin_snapshots"]["state_bytes"]
        return {
            "state_mb": round(saved / 1e6, 1) if saved else None,
            "checkpoint_mb": folder_mb(self._folder / "checkpoints"),
            "table_mb": folder_mb(self._folder / "tables"),
            "python_mb": python,
            "jvm_mb": jvm,
            "lag": told["lag"],
        }


def folder_mb(folder: Path) -> float:
    """Measure everything below a folder from which files may vanish meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return round(total / 1e6, 1)
