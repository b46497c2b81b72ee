"""The firm stream: margin.calc.v1 in, firm.risk.v1 out, at most once a second. `python -m spark.firm_exposure` runs it alone."""

from __future__ import annotations

import time
from typing import Any

from margin_platform.bus import Record
from margin_platform.events import FIRM_RISK, MARGIN_CALC, BadEvent, Event, decode
from margin_platform.firm_engine import FirmEngine
from spark.stream import Stream, StreamSettings
from spark.table_sink import FIRM_EXPOSURE, TableSink

_PUBLISH_SECONDS = 1.0


class FirmExposure(Stream):
    """Every account's newest figures, summed."""

    name = "firm_exposure"
    topics = (MARGIN_CALC,)

    def __init__(self, settings: StreamSettings) -> None:
        super().__init__(settings, TableSink(settings.tables, self.name, FIRM_EXPOSURE))
        self.engine = FirmEngine(settings.policy)
        self._next: dict[int, int] = {}
        self._published_at = self._written_at = float("-inf")
        self._latest: list[Event] = []

    def next_offset(self) -> dict[str, dict[int, int]]:
        return {MARGIN_CALC: self._next}

    def take(self, records: list[Record], batch_id: int) -> int:
        self.engine.update(_events(r for r in records if r.offset >= self._next.get(r.partition, 0)))
        for record in records:
            self._next[record.partition] = max(self._next.get(record.partition, 0), record.offset + 1)
        self.event_time = self.engine.event_time
        if not len(self.engine) or time.monotonic() - self._published_at < _PUBLISH_SECONDS:
            return 0
        self._latest = self.engine.events()
        for event in self._latest:
            self.bus.produce(FIRM_RISK, event)
        self._published_at = time.monotonic()
        return len(self._latest)

    def write_table(self, version: int) -> None:
        if self._latest and time.monotonic() - self._written_at >= self.settings.table_seconds:
            self.sink.append([event | {"batch_id": version} for event in self._latest], version)
            self._written_at = time.monotonic()

    def to_state(self) -> dict[str, Any]:
        return {"engine": self.engine.to_state(), "next": {str(p): o for p, o in self._next.items()}}

    def restore(self, state: dict[str, Any]) -> None:
        self.engine.restore(state["engine"])
        self._next = {int(p): o for p, o in state["next"].items()}


def _events(records: Any) -> Any:
    for record in records:
        try:
            yield decode(MARGIN_CALC, record.value)
        except BadEvent:
            continue   # written by the margin stream itself; anything else on the topic is not the firm's book


if __name__ == "__main__":
    from spark.streams import main

    raise SystemExit(main(["--only", FirmExposure.name]))
