"""The verdict on a print: whether a new price may be acted upon (the thresholds are policy.prices).

A price that jumps beyond `max_jump` is set aside until a second print confirms it. One shaped like a split,
or like another unit, is set aside until the corporate action arrives, the source confirms it or the old level
returns. So is one that a large dividend has not left. Until then the last good price stands, marked as not to
be enforced on. A correction from the source replaces a price already used and names the print it withdraws.
Pure: a verdict follows from the prints, the actions and the policy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isclose, log

from margin_platform.contracts.messages import Event
from margin_platform.market.price_basis import Adjustment, off_basis, on_basis, ratio_since, unpaid
from margin_platform.market.split_shape import HAIR, split_shape
from margin_platform.policy.sections import PricePolicy


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


def is_older(event: Event, timestamp: int, sequence: int | None) -> bool:
    """Report whether a print is from before another: by event time, then by the source's sequence where both
    carry one.
    """
    mine = event.get("sequence")
    if event["timestamp"] != timestamp or mine is None or sequence is None:
        return bool(event["timestamp"] < timestamp)
    return bool(mine < sequence)


def judge(
    event: Event,
    good: float | None,
    suspect: Suspect | None,
    policy: PricePolicy,
    *,
    spun_off: bool = False,
    not_paid: float = 0.0,
) -> Verdict:
    """Return the verdict on a prices.v1 event, given the last good price (None: none yet) and the print set
    aside before it.

    spun_off: a spin-off since the last good price explains a fall of any size, which is then no split's.
    not_paid: dollars of announced dividends that the print does not bear out. `confirmed` and `correction`
    are optional marks of the source, which knows better than any threshold.
    """
    price = event["price"]
    if good is None or event.get("correction") or event.get("confirmed"):
        return Verdict(price)
    falls = spun_off and price < good
    late = suspect is not None and is_older(event, suspect.timestamp, suspect.sequence)
    if not_paid:
        return Verdict(None, suspect if late else _without_its_dividend(event, good, not_paid))
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


def _without_its_dividend(event: Event, good: float, not_paid: float) -> Suspect:
    reason = (
        f"implausible price of {event['symbol']}: {good + not_paid:,.4f} -> {event['price']:,.4f}, its "
        f"dividend of {not_paid:,.4f} a share has not left the price: amend it, or confirm the print"
    )
    return Suspect(event["price"], event["timestamp"], reason, None, event.get("sequence"))


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


def after_actions(
    symbol: str,
    good: float,
    good_time: int,
    suspect: Suspect | None,
    before: Sequence[Adjustment],
    after: Sequence[Adjustment],
    policy: PricePolicy,
) -> Verdict:
    """Return the price once other dividends and splits are in effect than before: one more, one with other
    terms, one less.

    Times: epoch milliseconds.

    An action explains its own print. Without one, a price from before it is put on the new basis, which keeps
    the value of holdings; a price from the day of a split may be of either kind, so the next print decides.
    """

    def rebased(price: float, since: int) -> float:
        return on_basis(off_basis(price, since, before), since, after)

    change = ratio_since(after, 0) / ratio_since(before, 0)
    divided = rebased(good, good_time)
    expected = divided * ratio_since(after, good_time) / ratio_since(before, good_time) / change
    if suspect is not None and suspect.expected:  # no print: what the splits of before called for
        expected, suspect = suspect.price / change, None
    elif suspect is not None:
        moved = rebased(suspect.price, suspect.timestamp)
        large = policy.large_dividend
        explained = abs(moved / expected - 1.0) <= policy.max_jump
        if explained and not unpaid(divided, good_time, suspect.timestamp, after, large, moved):
            return Verdict(moved)
        suspect = replace(suspect, price=moved)
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
