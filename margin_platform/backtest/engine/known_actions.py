"""Corporate actions of a run: what was announced in the end, and at which bars holdings rested on other
terms.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from margin_platform.backtest.engine.market_path import SplitRow
from margin_platform.contracts.action_terms import ActionKind
from margin_platform.contracts.messages import CORPORATE_ACTIONS, BadEvent, Event
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.market.split_shape import split_terms
from margin_platform.policy.sections import PricePolicy


def announced(events: Iterable[tuple[str, Event]]) -> AnnouncedActions:
    """Return everything these events announce.

    What contradicts another is left out, as live, where it is a dead letter.
    """
    known = AnnouncedActions()
    for topic, event in events:
        if topic == CORPORATE_ACTIONS:
            with contextlib.suppress(BadEvent):
                known.add(event)
    return known


def in_doubt(
    events: Sequence[tuple[str, Event]], symbols: Sequence[str], times: NDArray[np.int64], rules: PricePolicy
) -> NDArray[np.bool_]:
    """Return (bars, symbols): where the actions known at a bar are not those that turned out to hold, or
    contradict each other.

    Live, the price gate sets such a price aside: holders are held until the action is announced, or its terms
    are amended.
    """
    doubt = np.zeros((len(times), len(symbols)), dtype=np.bool_)
    actions = sorted(
        (event for topic, event in events if topic == CORPORATE_ACTIONS), key=lambda event: event["timestamp"]
    )
    final, known, at = announced(events), AnnouncedActions(), 0
    concerned = [(column, symbol) for column, symbol in enumerate(symbols) if symbol in set(final.symbols())]
    for bar, time in enumerate(times.tolist() if concerned else ()):
        while at < len(actions) and actions[at]["timestamp"] <= time:
            with contextlib.suppress(BadEvent):
                known.add(actions[at])
            at += 1
        for column, symbol in concerned:
            amended = [a.terms() for a in known.actions(symbol, time)] != [
                a.terms() for a in final.actions(symbol, time)
            ]
            # not known yet at all: the move itself is what was seen
            late = amended and not known.actions(symbol, time)
            aside = late and any(_set_aside(action, rules) for action in final.actions(symbol, time))
            doubt[bar, column] = (amended and not late) or aside or known.contested(symbol, time) is not None
    return doubt


def _set_aside(action: CorporateAction, rules: PricePolicy) -> bool:
    """Report whether the price gate takes no price across an action that it does not know: the move is a
    split's, or too large.
    """
    move = float(1 / action.ratio) if action.kind == ActionKind.SPLIT else 1.0
    return abs(move - 1.0) > rules.max_jump or split_terms(1.0, move, rules.split_tolerance) is not None


def splits_known(known: AnnouncedActions, symbols: Sequence[str], booked: Collection[str]) -> list[SplitRow]:
    """Return the splits in effect, as far as they were announced,
    without those the book rests on already (ids).
    """
    return [
        (action.effective, code, float(action.ratio))
        for code, symbol in enumerate(symbols)
        for action in known.in_effect(symbol)
        if action.kind == ActionKind.SPLIT and action.action_id not in booked
    ]
