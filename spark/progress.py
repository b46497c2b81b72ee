"""What a stream reports of each micro-batch: one line of JSON on standard output.

{"stream": "margin_snapshots", "batch_id": 12, "rows": 480, "seconds": 0.21, "ended": 1796040000210,
 "event_time": 1582232400000, "offsets": {"prices.v1": {"0": 900, "1": 870}}, "lag": 0,
 "assets": {"margin_snapshots": {"batch_id": 12, "rows": 1000, "lag": 0,
            "offsets": "prices.v1[0]@900 prices.v1[1]@870",
            "freshness_seconds": 0.4, "event_time": 1582232400000, "batch_seconds": 0.21, "dead_letters": 2,
            "state_bytes": 48211, "state_age_seconds": 3.1, "oldest_input_seconds": 12.0}}}

`ended` is when the batch was done, by the clock of Spark's driver. An asset is named by its table. `rows` of
an asset are rows it produced (accounts, symbols, scenarios); `lag` is how many records of the source topics
were not yet read when the batch ended; `freshness_seconds` is the age, by the wall clock, of the newest
record in the batch; `dead_letters` are all since the driver started; `state_bytes` and `state_age_seconds`
are of the newest saved state, null before the first; `oldest_input_seconds` is the age of the oldest price
in use against the event clock, in seconds of trading, null where the stream has no such price.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import NamedTuple, Protocol, TypedDict

import orjson


class TableFigures(TypedDict):
    """What one batch did to one asset, by its table."""

    batch_id: int
    rows: int
    lag: int | None
    event_time: int
    offsets: str
    freshness_seconds: float
    batch_seconds: float
    dead_letters: int
    state_bytes: int | None
    state_age_seconds: float | None
    oldest_input_seconds: float | None


class Figures(TypedDict):
    """One micro-batch of a stream."""

    stream: str
    batch_id: int
    rows: int
    seconds: float
    ended: int
    event_time: int
    offsets: dict[str, dict[str, int]]
    lag: int | None
    assets: dict[str, TableFigures]


Offsets = dict[str, dict[str, int]]  # topic -> partition -> next offset


class Batch(NamedTuple):
    """A micro-batch: its records, how long it took, and when it ended, in epoch milliseconds."""

    number: int
    rows: int
    seconds: float
    ended: int


class Saved(NamedTuple):
    """The newest saved state: its size in bytes, and how long ago it was written."""

    size: int
    age_seconds: float


class Reporting(Protocol):
    """What a stream shows of itself, at any time and to any thread."""

    name: str

    @property
    def event_time(self) -> int: ...
    @property
    def dead_letters(self) -> int: ...
    @property
    def lag(self) -> int | None: ...
    def saved(self) -> Saved | None: ...
    def oldest_input_seconds(self) -> float | None: ...


def figures(
    stream: Reporting, batch: Batch, offsets: Offsets, newest: int, produced: Mapping[str, int]
) -> Figures:
    """Return the figures of a micro-batch.

    newest: when Kafka got the newest record read, 0 where none was read; produced: rows by table.
    """
    saved, oldest = stream.saved(), stream.oldest_input_seconds()
    place = " ".join(
        f"{t}[{p}]@{o}" for t, parts in sorted(offsets.items()) for p, o in sorted(parts.items())
    )
    assets: dict[str, TableFigures] = {
        table: {
            "batch_id": batch.number,
            "rows": rows,
            "lag": stream.lag,
            "event_time": stream.event_time,
            "offsets": place,
            "freshness_seconds": round(max(0.0, time.time() - newest / 1000), 3) if newest else 0.0,
            "batch_seconds": batch.seconds,
            "dead_letters": stream.dead_letters,
            "state_bytes": None if saved is None else saved.size,
            "state_age_seconds": None if saved is None else round(saved.age_seconds, 1),
            "oldest_input_seconds": None if oldest is None else round(oldest, 1),
        }
        for table, rows in produced.items()
    }
    return {
        "stream": stream.name,
        "batch_id": batch.number,
        "rows": batch.rows,
        "seconds": batch.seconds,
        "ended": batch.ended,
        "event_time": stream.event_time,
        "offsets": offsets,
        "lag": stream.lag,
        "assets": assets,
    }


def report(figures: Figures) -> None:
    """Print a line and flush it: the supervisor of the stream reads it as it comes."""
    sys.stdout.buffer.write(orjson.dumps(figures) + b"\n")
    sys.stdout.buffer.flush()
