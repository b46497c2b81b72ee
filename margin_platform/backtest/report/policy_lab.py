"""Policy lab: policies side by side over the same history, and over the live book before one is activated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from margin_platform.backtest.report.run_result import RunResult
from margin_platform.kernel.book import Book
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Market
from margin_platform.ladder.state import DecisionKind
from margin_platform.money import cents, cents_or_none
from margin_platform.policy.policy import Policy
from margin_platform.snapshots.bands import band_codes, band_name


def compare(results: Sequence[RunResult]) -> list[dict[str, object]]:
    """Compare every later policy with the first: who is called that was not, the reverse, and the firm loss
    avoided per extra call.
    """
    return [_pair(results[0], other) for other in results[1:]]


def _pair(first: RunResult, second: RunResult) -> dict[str, object]:
    before, after = _called(first), _called(second)
    calls = [
        sum(r.action == DecisionKind.CALL for r in result.record.decisions) for result in (first, second)
    ]
    losses = [float(np.maximum(0.0, -np.nan_to_num(result.final_equity)).sum()) for result in (first, second)]
    extra, avoided = calls[1] - calls[0], losses[0] - losses[1]
    return {
        "first": first.label,
        "second": second.label,
        "called_only_by_second": sorted(after - before),
        "called_only_by_first": sorted(before - after),
        "extra_calls": extra,
        "loss_avoided": cents(avoided),
        "loss_avoided_per_extra_call": cents(avoided / extra) if extra > 0 else None,
    }


def _called(result: RunResult) -> set[str]:
    return {r.account_id for r in result.record.decisions if r.action == DecisionKind.CALL}


class BandChange(NamedTuple):
    """An account whose band a proposed policy changes. excess, proposed_excess: dollars, None where stale."""

    account_id: str
    band: str
    proposed_band: str
    excess: float | None
    proposed_excess: float | None


def band_changes(book: Book, market: Market, now: Policy, proposed: Policy) -> list[BandChange]:
    """Return the accounts whose band differs under a proposed policy, the largest new deficiency first."""
    margins = [evaluate(book, market, policy) for policy in (now, proposed)]
    excess = [margin.published.excess for margin in margins]
    codes = [band_codes(margin) for margin in margins]
    changes = [
        BandChange(
            book.account_ids[n],
            band_name(int(codes[0][n])),
            band_name(int(codes[1][n])),
            cents_or_none(float(excess[0][n])),
            cents_or_none(float(excess[1][n])),
        )
        for n in np.flatnonzero(codes[0] != codes[1]).tolist()
    ]
    return sorted(changes, key=lambda c: (c.proposed_excess is None, c.proposed_excess or 0.0, c.account_id))


def totals(changes: Sequence[BandChange]) -> dict[str, float]:
    """Return what the changes come to: accounts that would be called or no longer be, and their dollars."""
    known = [
        (c.excess, c.proposed_excess)
        for c in changes
        if c.excess is not None and c.proposed_excess is not None
    ]
    called = [-after for before, after in known if after < 0 <= before]
    released = [-before for before, after in known if before < 0 <= after]
    larger = [before - after for before, after in known if after < before < 0]
    return {
        "new_calls": len(called),
        "new_calls_amount": cents(sum(called)),
        "ended_calls": len(released),
        "ended_calls_amount": cents(sum(released)),
        "larger_calls": len(larger),
        "larger_calls_amount": cents(sum(larger)),
    }
