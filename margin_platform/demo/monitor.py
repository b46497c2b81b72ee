"""What the demo has seen so far: counts by topic, accounts by status, calls, orders, exposure, and how far
behind the streams are.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from deltalake import DeltaTable

from margin_platform.contracts.messages import (
    AUDIT,
    DEAD_LETTER,
    FILLS,
    FIRM_RISK,
    LIQUIDATION_ORDERS,
    MARGIN_CALC,
    MARGIN_CALLS,
    MARGIN_STATUS,
    NOTIFICATIONS,
    PRICES,
    RESTRICTIONS,
    STRESS,
    TOPICS,
    VOLATILITY,
    BadEvent,
    Event,
    decode,
)
from margin_platform.demo.story import Story
from margin_platform.kafka.bus import Bus
from margin_platform.settings import STREAM_TABLES
from margin_platform.table_storage import location, storage_options

# Every stage must produce something for a demo to count as a success; what only looks like it (a warning, a
# notice held) does not.
STAGES = (
    PRICES,
    FILLS,
    VOLATILITY,
    MARGIN_CALC,
    MARGIN_STATUS,
    STRESS,
    MARGIN_CALLS,
    RESTRICTIONS,
    LIQUIDATION_ORDERS,
    NOTIFICATIONS,
    FIRM_RISK,
    AUDIT,
)
_READ = (MARGIN_CALC, MARGIN_CALLS, RESTRICTIONS, LIQUIDATION_ORDERS, NOTIFICATIONS, FIRM_RISK, FILLS)
_BATCH = 20_000


@dataclass
class Monitor:
    """Reads the output topics from where they stood at the start;
    `snapshot` is what the screen and the JSON show.

    tables: folder or URL of the streams' Delta tables.
    """

    bus: Bus
    tables: str
    started: float = field(default_factory=time.monotonic)
    status: dict[str, str] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    restrictions: Counter[str] = field(default_factory=Counter)
    delivery: Counter[str] = field(default_factory=Counter)
    simulated_fills: int = 0
    orders: int = 0
    exposure: float | None = None
    firm_loss: float | None = None
    event_clock: int = 0
    calc_clock: int = 0
    replay_started: float | None = None
    first_call_seconds: float | None = None
    begins: dict[str, dict[int, int]] = field(default_factory=dict)
    positions: dict[str, dict[int, int]] = field(default_factory=dict)
    filled_tables: set[str] = field(default_factory=set)
    story: Story = field(default_factory=Story)

    def __post_init__(self) -> None:
        self.begins = {topic: dict(self.bus.end_offsets(topic)) for topic in TOPICS}
        self.positions = {topic: dict(self.begins[topic]) for topic in _READ}

    @property
    def seen(self) -> int:
        """How many events were read: it grows as long as anything goes on."""
        return sum(sum(offsets.values()) for offsets in self.positions.values())

    def read(self) -> None:
        """Take in whatever has arrived; return immediately when nothing has."""
        for topic in _READ:
            records = self.bus.poll(topic, self.positions[topic], 0.0, _BATCH)
            for record in records:
                self.positions[topic][record.partition] = record.offset + 1
                try:
                    self._take(topic, decode(topic, record.value))
                except BadEvent:
                    continue  # the streams have dead-lettered it; the count below shows it

    def _take(self, topic: str, event: Event) -> None:
        self.story.take(topic, event)
        if topic == MARGIN_CALC:
            self.status[event["account_id"]] = str(event.get("status"))
            self.calc_clock = max(self.calc_clock, int(event.get("timestamp") or 0))
        elif topic == MARGIN_CALLS:
            self.calls[event["action"]] += 1
            if (
                event["action"] == "MARGIN_CALL"
                and self.first_call_seconds is None
                and self.replay_started is not None
            ):
                self.first_call_seconds = round(time.monotonic() - self.replay_started, 2)
        elif topic == RESTRICTIONS:
            self.restrictions[event["action"]] += 1
        elif topic == LIQUIDATION_ORDERS:
            self.orders += event.get("action", "NEW") != "CANCEL"
        elif topic == NOTIFICATIONS:
            # an alert of the firm's limits has no delivery of its own
            self.delivery[str(event.get("status", "ALERT"))] += 1
        elif topic == FILLS:
            self.simulated_fills += event.get("venue") == "SIMULATED"
        elif topic == FIRM_RISK:
            self.exposure = event.get("firm_beta_weighted_exposure", self.exposure)
            self.firm_loss = event.get("firm_loss", self.firm_loss) if event.get("worst") else self.firm_loss

    def snapshot(self) -> dict[str, object]:
        """Return everything the screen shows, JSON-able; `missing` lists the stages that have produced
        nothing yet.
        """
        counts = {
            topic: sum(
                end - self.begins[topic].get(partition, 0)
                for partition, end in self.bus.end_offsets(topic).items()
            )
            for topic in TOPICS
        }
        return {
            "seconds": round(time.monotonic() - self.started, 1),
            "events": counts,
            "accounts_by_status": dict(Counter(self.status.values())),
            "calls": dict(self.calls),
            "restrictions": dict(self.restrictions),
            "liquidation_orders": self.orders,
            "simulated_fills": self.simulated_fills,
            "notifications": dict(self.delivery),
            "dead_letters": counts[DEAD_LETTER],
            "firm_beta_weighted_exposure": self.exposure,
            "firm_loss_worst": self.firm_loss,
            "event_clock": self.event_clock,
            "lag_event_seconds": max(0.0, (self.event_clock - self.calc_clock) / 1000)
            if self.calc_clock
            else None,
            "seconds_to_first_margin_call": self.first_call_seconds,
            "story": self.story.summary(),
            "missing": self._missing(counts),
        }

    def _missing(self, counts: dict[str, int]) -> list[str]:
        """List the stages without their output; `counts` are the events of each topic."""
        seen = {topic: counts[topic] > 0 for topic in STAGES} | {
            "MARGIN_CALL": self.calls["MARGIN_CALL"] > 0,
            "CLOSE_ONLY": self.restrictions["CLOSE_ONLY"] > 0,
            "orders": self.orders > 0,
            "simulated fills": self.simulated_fills > 0,
            "DELIVERED notices": self.delivery["DELIVERED"] > 0,
        }
        return [stage for stage, there in seen.items() if not there] + [
            f"rows of {name}" for name in STREAM_TABLES if not self._filled(name)
        ]

    def _filled(self, table: str) -> bool:
        """Report whether the table has rows; one that had some is not opened again."""
        where = location(table, self.tables)
        storage = storage_options(where)
        if (
            table not in self.filled_tables
            and DeltaTable.is_deltatable(where, storage)
            and DeltaTable(where, storage_options=storage).count() > 0
        ):
            self.filled_tables.add(table)
        return table in self.filled_tables
