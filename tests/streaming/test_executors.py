"""The first batch waits for the executors of a cluster, which come one after the other."""

from __future__ import annotations

import itertools

import pytest

from margin_platform.stop_signal import StopSignal
from spark.account_shards.placement import await_executors


@pytest.mark.parametrize(
    ("tasks", "seen", "expected"),
    [
        (2, [0, 1, 1, 2], 2),
        (2, [2], 2),
        (2, [0, 1], 1),  # no more come: a cluster may have fewer than there are shards
        (2, [0], 0),  # Spark itself waits for the first
        (4, [1, 2, 3], 3),
        (1, [0, 0, 3], 3),
    ],
)
def test_shards_start_with_an_executor_each_or_with_those_that_came(
    tasks: int, seen: list[int], expected: int
) -> None:
    counts, clock = itertools.chain(seen, itertools.repeat(seen[-1])), itertools.count(step=1.0)
    asked = StopSignal()
    asked.wait = lambda _: False  # type: ignore[method-assign]
    assert await_executors(tasks, lambda: next(counts), asked, lambda: next(clock)) == expected


def test_a_driver_that_is_stopped_waits_no_longer() -> None:
    stop = StopSignal()
    stop.set()
    assert await_executors(2, lambda: 0, stop) == 0
