"""Rows that wait for a table: the newest of each key, as the JSON that went to Kafka and the batch that made
it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import repeat
from typing import NamedTuple

import orjson

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import encode


class Row(NamedTuple):
    """An event as JSON, and the batch that made it, counted as the table does."""

    event: bytes
    batch: int

    @property
    def text(self) -> bytes:
        """The row as a JSON object, its `batch_id` included."""
        return b'%b,"batch_id":%d}' % (self.event[:-1], self.batch)


class WaitingRows:
    """The rows by their key. A later one of a key takes the place of one that waits."""

    def __init__(self) -> None:
        self._rows: dict[str, Row] = {}

    def put(self, keys: Iterable[str], events: Iterable[bytes], batch: int) -> None:
        """Keep the events of a batch, each a JSON object."""
        self._rows.update(zip(keys, map(Row, events, repeat(batch)), strict=True))

    def all(self) -> dict[str, Row]:
        """Return what waits now, by key."""
        return dict(self._rows)

    def forget(self, written: dict[str, Row]) -> None:
        """Let go of rows that are in the table. One that came for their key since then goes on to wait."""
        self._rows = {key: row for key, row in self._rows.items() if written.get(key) is not row}

    def forget_up_to(self, batch: int) -> None:
        """Let go of the rows of batches up to one."""
        self._rows = {key: row for key, row in self._rows.items() if row.batch > batch}

    def to_state(self) -> dict[str, object]:
        """Return the rows for a state, where they are JSON objects as well."""
        return {key: orjson.Fragment(row.text) for key, row in self._rows.items()}

    def restore(self, state: dict[str, Json]) -> None:
        """Continue with the rows of a state."""
        for key, row in state.items():
            batch = row.pop("batch_id")
            self._rows[key] = Row(encode(row), batch)
