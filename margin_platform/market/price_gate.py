"""The price gate: whether a new price may be acted upon (MARGIN_RULES 10; the thresholds are policy.prices).

A price that jumps beyond `max_jump` is set aside until a second print confirms it. One shaped like a split,
or like another unit, is set aside until the corporate action arrives, the source confirms it or the old level
returns. Until then the last good price stands, marked as not to be enforced on. A correction from the source
replaces a price already used and names the print it withdraws. Missing and stale prices are held by the
kernel's own marks. Pure: a verdict follows from the prints and the policy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import isclose, log, prod
from typing import Any

from margin_platform.contracts.messages import Event
from margin_platform.market.payouts import Payout, between, of_unknown_value, without_dividends
from margin_platform.market.split_shape import HAIR, split_shape
from margin_platform.policy.sections import PricePolicy

Splits = Sequence[tuple[int, float]]  # epoch milliseconds from which a split counts, new shares for one old


@dataclass(frozen=True)
class Suspect:
    """A print set aside: its price in dollars, event time (epoch milliseconds) and source's sequence, why,
    and the split it looks like.
    """

    price: float
    timestamp: int
    reason: str
    split: str | None
    sequence: int | None = None
    expected: bool = False  # the price that a split calls for, which the next print near it confirms


@dataclass(frozen=True)
class Verdict:
    """price: the price to value at from now on (None: the last good one stays);
    suspect: what is set aside after this print.
    """

    price: float | None
    suspect: Suspect | None = None


def _is_older(event: Event, timestamp: int, sequence: int | None) -> bool:
    """Report whether a print is from before another: by event time, then by the source's sequence where both
    carry one.
    """
    mine = event.get("sequence")
    if event["timestamp"] != timestamp or mine is None or sequence is None:
        return bool(event["timestamp"] < timestamp)
    return bool(mine < sequence)


def judge(
    event: Event, good: float | None, suspect: Suspect | None, policy: PricePolicy, *, spun_off: bool = False
) -> Verdict:
    """Return the verdict on a prices.v1 event, given the last good price (None: none yet) and the print set
    aside before it.

    spun_off: a spin-off since the last good price explains a fall of any size, which is then no split's.
    `confirmed` and `correction` are optional marks of the source, which knows better than any threshold.
    """
    price = event["price"]
    if good is None or event.get("correction") or event.get("confirmed"):
        return Verdict(price)
    falls = spun_off and price < good
    late = suspect is not None and _is_older(event, suspect.timestamp, suspect.sequence)
    shape = None if falls else split_shape(good, price, policy.split_tolerance)
    jump = price / good - 1.0
    if (
        shape is None
        and abs(jump) <= policy.max_jump + HAIR
        and not _still_split(event, good, suspect, late=late)
    ):
        return Verdict(price, suspect if late else None)
    if suspect is not None and _agrees(event, suspect, shape, policy):
        return Verdict(price)
    if late or (suspect is not None and event["timestamp"] == suspect.timestamp and price == suspect.price):
        return Verdict(None, suspect)  # an older print, or the same one delivered twice, decides nothing
    if shape is None and suspect is not None and _is_near(event, suspect, policy):
        shape = suspect.split  # it has drifted since: the jump is still the split's
    awaited = (
        f"the shape of a {shape} split without its corporate action"
        if shape
        else "to be confirmed by a second print"
    )
    reason = f"implausible price of {event['symbol']}: {good:,.4f} -> {price:,.4f} ({jump:+.1%}), {awaited}"
    return Verdict(None, Suspect(price, event["timestamp"], reason, shape, event.get("sequence")))


def _agrees(event: Event, suspect: Suspect, shape: str | None, policy: PricePolicy) -> bool:
    """Report whether a later print confirms the one set aside.

    A jump in the shape of a split, or of another unit, is confirmed by no print.
    """
    if event["timestamp"] <= suspect.timestamp:
        return False
    if not suspect.expected and (shape is not None or suspect.split is not None):
        return False
    return _is_near(event, suspect, policy)


def _still_split(event: Event, good: float, suspect: Suspect | None, *, late: bool) -> bool:
    """Report whether a print within `max_jump` is one at the level of a split set aside, as after 3 for 2,
    rather than back at the good price.
    """
    if suspect is None or suspect.split is None or late:
        return False
    return abs(log(event["price"] / suspect.price)) < abs(log(event["price"] / good))


def _is_near(event: Event, suspect: Suspect, policy: PricePolicy) -> bool:
    return bool(abs(event["price"] / suspect.price - 1.0) <= policy.max_jump)


def ratio_since(splits: Splits, timestamp: int) -> float:
    """Return the new shares that one share of an event time has become."""
    return prod(ratio for effective, ratio in splits if timestamp < effective)


def after_splits(
    symbol: str,
    good: float,
    good_time: int,
    suspect: Suspect | None,
    before: Splits,
    after: Splits,
    policy: PricePolicy,
) -> Verdict:
    """Return the price once other splits are in effect than before: one more, one with other terms, one less.

    Times: epoch milliseconds.

    A split explains its own print. Without one, a price from before the split is divided, which keeps the
    value of holdings; a price from the day itself may be of either kind, so the next print decides.
    """
    change = ratio_since(after, 0) / ratio_since(before, 0)
    divided = good * ratio_since(before, good_time) / ratio_since(after, good_time)
    expected = good / change
    if suspect is not None and suspect.expected:  # no print: what the splits of before called for
        expected, suspect = suspect.price / change, None
    elif suspect is not None:
        restated = (
            suspect.price * ratio_since(before, suspect.timestamp) / ratio_since(after, suspect.timestamp)
        )
        if abs(restated / expected - 1.0) <= policy.max_jump:
            return Verdict(restated)
        suspect = replace(suspect, price=restated)
    if isclose(divided, expected):
        return Verdict(divided, suspect)
    reason = (
        f"split of {symbol} at {divided / expected:g} for 1 booked after a price of its day: the next print "
        "decides"
    )
    return Verdict(
        divided,
        Suspect(expected, max(good_time, suspect.timestamp if suspect else 0), reason, None, expected=True),
    )


class PriceGate:
    """The prints set aside, by instrument code, and what this batch's corrections withdrew.

    Durable through `to_state`.
    """

    def __init__(self, policy: PricePolicy) -> None:
        self.policy = policy
        self.suspects: dict[int, Suspect] = {}
        # code -> event time from which decisions rested on a withdrawn print
        self.withdrawn: dict[int, int] = {}
        # code -> why holdings are in doubt: announcements that contradict each other
        self.contested: dict[int, str] = {}
        self._splits: dict[int, Splits] = {}  # in effect, by code
        self._payouts: dict[int, list[Payout]] = {}  # of dividends and spin-offs in effect, by code
        self._sequence: dict[int, int | None] = {}  # code -> the source's sequence of the price in use

    def restated(self, code: int, event: Event) -> Event:
        """Return a print on today's share basis: one of before a split that is in effect is divided by its
        ratio."""
        ratio = ratio_since(self._splits.get(code, ()), event["timestamp"])
        return event if ratio == 1.0 else event | {"price": event["price"] / ratio}

    def passes_over(self, code: int, event: Event, good_time: int) -> bool:
        """Report whether a print is older than the price in use, which then stands.

        A correction of one used before is still remembered.
        """
        older = _is_older(event, good_time, self._sequence.get(code))
        if older and event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or event["timestamp"])
        return older

    def take(self, code: int, event: Event, good: float | None, good_time: int) -> float | None:
        """Return the price to value at after a print; None where the last good one stays."""
        if event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or good_time)
        paid = between(self._payouts.get(code, ()), good_time, event["timestamp"])
        suspect = self.suspects.get(code)
        if suspect is not None and paid:
            suspect = replace(suspect, split=None)  # it was set aside before this was known
        if good is not None and paid:  # by share of before: the good price is by share of now
            splits = self._splits.get(code, ())
            good = without_dividends(good, [(at, d and d / ratio_since(splits, at - 1)) for at, d in paid])
        verdict = judge(event, good, suspect, self.policy, spun_off=of_unknown_value(paid))
        price = self._settle(code, verdict)
        if price is not None:
            self._sequence[code] = event.get("sequence")
        return price

    def pays(self, code: int, payouts: list[Payout]) -> None:
        """Note the dividends and spin-offs in effect: a fall that they explain is no jump."""
        self._payouts[code] = payouts

    def newest(self, code: int) -> int:
        """Return the event time of the print set aside, epoch milliseconds; 0 where there is none."""
        suspect = self.suspects.get(code)
        return 0 if suspect is None else suspect.timestamp

    def forget_times(self, code: int) -> None:
        """Forget the order of a symbol's prints so far: their times were those of a clock that is ahead."""
        self.suspects.pop(code, None)
        self._sequence.pop(code, None)

    def reasons(self) -> dict[int, str]:
        """Explain why nothing is enforced on an instrument, by code: a print set aside, or holdings in
        doubt."""
        return {code: suspect.reason for code, suspect in self.suspects.items()} | self.contested

    def resplit(self, code: int, symbol: str, splits: Splits, good: float, good_time: int) -> float | None:
        """Return the price to value at once these splits are in effect; None where there is none, or nothing
        changes. good: NaN where unknown.
        """
        before, self._splits[code] = self._splits.get(code, ()), splits
        if good != good or sorted(before) == sorted(splits):
            return None
        return self._settle(
            code, after_splits(symbol, good, good_time, self.suspects.get(code), before, splits, self.policy)
        )

    def _settle(self, code: int, verdict: Verdict) -> float | None:
        if verdict.suspect is None:
            self.suspects.pop(code, None)
        else:
            self.suspects[code] = verdict.suspect
        return verdict.price

    def to_state(self, symbols: Sequence[str]) -> dict[str, object]:
        """Return the state, JSON-able, by symbol, so that reference data may grow."""
        return {
            "set_aside": {symbols[code]: asdict(suspect) for code, suspect in self.suspects.items()},
            "contested": {symbols[code]: reason for code, reason in self.contested.items()},
            "splits": {symbols[code]: rows for code, rows in self._splits.items()},
            "payouts": {symbols[code]: rows for code, rows in self._payouts.items() if rows},
            "sequence": {
                symbols[code]: number for code, number in self._sequence.items() if number is not None
            },
        }

    def restore(self, state: dict[str, Any], code_of: dict[str, int]) -> None:
        rows = state.get("set_aside", {}).items()
        self.suspects = {code_of[symbol]: Suspect(**row) for symbol, row in rows if symbol in code_of}
        self.contested = {
            code_of[symbol]: reason
            for symbol, reason in state.get("contested", {}).items()
            if symbol in code_of
        }
        splits, numbers = state.get("splits", {}).items(), state.get("sequence", {}).items()
        self._splits = {
            code_of[symbol]: [(at, ratio) for at, ratio in found]
            for symbol, found in splits
            if symbol in code_of
        }
        self._payouts = {
            code_of[symbol]: [(at, paid) for at, paid in found]
            for symbol, found in state.get("payouts", {}).items()
            if symbol in code_of
        }
        self._sequence = {code_of[symbol]: number for symbol, number in numbers if symbol in code_of}
