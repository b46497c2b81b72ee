"""Recorded field cases through the margin engine: one batch a line, as a consumer would read them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from margin_platform.contracts.messages import Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.ladder.ladder import step
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine

CASES = Path(__file__).parents[1] / "field_cases"
POLICY = current_policy()
BOOKED = ("fills.v1", "cash.v1")


class Replay:
    """An engine fed by rows {"topic", "event" or "raw", "produced"};
    `produced` defaults to the event's own time.
    """

    def __init__(self, *symbols: str) -> None:
        self.engine = MarginEngine([Instrument(symbol=s) for s in symbols], POLICY)
        self.dead: list[Event] = []
        self.status: list[Event] = []
        self._offsets: Counter[str] = Counter()
        self._batches = 0

    def take(self, row: dict[str, Any], key: str | None = None) -> None:
        topic = row["topic"]
        raw = encode(row["event"]) if "event" in row else None if row["raw"] is None else row["raw"].encode()
        produced = row.get("produced") or row["event"]["timestamp"]
        outcome = self.engine.process(
            [Record(topic, 0, self._offsets[topic], key, raw, produced)], self._batches
        )
        self._offsets[topic] += 1
        self._batches += 1
        self.dead += outcome.dead
        self.status += outcome.status

    def refused(self) -> list[tuple[str, str]]:
        """Topic and field of each dead letter."""
        return [(letter["topic"], letter["field"]) for letter in self.dead]

    def figures(self, account: str) -> dict[str, Any]:
        event = self.engine.account_now(account)
        return {name: event[name] for name in ("equity", "requirement", "excess", "status")}

    def decisions(self, account: str) -> list[str]:
        state, kinds = LadderState(account), list[str]()
        for event in (e for e in self.status if e["account_id"] == account):
            state, decided = step(state, Observation.from_status_event(event), POLICY)
            kinds += [str(d.kind) for d in decided]
        return kinds


def replayed(name: str, *symbols: str) -> Replay:
    """The case of a file, e.g. "14-epoch-seconds-on-topics/events.jsonl"."""
    replay = Replay(*(symbols or ("AAA", "BBB", "BRK.A")))
    for line in (CASES / name).read_text(encoding="utf-8").splitlines():
        if line.strip():
            replay.take(json.loads(line))
    return replay
