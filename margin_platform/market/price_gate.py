"""The price gate: which prices may be acted upon, by instrument, from print to print (MARGIN_RULES 10).

A print is judged in `price_verdict`. Here are the prints set aside, the corporate actions that a price rests
on, and what was withdrawn. Missing and stale prices are held by the kernel's own marks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from margin_platform.contracts.messages import Event
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.market.price_basis import (
    Adjustment,
    Doubt,
    adjustments_of,
    doubts_of,
    off_basis,
    on_basis,
    spin_offs_of,
    unpaid,
)
from margin_platform.market.price_verdict import Suspect, Verdict, after_actions, is_older, judge
from margin_platform.market.prints import NO_SEQUENCE, Prints
from margin_platform.policy.sections import PricePolicy


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
        self._adjustments: dict[int, list[Adjustment]] = {}  # of dividends and splits in effect, by code
        self._doubts: dict[int, list[Doubt]] = {}  # about dividends in effect, by code
        self._spin_offs: dict[int, list[int]] = {}  # ex-dates of those in effect, by code
        self._sequence: dict[int, int | None] = {}  # code -> the source's sequence of the price in use

    def restated(self, code: int, event: Event) -> Event:
        """Return a print on today's basis: one of before an ex-date is less its dividend, divided by its
        ratio.
        """
        adjustments = self._adjustments.get(code)
        if not adjustments or event["timestamp"] >= adjustments[-1][0]:
            return event
        return event | {"price": on_basis(event["price"], event["timestamp"], adjustments)}

    def passes_over(self, code: int, event: Event, good_time: int) -> bool:
        """Report whether a print is older than the price in use, which then stands.

        A correction of one used before is still remembered.
        """
        older = is_older(event, good_time, self._sequence.get(code))
        if older and event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or event["timestamp"])
        return older

    def take(self, code: int, event: Event, good: float | None, good_time: int) -> float | None:
        """Return the price to value at after a print; None where the last good one stays."""
        if event.get("correction"):
            self.withdrawn[code] = int(event.get("corrects_timestamp") or good_time)
        if event.get("confirmed"):
            _keep(self._doubts, code, [doubt for doubt in self._doubts.get(code, ()) if not doubt.late])
        suspect, until = self.suspects.get(code), event["timestamp"]
        spun_off = any(good_time < at <= until for at in self._spin_offs.get(code, ()))
        not_paid = 0.0
        if suspect is not None and spun_off:
            suspect = replace(suspect, split=None)  # it was set aside before this was known
        adjustments = self._adjustments.get(code)
        if adjustments and good is not None and not spun_off and good_time < adjustments[-1][0]:
            large = self.policy.large_dividend
            not_paid = unpaid(good, good_time, until, adjustments, large, event["price"])
        verdict = judge(event, good, suspect, self.policy, spun_off=spun_off, not_paid=not_paid)
        price = self._settle(code, verdict)
        if price is not None:
            self._sequence[code] = event.get("sequence")
        return price

    def settled(self, codes: NDArray[np.int64], good_times: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Report where no print is set aside, and no dividend, split or spin-off lies behind the time of the
        price in use.
        """
        found = np.ones(len(codes), dtype=np.bool_)
        if self.suspects:
            found &= ~np.isin(codes, list(self.suspects))
        if self._adjustments or self._spin_offs:
            ends = {code: rows[-1][0] for code, rows in self._adjustments.items()}
            for code, days in self._spin_offs.items():
                ends[code] = max(ends.get(code, 0), *days)
            found &= good_times >= np.array([ends.get(code, 0) for code in codes.tolist()])
        return found

    def follow(self, newest: Prints) -> None:
        """Note the source's sequences of prints that are the prices in use now, one a symbol."""
        if self._sequence or newest.has_sequences:
            known = zip(newest.codes.tolist(), newest.sequences.tolist(), strict=True)
            self._sequence |= {code: None if n == NO_SEQUENCE else n for code, n in known}

    def sequence_of(self, code: int) -> int | None:
        """Return the source's sequence of the price in use, where it has one."""
        return self._sequence.get(code)

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
        aside = {code: suspect.reason for code, suspect in self.suspects.items()}
        return (
            aside
            | {code: doubts[0].reason for code, doubts in self._doubts.items() if doubts}
            | self.contested
        )

    def rebase(
        self, code: int, symbol: str, actions: Sequence[CorporateAction], good: float, good_time: int
    ) -> float | None:
        """Return the price to value at once these actions are in effect; None where there is none, or nothing
        changes. good: NaN where unknown.
        """
        before, found = self._adjustments.get(code, []), adjustments_of(actions)
        _keep(self._spin_offs, code, spin_offs_of(actions))
        doubts = [doubt for doubt in self._doubts.get(code, ()) if doubt.adjustment in found]
        known = {*before, *(doubt.adjustment for doubt in doubts)}
        if good == good:
            printed = off_basis(good, good_time, before)
            new = [a for a in found if a not in known]
            doubts += doubts_of(symbol, printed, good_time, found, new, self.policy.large_dividend)
        left_out = [doubt.adjustment for doubt in doubts if not doubt.late]
        after = [a for a in found if a not in left_out]
        _keep(self._adjustments, code, after)
        _keep(self._doubts, code, doubts)
        if good != good or before == after:
            return None
        price = self._settle(
            code, after_actions(symbol, good, good_time, self.suspects.get(code), before, after, self.policy)
        )
        return None if price == good else price

    def before_spin_off(self, price_times: np.ndarray) -> list[int]:
        """Return the codes whose price in use is of before a spin-off in effect: it still carries what was
        spun off.
        """
        return [code for code, days in self._spin_offs.items() if days and 0 < price_times[code] < max(days)]

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
            "adjustments": _named(self._adjustments, symbols),
            "doubts": {
                symbols[code]: [tuple(doubt) for doubt in doubts]
                for code, doubts in self._doubts.items()
                if doubts
            },
            "spin_offs": _named(self._spin_offs, symbols),
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
        self._adjustments = {
            code_of[symbol]: [(at, paid, ratio) for at, paid, ratio in rows]
            for symbol, rows in state.get("adjustments", of_before(state)).items()
            if symbol in code_of
        }
        self._doubts = {
            code_of[symbol]: [Doubt((at, paid, ratio), *rest) for (at, paid, ratio), *rest in rows]
            for symbol, rows in state.get("doubts", {}).items()
            if symbol in code_of
        }
        days = {s: [at for at, paid in rows if paid is None] for s, rows in state.get("payouts", {}).items()}
        self._spin_offs = {
            code_of[symbol]: found
            for symbol, found in state.get("spin_offs", days).items()
            if symbol in code_of
        }
        self._sequence = {
            code_of[symbol]: number
            for symbol, number in state.get("sequence", {}).items()
            if symbol in code_of
        }


def _keep(rows: dict[int, list[Any]], code: int, found: list[Any]) -> None:
    """Keep what was found of a code; where that is nothing, no entry stands for it."""
    if found:
        rows[code] = found
    else:
        rows.pop(code, None)


def _named(rows: Mapping[int, list[Any]], symbols: Sequence[str]) -> dict[str, list[Any]]:
    return {symbols[code]: found for code, found in rows.items() if found}


def of_before(state: Mapping[str, Any]) -> dict[str, list[Adjustment]]:
    """Return the adjustments of a state that kept splits and payouts apart."""
    found: dict[str, list[Adjustment]] = {}
    for symbol, rows in state.get("payouts", {}).items():
        found[symbol] = [(at, paid, 1.0) for at, paid in rows if paid is not None]
    for symbol, rows in state.get("splits", {}).items():
        found.setdefault(symbol, []).extend((at, 0.0, ratio) for at, ratio in rows)
    return {symbol: sorted(rows, key=lambda row: row[0]) for symbol, rows in found.items()}
