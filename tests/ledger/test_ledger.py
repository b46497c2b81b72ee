"""The ledger: applied once by id, whatever the order, crossing zero, state kept. Rules LDG."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform import durable_state
from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, BadEvent
from margin_platform.ledger.awaiting_ex_date import AnnouncedActions
from margin_platform.ledger.ledger import Ledger

DAY = 86_400_000
T0 = 1_780_000_000_000
CODES = {"X": 0, "Y": 1}


def fill(
    number: int, qty: float, price: float, symbol: str = "X", day: int = 0, fee: float = 0.0
) -> tuple[str, dict[str, Any]]:
    event = {
        "fill_id": f"f{number}",
        "account_id": "A",
        "symbol": symbol,
        "qty": qty,
        "price": price,
        "fee": fee,
    }
    return FILLS, event | {"timestamp": T0 + day * DAY}


def cash(number: int, amount: float) -> tuple[str, dict[str, Any]]:
    return CASH, {"transfer_id": f"t{number}", "account_id": "A", "amount": amount, "timestamp": T0}


ON_X = {"symbol": "X", "timestamp": T0}
SPLIT = (
    CORPORATE_ACTIONS,
    ON_X | {"action_id": "s", "kind": "SPLIT", "ratio": 1.5, "ex_date": "2026-06-05", "post_price": 80.0},
)
DIVIDEND = (
    CORPORATE_ACTIONS,
    ON_X | {"action_id": "d", "kind": "DIVIDEND", "amount": 0.5, "ex_date": "2026-06-03"},
)
TRADES = st.lists(
    st.tuples(st.sampled_from(["X", "Y"]), st.integers(-300, 300).filter(bool), st.integers(1, 9_999)),
    max_size=12,
)


def book(ledger: Ledger, actions: AnnouncedActions, topic: str, event: dict[str, Any]) -> list[str]:
    """Apply an event as the engine does, on a day when every action is in effect."""
    if topic != CORPORATE_ACTIONS:
        return ledger.apply(topic, event)
    actions.add(event)
    return [
        account
        for symbol in actions.due(T0 + 90 * DAY)
        for account in ledger.restate(symbol, actions.in_effect(symbol))
    ]


def holding(events: Any) -> Ledger:
    ledger, actions = Ledger(), AnnouncedActions()
    for topic, event in events:
        book(ledger, actions, topic, event)
    return ledger


def test_the_net_money_of_every_event_is_whole_cents() -> None:
    """As on a confirmation: 3 x 10.0015 and a fee of 0.002 are 30.01;
    a half cent rounds away from zero, both ways.
    """
    for events, balance in (
        ([fill(1, 3, 10.0015, fee=0.002)], -30.01),
        ([fill(1, 1, 0.005)], -0.01),
        ([fill(1, -1, 0.005)], 0.01),
        ([fill(1, 1, 0.0049)], 0.0),
        ([cash(1, 1.005)], 1.01),
        ([fill(n, 1, 10.004) for n in range(3)], -30.0),
        ([fill(1, 33, 1.0), (DIVIDEND[0], DIVIDEND[1] | {"amount": 0.0123})], -32.59),
        ([fill(1, 1, 1.0), (SPLIT[0], SPLIT[1] | {"post_price": 3.333})], 0.67),
    ):
        assert holding(events).cash("A") == balance, events


def test_ldg_005_a_second_delivery_changes_nothing() -> None:
    events = [cash(1, 1000.0), fill(1, 10, 50.0), SPLIT, DIVIDEND]
    ledger, actions = Ledger(), AnnouncedActions()
    for topic, event in events:
        book(ledger, actions, topic, event)
    before = durable_state.dump(ledger.to_state())
    assert [book(ledger, actions, *e) for e in events] == [[], [], [], []]
    assert durable_state.dump(ledger.to_state()) == before


def test_ldg_005_every_order_of_arrival_ends_in_the_same_state() -> None:
    """A fill that arrives after the split of a later day, a dividend before its fills:
    event time decides, not arrival.
    """
    events = [fill(1, 7, 33.33), fill(2, -20, 40.01, day=3), SPLIT, DIVIDEND, cash(1, 500.0)]
    ends = set()
    for order in itertools.permutations(events):
        ledger = holding(order)
        ends.add((ledger.cash("A"), tuple(sorted(ledger.positions("A").items()))))
    assert len(ends) == 1


def bust(number: int, of: tuple[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    fill_id, qty, fee = of[1]["fill_id"], -of[1]["qty"], -of[1]["fee"]
    return FILLS, of[1] | {"fill_id": f"b{number}", "busts": fill_id, "qty": qty, "fee": fee}


def test_a_busted_fill_is_as_if_it_had_never_been_whatever_arrives_first() -> None:
    """Over a split and a dividend, and by two busts of it; of a liquidation as of a customer."""
    kept, busted = fill(1, 7, 33.33), (FILLS, fill(2, -20.5, 40.01, fee=0.07)[1] | {"order_id": "o1"})
    events = [kept, busted, bust(3, busted), bust(4, busted), SPLIT, DIVIDEND]
    expected = holding([kept, SPLIT, DIVIDEND])
    for order in itertools.permutations(events):
        ledger = holding(order)
        assert (ledger.cash("A"), ledger.positions("A")) == (expected.cash("A"), expected.positions("A"))


def test_another_bust_of_a_fill_is_refused_by_name_and_an_order_stays_executed() -> None:
    busted = (FILLS, fill(1, -20, 40.0)[1] | {"order_id": "o1"})
    ledger = holding([busted, bust(2, busted)])
    with pytest.raises(BadEvent, match="busts"):
        ledger.apply(FILLS, bust(3, busted)[1] | {"qty": 19.0})
    assert ledger.positions("A") == {}
    assert ledger.orders_filled("A") == {"o1": {"X": -20.0}}


def test_ldg_002_a_sale_larger_than_the_long_crosses_zero_into_a_short() -> None:
    ledger = holding([fill(1, 100, 10.0), fill(2, -150, 12.0, fee=1.0)])
    assert ledger.positions("A") == {"X": -50.0}
    assert ledger.cash("A") == -1000.0 + 1800.0 - 1.0


def test_ldg_003_a_short_pays_the_dividend_of_its_ex_date() -> None:
    assert holding([fill(1, -100, 10.0), DIVIDEND]).cash("A") == 1000.0 - 50.0


def test_ldg_003_a_position_opened_on_the_ex_date_gets_no_dividend() -> None:
    assert holding([fill(1, 100, 10.0, day=20), DIVIDEND]).cash("A") == -1000.0


def test_an_account_and_a_symbol_nobody_announced_are_refused_by_name() -> None:
    ledger = Ledger({"X"}, require_account=True)
    with pytest.raises(BadEvent, match="account_id: unknown account, value 'A'"):
        ledger.apply(*fill(1, 1, 1.0))
    ledger.apply(ACCOUNTS, {"account_id": "A", "margin_type": "REG_T", "timestamp": T0})
    with pytest.raises(BadEvent, match="symbol: unknown symbol, value 'Y'"):
        ledger.apply(*fill(2, 1, 1.0, symbol="Y"))


def test_a_refused_fill_leaves_its_id_free_for_the_corrected_one() -> None:
    ledger = Ledger({"X"})
    with pytest.raises(BadEvent):
        ledger.apply(*fill(1, 1, 1.0, symbol="Y"))
    assert ledger.apply(*fill(1, 1, 1.0)) == ["A"]


def test_account_terms_follow_event_time_not_arrival() -> None:
    ledger = Ledger()
    for at, kind in ((T0 + 5, "PORTFOLIO"), (T0, "REG_T")):
        ledger.apply(ACCOUNTS, {"account_id": "A", "margin_type": kind, "timestamp": at})
    assert ledger.margin_type("A") == 1


@settings(max_examples=60, deadline=None)
@given(TRADES, st.randoms())
def test_the_book_kept_current_in_place_equals_one_built_anew_after_a_restart(
    fills: list[tuple[str, int, int]], random: Any
) -> None:
    """LDG-005: the stream's columns after each event, and a ledger restored from its saved state,
    show the same account.
    """
    ledger = Ledger()
    ledger.apply(*cash(0, 100.0))
    messages = [fill(n, qty, cents / 100, symbol) for n, (symbol, qty, cents) in enumerate(fills)]
    random.shuffle(messages)
    for topic, event in messages:
        ledger.apply(topic, event)
        kept = ledger.book(CODES)
        restored = Ledger.from_state(durable_state.parse(b"".join(durable_state.dump(ledger.to_state()))))
        anew = restored.book(CODES)
        assert (kept.cash == anew.cash).all()
        assert kept.symbol.tolist() == anew.symbol.tolist()
        assert kept.quantity.tolist() == anew.quantity.tolist()
        assert restored.apply(topic, event) == []


@given(TRADES, TRADES)
def test_a_ledger_that_goes_on_from_a_state_changes_nothing_of_it(
    before: list[tuple[str, int, int]], after: list[tuple[str, int, int]]
) -> None:
    """Its columns lie in the state, in a file's bytes or another ledger's memory."""
    first = holding(fill(n, qty, cents / 100, symbol) for n, (symbol, qty, cents) in enumerate(before))
    raw = bytearray().join(durable_state.dump(first.to_state()))
    as_read = bytes(raw)
    for state in (durable_state.parse(raw), durable_state.parse(as_read), first.to_state()):
        ledger = Ledger.from_state(state)
        for n, (symbol, qty, cents) in enumerate(after, len(before)):
            assert ledger.apply(*fill(n, qty, cents / 100, symbol)) == ["A"]
        ledger.fold(1 << 60)
        assert raw == as_read == b"".join(durable_state.dump(first.to_state()))


def test_each_column_of_a_state_can_be_used_where_it_lies() -> None:
    parts = {"a": np.arange(3, dtype=np.int8), "b": {"c": np.arange(5), "d": np.zeros(0)}, "e": np.arange(1)}
    raw = bytearray().join(durable_state.dump(parts))
    again = durable_state.parse(raw)
    columns = [again["a"], again["b"]["c"], again["b"]["d"], again["e"]]
    assert [column.tolist() for column in columns] == [[0, 1, 2], [0, 1, 2, 3, 4], [], [0]]
    assert all(column.flags.aligned for column in columns)
    again["b"]["c"][0] = 7
    assert durable_state.parse(bytes(raw))["b"]["c"][0] == 7


def test_a_traded_instrument_that_is_gone_from_the_reference_data_is_named() -> None:
    state = holding([fill(1, 10, 50.0)]).to_state()
    with pytest.raises(
        ValueError, match="instruments: 'X' was traded by accounts and is gone from the reference data"
    ):
        Ledger.from_state(state, {"Y"})
