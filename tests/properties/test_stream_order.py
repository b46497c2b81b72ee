"""Whatever order the same events arrive in, over whichever partitions and batches,
the book and the margin are the same.
"""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.evaluate import evaluate
from margin_platform.kernel.market import Instrument
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.events import calc_events
from margin_platform.snapshots.giving_out.inputs import Inputs
from tests.support.engine_feed import Message, through_bytes
from tests.support.market_day import OPEN

POLICY = current_policy()
INSTRUMENTS = [Instrument(symbol="X", beta=1.2), Instrument(symbol="Y", beta=0.7)]
MONDAY = OPEN + 3 * 86_400_000
ACCOUNT_IDS = ("a", "b")
SPLIT = (
    CORPORATE_ACTIONS,
    {
        "action_id": "s",
        "symbol": "X",
        "kind": "SPLIT",
        "ratio": 2.0,
        "ex_date": "2020-02-24",
        "timestamp": OPEN + 1,
    },
)
DIVIDEND = (
    CORPORATE_ACTIONS,
    {
        "action_id": "d",
        "symbol": "Y",
        "kind": "DIVIDEND",
        "amount": 0.5,
        "ex_date": "2020-02-24",
        "timestamp": OPEN + 1,
    },
)

MOMENTS = st.one_of(st.integers(OPEN + 2, OPEN + 20), st.integers(MONDAY, MONDAY + 20))
SHARES = st.integers(-300, 300).filter(bool)
FILL = st.tuples(
    st.sampled_from(ACCOUNT_IDS), st.sampled_from("XY"), SHARES, st.integers(4_000, 6_000), MOMENTS
)
DEPOSIT = st.tuples(st.sampled_from(ACCOUNT_IDS), st.integers(-100_000, 900_000).filter(bool), MOMENTS)
PRINT = st.tuples(st.sampled_from("XY"), st.integers(9_000, 11_000), MOMENTS)


def _price(symbol: str, cents: int, at: int) -> float:
    """As traded: X at half from its ex-date on; moves stay within what the price gate takes at once."""
    return cents / 100 / (2 if symbol == "X" and at >= MONDAY else 1)


def _events(fills: list[Any], deposits: list[Any], prints: list[Any]) -> list[Message]:
    found: list[Message] = [
        (ACCOUNTS, {"account_id": a, "margin_type": "REG_T", "timestamp": OPEN}) for a in ACCOUNT_IDS
    ]
    found += [
        (
            FILLS,
            {"fill_id": f"f{n}", "account_id": a, "symbol": s, "qty": q, "price": c / 100, "timestamp": t},
        )
        for n, (a, s, q, c, t) in enumerate(fills)
    ]
    found += [
        (CASH, {"transfer_id": f"t{n}", "account_id": a, "amount": cents / 100, "timestamp": t})
        for n, (a, cents, t) in enumerate(deposits)
    ]
    found += [
        (PRICES, {"symbol": s, "price": _price(s, c, t), "timestamp": t, "sequence": n})
        for n, (s, c, t) in enumerate(prints)
    ]
    found += [
        (PRICES, {"symbol": s, "price": _price(s, 10_000, OPEN), "timestamp": OPEN + 1, "sequence": 0})
        for s in "XY"
    ]
    return found


def _run(events: list[Message], order: random.Random | None) -> MarginEngine:
    """In the order given as one batch, or shuffled over partitions and batches,
    with repeats and a restart among them.
    """
    engine = MarginEngine(INSTRUMENTS, POLICY)
    messages = list(events)
    if order is not None:
        messages += order.sample(messages, k=min(5, len(messages)))
        order.shuffle(messages)
    ends: dict[tuple[str, int], int] = {}
    batches: list[list[Record]] = [[]]
    # announced before their day, as exchanges do; the rest in any order
    for topic, event in [SPLIT, DIVIDEND, *messages]:
        partition = 0 if order is None or topic == CORPORATE_ACTIONS else order.randrange(3)
        offset = ends[topic, partition] = ends.get((topic, partition), -1) + 1
        batches[-1].append(Record(topic, partition, offset, None, encode(event), MONDAY + 1000))
        if order is not None and order.random() < 0.3:
            batches.append([])
    for number, batch in enumerate(batches):
        if order is not None and number == len(batches) // 2:
            saved, engine = through_bytes(engine.to_state()), MarginEngine(INSTRUMENTS, POLICY)
            engine.restore(saved)
        engine.process(batch, number)
    return engine


def _seen(engine: MarginEngine) -> dict[str, Any]:
    """Everything that can be said of both accounts: cash, shares, prices and every figure of the kernel."""
    book = engine.ledger.book(engine.code_of)
    events = calc_events(
        book, engine.market, evaluate(book, engine.market, POLICY), Inputs(0, 0, {}, engine.live.price_time)
    )
    found: dict[str, Any] = {"price": engine.market.price.tolist(), "stale": engine.market.stale.tolist()}
    for event in events:
        found[event["account_id"]] = event | {"shares": engine.ledger.positions(event["account_id"])}
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.lists(FILL, max_size=12),
    st.lists(DEPOSIT, max_size=4),
    st.lists(PRINT, max_size=12),
    st.randoms(use_true_random=False),
)
def test_any_order_over_partitions_and_batches_gives_the_same_book_and_margin(
    fills: list[Any], deposits: list[Any], prints: list[Any], order: random.Random
) -> None:
    events = _events(fills, deposits, prints)
    in_time = sorted(events, key=lambda message: message[1]["timestamp"])
    assert _seen(_run(events, order)) == _seen(_run(in_time, None))
