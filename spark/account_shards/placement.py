"""Where shards are: the keys that Spark groups them by, which decide their partition, and the executors.

Spark puts a key into a partition by its hash. Shards under their own numbers would share some partitions and
leave others empty: 0 and 1 are both in the second of two. So each shard has the first whole number whose hash
leads to the partition of the shard's number. A state of P partitions, where P divides the number of shards,
has as many shards in each.

Spark keeps a shard where its state was first loaded. So the first batch waits for the executors of a cluster:
one that came a moment later would hold none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import TYPE_CHECKING

from margin_platform.stop_signal import StopSignal

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OF_VOLATILITIES = -1  # the key of the shard after the last, which is of no account
_SEED = 42  # of Spark's hash partitioning
_BITS = 0xFFFFFFFF
_LOOK_SECONDS = 0.2
_QUIET_SECONDS = 10.0  # after the last one that came
_LONGEST_SECONDS = 60.0


@cache
def keys(shards: int) -> tuple[int, ...]:
    """Return the key of each shard, in the order of their numbers."""
    found: dict[int, int] = {}
    for key in count():
        found.setdefault(spark_hash(key) % shards, key)
        if len(found) == shards:
            return tuple(found[number] for number in range(shards))
    raise AssertionError("whole numbers do not end")


def spark_hash(key: int) -> int:
    """Return Spark's hash of a whole number of 32 bits: Murmur3 with its seed, signed."""
    mixed = _rotated(key * 0xCC9E2D51 & _BITS, 15) * 0x1B873593 & _BITS
    mixed = (_rotated(_SEED ^ mixed, 13) * 5 + 0xE6546B64 & _BITS) ^ 4  # bytes of the number
    mixed = (mixed ^ mixed >> 16) * 0x85EBCA6B & _BITS
    mixed = (mixed ^ mixed >> 13) * 0xC2B2AE35 & _BITS
    mixed ^= mixed >> 16
    return mixed - (1 << 32) if mixed >> 31 else mixed


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _BITS


def registered(session: SparkSession) -> int:
    """Return how many executors the driver has; of a local master none."""
    context = session.sparkContext._jsc.sc()
    return len(context.statusTracker().getExecutorInfos()) - 1  # the driver is among them


def await_executors(
    tasks: int, counted: Callable[[], int], stop: StopSignal, now: Callable[[], float] = time.monotonic
) -> int:
    """Wait for an executor a task, or until no more of them come; return how many there are."""
    began = last = now()
    found = counted()
    while found < tasks and now() - began < _LONGEST_SECONDS and not stop.wait(_LOOK_SECONDS):
        if (more := counted()) > found:
            found, last = more, now()
        if found and now() - last >= _QUIET_SECONDS:
            break
    return found
