"""The engines fed by hand, record by record, as the streams feed them:
what a test says of order, partition and restart is exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from margin_platform import durable_state
from margin_platform.contracts.messages import CORPORATE_ACTIONS, PRICES, VOLATILITY, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.ladder.ladder import step
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.market.instruments import load
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome
from margin_platform.volatility.engine import VolatilityEngine

POLICY = current_policy()
Message = tuple[str, Event]


class Feed:
    """A margin engine, a volatility engine whose figures it reads, and the ladder behind them."""

    def __init__(self, instruments: Sequence[Instrument] | None = None) -> None:
        self.instruments = load() if instruments is None else instruments
        self.engine = MarginEngine(self.instruments, POLICY)
        self.volatility = VolatilityEngine(POLICY)
        self.figures: list[Event] = []  # volatility.v1
        self.outcomes: list[Outcome] = []
        self._offsets: Counter[tuple[str, int]] = Counter()

    def say(self, *messages: Message, partition: int = 0) -> Outcome:
        """One batch: the messages at the next offsets of a partition.

        What the volatility engine makes of it is a batch of its own.
        """
        records = [self._record(topic, event, partition) for topic, event in messages]
        outcome = self.take(records)
        figures = self.volatility.process([r for r in records if r.topic in (PRICES, CORPORATE_ACTIONS)])
        self.figures += figures
        if figures:
            self.take([self._record(VOLATILITY, event, 0) for event in figures])
        return outcome

    def take(self, records: list[Record]) -> Outcome:
        """One batch of the margin engine, and the heartbeat after it."""
        outcome = self.engine.process(records, len(self.outcomes))
        outcome.calc += self.engine.overdue().calc
        self.outcomes.append(outcome)
        return outcome

    def _record(self, topic: str, event: Event, partition: int) -> Record:
        offset = self._offsets[topic, partition]
        self._offsets[topic, partition] += 1
        return Record(topic, partition, offset, None, encode(event), event["timestamp"])

    def restart(self) -> None:
        """Both engines again from what they saved, through bytes."""
        saved, volatility = through_bytes(self.engine.to_state()), through_bytes(self.volatility.to_state())
        self.engine, self.volatility = MarginEngine(self.instruments, POLICY), VolatilityEngine(POLICY)
        self.engine.restore(saved)
        self.volatility.restore(volatility)

    def decisions(self, account: str, since: int = 0) -> list[str]:
        """What the ladder decides on the status events of an account from a batch on."""
        state, kinds = LadderState(account), list[str]()
        for event in (
            e for outcome in self.outcomes[since:] for e in outcome.status if e["account_id"] == account
        ):
            state, decided = step(state, Observation.from_status_event(event), POLICY)
            kinds += [d.kind for d in decided if not d.kind.startswith("STRESS")]  # the other track
        return kinds

    def price(self, symbol: str) -> float:
        return float(self.engine.market.price[self.engine.code_of[symbol]])


def through_bytes(state: dict[str, Any]) -> Any:
    """A state as it comes back from the disk."""
    return durable_state.parse(b"".join(durable_state.dump(state)))
