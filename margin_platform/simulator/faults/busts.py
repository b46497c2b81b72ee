"""Busts: an exchange takes a trade back after it was booked, or reports it again with other figures.

A bust comes late, twice (once under another id), or before its fill; of customers' trades and of
liquidations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from margin_platform.contracts.messages import FILLS, Event, decode, deterministic_id
from margin_platform.simulator.story import Fault
from margin_platform.simulator.world.agenda import Agenda
from margin_platform.simulator.world.market import Sent
from margin_platform.simulator.world.topics import Topics

_VENUE = b'"SIMULATED"'


class Busts:
    """Takes fills back. put: puts an event onto its topic; corrected: ids of the fills that replace
    others.
    """

    def __init__(
        self,
        faults: Sequence[Fault],
        agenda: Agenda,
        topics: Topics,
        put: Callable[[Sent], None],
        note: Callable[[str], None],
    ) -> None:
        """Keep the faults of this kind."""
        self._faults = [fault for fault in faults if fault.kind == "bust"]
        self._agenda, self._topics, self._put, self._note = agenda, topics, put, note
        self.corrected: list[str] = []
        self._read = [0] * len(topics.partitions(FILLS))
        self._made: dict[str, list[str]] = {"customer": [], "venue": []}

    def of_customer(self, fill: Event) -> int:
        """Take a customer's fill; return for how many seconds it is held back, as its bust comes first."""
        return self._of("customer", fill)

    def look(self) -> None:
        """Take the venue's fills that have come to their topic."""
        for partition, log in enumerate(self._topics.partitions(FILLS)):
            new, self._read[partition] = log[self._read[partition] :], len(log)
            for record in new:
                if _VENUE not in (record.value or b""):
                    continue
                fill = decode(FILLS, record.value)
                is_known = fill["fill_id"] in (*self._made["venue"], *self.corrected)
                if not fill.get("busts") and not is_known:
                    self._of("venue", fill)

    def end(self) -> None:
        """Let no further trade be taken back."""
        self._faults.clear()

    def _of(self, whose: str, fill: Event) -> int:
        number, held = len(self._made[whose]), 0
        self._made[whose].append(fill["fill_id"])
        for fault in self._faults:
            how, of = fault.what.split()
            if (fault.at, of) == (number, whose):
                self._note(f"fill {number} of a {whose} is taken back: {how}, {fault.seconds} s")
                is_first = how == "first" and whose == "customer"
                held = max(held, fault.seconds) if is_first else held
                self._agenda.after(0 if is_first else fault.seconds, partial(self._bust, fill, how))
        return held

    def _bust(self, fill: Event, how: str) -> None:
        name = deterministic_id("bust", fill["fill_id"])
        bust = fill | {"fill_id": name, "qty": -fill["qty"], "busts": fill["fill_id"]}
        self._send(bust)
        if how == "twice":
            self._send(bust)
            self._agenda.after(60, partial(self._send, bust | {"fill_id": f"{name}-again"}))
        elif how == "corrected":
            shares = max(1.0, abs(fill["qty"]) // 2) * (1 if fill["qty"] > 0 else -1)
            right = fill | {
                "fill_id": f"{name}-right",
                "qty": shares,
                "price": round(fill["price"] * 0.99, 2),
            }
            self.corrected.append(right["fill_id"])
            self._send(right)

    def _send(self, fill: Event) -> None:
        self._put(Sent(self._agenda.now, FILLS, fill))
