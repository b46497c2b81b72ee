"""The price gate: whether a new price may be acted upon (MARGIN_RULES 10; the thresholds are policy.prices).

A price that jumps beyond `max_jump` is set aside until a second print confirms it, and one shaped like a split until the
corporate action arrives, the source confirms it, or a print leaves the shape. Until then the last good price stands, marked
as not to be enforced on. A correction from the source replaces a price already used and names the print it withdraws.
Missing and stale prices are held by the kernel's own marks. Pure: a verdict follows from the prints and the policy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from margin_platform.contracts.messages import Event
from margin_platform.market.split_shape import HAIR, split_shape
from margin_platform.policy.sections import PricePolicy


@dataclass(frozen=True)
class Suspect:
    """A print set aside: its price in dollars, event time (epoch milliseconds) and source's sequence, why, and the split it looks like."""

    price: float
    timestamp: int
    reason: str
    split: str | None
    sequence: int | None = None


@dataclass(frozen=True)
class Verdict:
    """price: the price to value at from now on (None: the last good one stays); suspect: what is set aside after this print."""

    price: float | None
    suspect: Suspect | None = None


def _is_older(event: Event, timestamp: int, sequence: int | None) -> bool:
    """Whether a print is from before another: by event time, then by the source's sequence where both carry one."""
    mine = event.get("sequence")
    if event["timestamp"] != timestamp or mine is None or sequence is None:
        return bool(event["timestamp"] < timestamp)
    return bool(mine < sequence)


def judge(event: Event, good: float | None, suspect: Suspect | None, policy: PricePolicy) -> Verdict:
    """The verdict on a prices.v1 event, given the last good price (None: none yet) and the print set aside before it.

    `confirmed` and `correction` are optional marks of the source, which knows better than any threshold.
    """
    price = event["price"]
    if good is None or event.get("correction") or event.get("confirmed"):
        return Verdict(price)
    late = suspect is not None and _is_older(event, suspect.timestamp, suspect.sequence)
    shape = split_shape(good, price, policy.split_tolerance)
    jump = price / good - 1.0
    if shape is None and abs(jump) <= policy.max_jump + HAIR:
        return Verdict(price, suspect if late else None)
    if suspect is not None and _agrees(event, suspect, shape, policy):
        return Verdict(price)
    if late or (suspect is not None and event["timestamp"] == suspect.timestamp and price == suspect.price):
        return Verdict(None, suspect)   # an older print, or the same one delivered twice, decides nothing
    awaited = f"the shape of a {shape} split without its corporate action" if shape else "to be confirmed by a second print"
    reason = f"implausible price of {event['symbol']}: {good:,.4f} -> {price:,.4f} ({jump:+.1%}), {awaited}"
    return Verdict(None, Suspect(price, event["timestamp"], reason, shape, event.get("sequence")))


def _agrees(event: Event, suspect: Suspect, shape: str | None, policy: PricePolicy) -> bool:
    """Whether a later print confirms the one set aside. Prints that all look like one split confirm only that something split."""
    if event["timestamp"] <= suspect.timestamp or (shape is not None and suspect.split is not None):
        return False
    return abs(event["price"] / suspect.price - 1.0) <= policy.max_jump


def after_split(good: float, good_time: int, suspect: Suspect | None, action: Event, effective: int, policy: PricePolicy) -> Verdict:
    """The price once a split's corporate action is known. effective, good_time: epoch milliseconds; ratio: new shares for one old.

    The split explains its own print. Without one, a price from before the split is divided, which keeps the value of holdings;
    a price from the day itself may be of either kind, so the next print decides.
    """
    divided = good / action["ratio"]
    if suspect is not None and abs(suspect.price / divided - 1.0) <= policy.max_jump:
        return Verdict(suspect.price)
    if good_time < effective:
        return Verdict(divided, suspect)
    reason = f"split of {action['symbol']} at {action['ratio']:g} for 1 booked after a price of its day: the next print decides"
    return Verdict(None, Suspect(divided, max(good_time, suspect.timestamp if suspect else 0), reason, None))


class PriceGate:
    """The prints set aside, by instrument code, and what this batch's corrections withdrew. Durable through `to_state`."""

    def __init__(self, policy: PricePolicy) -> None:
        self.policy = policy
        self.suspects: dict[int, Suspect] = {}
        self.withdrawn: dict[int, int] = {}   # code -> event time from which decisions rested on a withdrawn print
        self._booked: dict[str, None] = {}    # ids of splits taken into account
        self._splits: dict[int, list[tuple[int, float]]] = {}   # code -> (epoch milliseconds, new shares for one old) in effect
        self._sequence: dict[int, int | None] = {}   # code -> the source's sequence of the price in use

    def restated(self, code: int, event: Event) -> Event:
        """A print on today's share basis: one of before a split that is in effect is divided by its ratio."""
        after = [ratio for effective, ratio in self._splits.get(code, ()) if event["timestamp"] < effective]
        return event | {"price": event["price"] / prod(after)} if after else event

    def passes_over(self, code: int, event: Event, good_time: int) -> bool:
        """Whether a print is older than the price in use, which then stands. A correction of one used before is remembered all the same."""
        older = _is_older(event, good_time, self._sequence.get(code))
        if older and event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or event["timestamp"])
        return older

    def take(self, code: int, event: Event, good: float | None, good_time: int) -> float | None:
        """The price to value at after a print; None where the last good one stays."""
        if event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or good_time)
        price = self._settle(code, judge(event, good, self.suspects.get(code), self.policy))
        if price is not None:
            self._sequence[code] = event.get("sequence")
        return price

    def is_new(self, code: int, action: Event, effective: int) -> bool:
        """Whether a split has not been taken into account yet; says yes once. effective: epoch milliseconds."""
        if action["action_id"] in self._booked:
            return False
        self._booked[action["action_id"]] = None
        self._splits.setdefault(code, []).append((effective, action["ratio"]))
        return True

    def reasons(self) -> dict[int, str]:
        """Why each print set aside is not acted upon, by instrument code."""
        return {code: suspect.reason for code, suspect in self.suspects.items()}

    def split(self, code: int, action: Event, effective: int, good: float, good_time: int) -> float | None:
        """The price to value at after a split was booked; None where the last good one stays."""
        return self._settle(code, after_split(good, good_time, self.suspects.get(code), action, effective, self.policy))

    def _settle(self, code: int, verdict: Verdict) -> float | None:
        if verdict.suspect is None:
            self.suspects.pop(code, None)
        else:
            self.suspects[code] = verdict.suspect
        return verdict.price

    def to_state(self, symbols: Sequence[str]) -> dict[str, Any]:
        """JSON-able, by symbol, so that reference data may grow."""
        return {
            "set_aside": {symbols[code]: asdict(suspect) for code, suspect in self.suspects.items()}, "booked": list(self._booked),
            "splits": {symbols[code]: rows for code, rows in self._splits.items()},
            "sequence": {symbols[code]: number for code, number in self._sequence.items() if number is not None},
        }

    def restore(self, state: dict[str, Any], code_of: dict[str, int]) -> None:
        rows = state.get("set_aside", {}).items()
        self.suspects = {code_of[symbol]: Suspect(**row) for symbol, row in rows if symbol in code_of}
        self._booked = dict.fromkeys(state.get("booked", ()))
        splits, numbers = state.get("splits", {}).items(), state.get("sequence", {}).items()
        self._splits = {code_of[symbol]: [(at, ratio) for at, ratio in found] for symbol, found in splits if symbol in code_of}
        self._sequence = {code_of[symbol]: number for symbol, number in numbers if symbol in code_of}
