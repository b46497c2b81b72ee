"""The firm stream: margin.calc.v1 in, firm.risk.v1 out, at most once a second.

`python -m spark.firm_exposure` runs it alone.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.messages import FIRM_RISK, MARGIN_CALC, BadEvent, decode, encode
from margin_platform.contracts.offsets import Record
from margin_platform.durable_state import StateRefused
from margin_platform.firm.engine import FirmEngine
from margin_platform.snapshots.outcome import Messages
from spark.program import main
from spark.stream import Stream, StreamSettings
from spark.tables.schemas import FIRM_EXPOSURE_COLUMNS
from spark.tables.sink import TableSink

log = logging.getLogger(__name__)
_PUBLISH_SECONDS = 1.0


class FirmExposure(Stream):
    """Every account's newest figures, summed."""

    name = "firm_exposure"
    topics = (MARGIN_CALC,)
    may_miss = True  # the topic is kept two days; an account's next figures replace whatever was missed

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, self.name, FIRM_EXPOSURE_COLUMNS))
        self.engine = FirmEngine(settings.policy)
        self._next: dict[int, int] = {}
        self._published_at = float("-inf")
        self._unpublished = False
        self._newest_batch = 0

    def next_offset(self) -> dict[str, dict[int, int]]:
        return {MARGIN_CALC: self._next}

    def prepare(self) -> None:
        """Log what was missed in a long stop.

        StateRefused where the topic was created again: its records would pass for applied ones.
        """
        ends = self.bus.end_offsets(MARGIN_CALC)
        if any(offset > ends.get(partition, 0) for partition, offset in self._next.items()):
            raise StateRefused(
                f"{self.name}: {MARGIN_CALC} ends before what was read of it, so it was created again; "
                "--rebuild begins with it"
            )
        if lost := self.bus.lost(MARGIN_CALC, self._next):
            log.warning(
                (
                    "%s: %s deleted by retention before it was read: accounts without figures since are "
                    "counted as they were; --rebuild --only margin_snapshots publishes all of them again"
                ),
                self.name,
                lost,
            )

    def take(self, records: list[Record], batch_id: int, *, publish: bool) -> int:
        for record in records:
            if record.offset < self._next.get(record.partition, 0):
                continue  # applied before
            self._next[record.partition] = record.offset + 1
            try:
                self.engine.update([decode(MARGIN_CALC, record.value)])
            except BadEvent as error:
                if publish:
                    self.refuse(
                        dead_letter(
                            record.topic,
                            record.partition,
                            record.offset,
                            record.value,
                            error,
                            record.timestamp_ms,
                        )
                    )
        self.event_time = self.engine.event_time
        self._unpublished, self._newest_batch = len(self.engine) > 0, batch_id
        return self._publish() if publish else 0

    def idle(self) -> None:
        self._publish()

    def _publish(self) -> int:
        """Publish the firm's current rows, unless the last ones are younger than the limit: `idle` then
        publishes them.
        """
        if not self._unpublished or time.monotonic() - self._published_at < _PUBLISH_SECONDS:
            return 0
        rows = self.engine.events()
        batch = max(self._newest_batch, self._batch)  # after a restart `idle` comes before any batch
        for event in rows:
            self.bus.produce(FIRM_RISK, event)
        self.gather(Messages([event["scenario"] for event in rows], [*map(encode, rows)]), batch)
        self._published_at, self._unpublished = time.monotonic(), False
        return len(rows)

    def to_state(self) -> dict[str, object]:
        return {"engine": self.engine.to_state(), "next": {str(p): o for p, o in self._next.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.engine.restore(state["engine"])
        self._next = {int(p): o for p, o in state["next"].items()}
        self._unpublished = len(self.engine) > 0


if __name__ == "__main__":
    raise SystemExit(main([FirmExposure]))
