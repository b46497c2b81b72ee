"""The correction horizon: what is older is an opening position, and an id that old is refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument, Market
from margin_platform.ledger.corporate_actions import CorporateAction
from margin_platform.ledger.ledger import Ledger
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome
from tests.support.engine_feed import through_bytes
from tests.support.market_day import OPEN

POLICY = current_policy()
DAY = 86_400_000
HORIZON = POLICY.records.correction_days

TIME = st.integers(0, 9)
BOOKED = st.tuples(st.sampled_from("ab"), st.sampled_from("XY"), st.integers(-5, 9).filter(bool), TIME)
ACTION = st.tuples(st.sampled_from(("SPLIT", "DIVIDEND", "STOCK_MERGER")), st.sampled_from("XY"), TIME)


def act(kind: str, symbol: str, time: int, ratio: int) -> Event:
    terms: dict[str, Any] = {"DIVIDEND": {"amount": 0.37 * ratio}, "SPLIT": {"ratio": float(ratio)}}.get(
        kind, {}
    )
    if kind == "STOCK_MERGER":
        terms = {"new_symbol": "Y" if symbol == "X" else "X", "ratio_new": ratio, "ratio_old": 3}
    day = f"2020-03-{time + 1:02}"
    return {"action_id": f"{kind}{symbol}{day}", "symbol": symbol, "kind": kind, "ex_date": day, **terms}


def restated(ledger: Ledger, actions: list[tuple[str, str, int]], ratio: int) -> None:
    for symbol in "XY":
        found = [CorporateAction.of(act(*action, ratio)) for action in set(actions) if action[1] == symbol]
        ledger.restate(symbol, sorted(found, key=CorporateAction.order))


def held(ledger: Ledger) -> dict[str, Any]:
    return {a: (ledger.cash(a), ledger.positions(a)) for a in ledger.account_ids()}


def figures(ledger: Ledger) -> list[Any]:
    """The figures of all accounts at one market: with their requirement and stressed losses."""
    market = Market.of([Instrument("X", 100.0, 1.1), Instrument("Y", 50.0, 0.9)])
    margin = evaluate(ledger.book({"X": 0, "Y": 1}), market, POLICY)
    return [
        np.asarray(figure).tolist() for figure in (margin.equity, margin.requirement, margin.worst_stress)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(BOOKED, max_size=14),
    st.lists(BOOKED, max_size=6),
    st.lists(ACTION, max_size=4),
    st.integers(0, 11),
)
def test_folding_changes_no_position_no_cash_and_no_figure_nor_does_an_amended_action_after_it(
    before: list[Any], after: list[Any], actions: list[Any], until: int
) -> None:
    midnights = [CorporateAction.of(act("DIVIDEND", "X", day, 1)).effective for day in range(12)]
    kept, folded = Ledger(), Ledger()
    for n, (account, symbol, qty, day) in enumerate([*before, *after]):
        event = {"fill_id": str(n), "account_id": account, "symbol": symbol, "qty": qty, "price": 10.0}
        for ledger in (kept, folded):
            ledger.apply(FILLS, event | {"timestamp": midnights[day] + n % 3 - 1})
        if n == len(before) // 2:
            restated(kept, actions, 2)
            restated(folded, actions, 2)
        if n == len(before):
            folded.fold(midnights[until])
            folded = Ledger.from_state(through_bytes(folded.to_state()))
    assert held(folded) == held(kept)
    restated(kept, actions, 5)
    restated(folded, actions, 5)
    assert held(folded) == held(kept)
    folded.fold(midnights[11] + DAY)
    assert held(folded) == held(kept)
    assert figures(folded) == figures(kept)
    rows = len(folded.to_state()["fills"]["account"])  # type: ignore[index]
    assert rows <= 4 * (1 + len(actions))


class Days:
    """An engine fed a day at a time: a price, and what else is given; produced `late` after its own time."""

    def __init__(self, late: int = 0) -> None:
        self.engine, self.late = MarginEngine([Instrument(symbol="X")], POLICY), late
        self.records: list[Record] = []

    def __call__(self, day: int, *messages: tuple[str, Event]) -> Outcome:
        price = PRICES, {"symbol": "X", "price": 100.0}
        given = [
            Record(topic, 0, len(self.records) + n, None, encode({"timestamp": at} | event), at + self.late)
            for n, (topic, event) in enumerate((*messages, price))
            for at in (OPEN + day * DAY,)
        ]
        self.records += given
        return self.engine.process(given, len(self.records))


def fill(name: str, day: int) -> tuple[str, Event]:
    event = {"fill_id": name, "account_id": "a", "symbol": "X", "qty": 1, "price": 100.0}
    return FILLS, event | {"timestamp": OPEN + day * DAY}


def opened(late: int = 0) -> Days:
    days = Days(late)
    days(0, (ACCOUNTS, {"account_id": "a", "margin_type": "REG_T"}))
    return days


def test_after_the_horizon_state_stays_level_and_an_old_id_is_refused_by_name() -> None:
    days, sizes = opened(), []
    for day in range(1, 3 * HORIZON, 10):
        days(day, fill(f"f{day}", day), (CASH, {"transfer_id": f"t{day}", "account_id": "a", "amount": 9.0}))
        state = days.engine.ledger.to_state()
        sizes.append((len(state["fills"]["time"]), len(state["seen"])))  # type: ignore[index,arg-type]
    assert days.engine.ledger.positions("a") == {"X": float(len(sizes))}
    assert max(sizes[-40:]) <= max(sizes[-80:-40])
    assert sizes[-1][0] < len(sizes) / 2
    letters = days(
        3 * HORIZON, fill("f1", 1), fill("new", 2 * HORIZON - 1), fill("late", 2 * HORIZON + 1)
    ).dead
    assert [(d["field"], d["value"]) for d in letters] == [("fill_id", "f1"), ("fill_id", "new")]
    assert f"more than {HORIZON} days before it was produced" in letters[0]["reason"]
    assert days.engine.ledger.positions("a") == {"X": float(len(sizes) + 1)}


def test_a_rebuild_that_knows_the_newest_price_first_books_what_was_booked() -> None:
    days = opened()
    for day in range(1, 3 * HORIZON, 50):
        days(day, fill(f"f{day}", day), fill(f"f{day}", day))
    rebuilt = MarginEngine([Instrument(symbol="X")], POLICY)
    prices = [r for r in days.records if r.topic == PRICES]
    rebuilt.process(prices, 0)
    for n, record in enumerate(r for r in days.records if r.topic != PRICES):
        rebuilt.process([record], n + 1)
    assert held(rebuilt.ledger) == held(days.engine.ledger)


def test_a_replay_is_produced_years_after_its_time_and_is_taken_all_the_same() -> None:
    days = opened(late=5 * 365 * DAY)
    for day in range(1, HORIZON, 50):
        assert days(day, fill(f"f{day}", day)).dead == []


def test_a_corporate_action_of_a_day_before_the_horizon_is_refused_by_name() -> None:
    days = opened()
    days(2 * HORIZON)
    action = {"action_id": "old", "symbol": "X", "kind": "SPLIT", "ratio": 2.0, "ex_date": "2020-03-02"}
    (letter,) = days(2 * HORIZON + 1, (CORPORATE_ACTIONS, action)).dead
    assert (letter["field"], letter["value"]) == ("action_id", "old")


def test_a_state_of_before_the_horizon_is_read_and_its_ids_are_kept() -> None:
    days = opened()
    days(1, fill("f", 1))
    state = through_bytes(days.engine.to_state())
    del state["corrections"], state["clock_newest"], state["ledger"]["seen_spans"]
    days.engine = MarginEngine([Instrument(symbol="X")], POLICY)
    days.engine.restore(state)
    (letter,) = days(2, fill("f", 1)).dead
    assert letter["reason"] == "duplicate id"
