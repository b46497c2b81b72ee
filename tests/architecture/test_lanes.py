"""The workers of `make test` share the files: no stack beside a stack, no file twice, none left over."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.lanes import Lanes, rank

FILES = [
    "tests/architecture/test_a.py",
    "tests/chaos/test_c.py",
    "tests/integration/test_i.py",
    "tests/kernel/test_k.py",
    "tests/streaming/test_s.py",
    "tests/streaming/test_t.py",
    "tests/test_money.py",
]
COLLECTED = [f"{file}::test_{n}" for file in FILES for n in range(4)]


class Worker:
    """A worker that runs what it was sent when asked to, in order."""

    def __init__(self) -> None:
        self.gateway = SimpleNamespace(id="gw")
        self.waiting: list[int] = []
        self.ran: list[str] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.waiting += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def _run(speeds: list[int], collected: list[str]) -> list[list[str]]:
    """Run all tests by workers of these speeds, tests a turn.

    Returns the files of each in the order it ran them.
    """
    workers = [Worker() for _ in speeds]
    log: Any = SimpleNamespace(loadscopesched=lambda *_: None)
    config: Any = SimpleNamespace(
        getvalue=lambda _: ["popen"] * len(workers), option=SimpleNamespace(loadscopereorder=True)
    )
    lanes: Any = Lanes(config, log)
    for worker in workers:
        lanes.add_node(worker)
    for worker in workers:
        lanes.add_node_collection(worker, collected)
    lanes.schedule()
    while any(worker.waiting for worker in workers):
        for worker, speed in zip(workers, speeds, strict=True):
            for _ in range(min(speed, len(worker.waiting))):
                index = worker.waiting.pop(0)
                worker.ran.append(collected[index])
                lanes.mark_test_complete(worker, index)
    assert lanes.tests_finished
    assert all(worker.shutting_down for worker in workers)
    assert sorted(test for worker in workers for test in worker.ran) == sorted(collected)
    return [list(dict.fromkeys(test.split("::")[0] for test in worker.ran)) for worker in workers]


@pytest.mark.parametrize("speeds", [[1, 1], [1, 9], [9, 1], [1], [1, 1, 1], [1, 2, 3]])
def test_every_test_runs_once_and_no_file_is_split(speeds: list[int]) -> None:
    shares = _run(speeds, COLLECTED)
    assert sorted(file for share in shares for file in share) == FILES


@pytest.mark.parametrize("speeds", [[1, 1], [1, 9], [9, 1], [1, 1, 1], [1, 2, 3]])
def test_stacks_run_on_the_first_worker_alone(speeds: list[int]) -> None:
    first, *others = _run(speeds, COLLECTED)
    assert first[:2] == ["tests/chaos/test_c.py", "tests/integration/test_i.py"]
    assert all(rank(file) > 0 for share in others for file in share)


def test_of_three_workers_each_begins_with_a_lane_of_its_own() -> None:
    assert [share[0] for share in _run([1, 1, 1], COLLECTED)] == [
        "tests/chaos/test_c.py",
        "tests/streaming/test_s.py",
        "tests/architecture/test_a.py",
    ]


def test_a_worker_that_is_done_early_takes_what_the_other_has_left() -> None:
    assert "tests/streaming/test_t.py" in _run([1, 9], COLLECTED)[1]
    assert "tests/test_money.py" in _run([9, 1], COLLECTED)[0]


def test_a_run_of_stacks_alone_ends() -> None:
    stacks = [test for test in COLLECTED if rank(test) == 0]
    assert _run([1, 1], stacks)[1] == []
