"""What a stream says of each micro-batch: one line of JSON on standard output.

{"stream": "margin_snapshots", "batch_id": 12, "rows": 480, "seconds": 0.21, "event_time": 1582232400000,
 "offsets": {"prices.v1": {"0": 900, "1": 870}}, "lag": 0,
 "assets": {"margin_snapshots": {"batch_id": 12, "rows": 1000, "offsets": "prices.v1[0]@900 prices.v1[1]@870", "lag": 0,
            "freshness_seconds": 0.4, "event_time": 1582232400000}}}

`rows` of an asset are rows it produced (accounts, symbols, scenarios); `lag` is how many records of the source topics were not
yet read when the batch ended; `freshness_seconds` is the age, by the wall clock, of the newest record in the batch.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import orjson

from margin_platform.bus import Bus, Record


def line(
    stream: str, batch_id: int, read: list[Record], produced: int, started: float, event_time: int, *, lag: int
) -> bytes:
    """One micro-batch as a line. `started` is `time.monotonic()` at its beginning."""
    offsets: dict[str, dict[str, int]] = {}
    for record in read:
        parts = offsets.setdefault(record.topic, {})
        parts[str(record.partition)] = max(parts.get(str(record.partition), 0), record.offset + 1)
    newest = max((r.timestamp_ms for r in read), default=0)
    asset = {
        "batch_id": batch_id, "rows": produced, "lag": lag, "event_time": event_time,
        "offsets": " ".join(f"{t}[{p}]@{o}" for t, parts in sorted(offsets.items()) for p, o in sorted(parts.items())),
        "freshness_seconds": round(max(0.0, time.time() - newest / 1000), 3) if newest else 0.0,
    }
    return orjson.dumps(
        {
            "stream": stream, "batch_id": batch_id, "rows": len(read), "seconds": round(time.monotonic() - started, 4),
            "event_time": event_time, "offsets": offsets, "lag": lag, "assets": {stream: asset},
        }
    )


def report(text: bytes) -> None:
    """Prints a line at once: whoever supervises the stream reads it as it comes."""
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()


def lag(bus: Bus, next_offset: Mapping[str, Mapping[int, int]]) -> int:
    """Records of these topics that lie beyond the next offsets."""
    return sum(
        max(0, end - parts.get(partition, 0)) for topic, parts in next_offset.items() for partition, end in bus.end_offsets(topic).items()
    )
