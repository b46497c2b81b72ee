"""The price gate: what is set aside, what confirms it, and what holders see of it through the margin
engine. Rules: LAD.
"""

from __future__ import annotations

from typing import Any

import pytest

from margin_platform import durable_state
from margin_platform.contracts.messages import ACCOUNTS, CASH, CORPORATE_ACTIONS, FILLS, PRICES, Event, encode
from margin_platform.contracts.offsets import Record
from margin_platform.kernel.market import Instrument
from margin_platform.ladder.ladder import step
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.market.price_verdict import Suspect, judge
from margin_platform.market.split_shape import split_shape
from margin_platform.policy.policy import current_policy
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.snapshots.outcome import Outcome

POLICY = current_policy()
OPEN = 1_790_000_000_000


def _print(price: float, second: int = 0, **more: Any) -> Event:
    return {"symbol": "X", "price": price, "timestamp": OPEN + second * 1000} | more


@pytest.mark.parametrize(
    ("price", "accepted"),
    # 35% either way; 65.33-68.00 would look like 3:2
    [(135.0, True), (135.01, False), (65.0, True), (64.0, False)],
)
def test_a_jump_up_to_the_policy_is_a_price_and_beyond_it_is_set_aside(price: float, accepted: bool) -> None:
    verdict = judge(_print(price), 100.0, None, POLICY.prices)
    assert (verdict.price is not None) == accepted
    assert (verdict.suspect is None) == accepted


@pytest.mark.parametrize(
    ("price", "shape"),
    [(50.0, "2:1"), (51.0, "2:1"), (51.1, None), (33.4, "3:1"), (1000.0, "1:10"), (66.7, "3:2")],
)
def test_a_split_is_recognised_within_the_tolerance(price: float, shape: str | None) -> None:
    assert split_shape(100.0, price, POLICY.prices.split_tolerance) == shape


def test_a_second_print_confirms_a_jump_but_not_the_shape_of_a_split_nor_the_same_print_again() -> None:
    first = judge(_print(40.0 * 1.1, 1), 100.0, None, POLICY.prices)
    assert judge(_print(44.0, 1), 100.0, first.suspect, POLICY.prices).price is None
    assert judge(_print(43.5, 2), 100.0, first.suspect, POLICY.prices).price == 43.5
    halved = judge(_print(50.0, 1), 100.0, None, POLICY.prices)
    assert judge(_print(50.1, 2), 100.0, halved.suspect, POLICY.prices).price is None
    assert judge(_print(50.1, 2, confirmed=True), 100.0, halved.suspect, POLICY.prices).price == 50.1
    drifted = judge(_print(47.0, 3), 100.0, halved.suspect, POLICY.prices)
    assert drifted.price is None
    # still the split's jump, 8% further
    assert judge(_print(46.0, 4), 100.0, drifted.suspect, POLICY.prices).price is None


def test_a_print_that_comes_back_ends_the_suspicion_and_a_late_one_does_not() -> None:
    suspect = Suspect(40.0, OPEN + 5000, "jump", None)
    assert judge(_print(99.0, 6), 100.0, suspect, POLICY.prices).suspect is None
    late = judge(_print(99.0, 4), 100.0, suspect, POLICY.prices)
    assert (late.price, late.suspect) == (99.0, suspect)


def _engine() -> MarginEngine:
    engine = MarginEngine([Instrument(symbol="X", beta=0.1), Instrument(symbol="Y", beta=0.1)], POLICY)
    send(
        engine,
        (ACCOUNTS, {"account_id": "a", "margin_type": "REG_T", "timestamp": OPEN}),
        (CASH, {"transfer_id": "t", "account_id": "a", "amount": 6_500.0, "timestamp": OPEN}),
        (
            FILLS,
            {"fill_id": "f", "account_id": "a", "symbol": "X", "qty": 100, "price": 100.0, "timestamp": OPEN},
        ),
        (PRICES, _print(100.0)),
    )
    return engine


_OFFSETS: dict[tuple[int, str], int] = {}


def send(engine: MarginEngine, *events: tuple[str, Event]) -> Outcome:
    """One batch of the events, at the next offsets of their topics."""
    records = []
    for topic, event in events:
        offset = _OFFSETS.get((id(engine), topic), 0)
        _OFFSETS[id(engine), topic] = offset + 1
        records.append(Record(topic, 0, offset, None, encode(event), event["timestamp"]))
    return engine.process(records, 0)


def _decide(engine_outcomes: list[Outcome]) -> list[str]:
    state, kinds = LadderState("a"), []
    for event in (e for outcome in engine_outcomes for e in outcome.status):
        state, decisions = step(state, Observation.from_status_event(event), POLICY)
        # the other track, tested elsewhere
        kinds += [d.kind for d in decisions if not d.kind.startswith("STRESS")]
    return kinds


def test_a_fat_finger_print_holds_the_account_at_its_last_good_price_and_calls_nobody() -> None:
    engine = _engine()
    bad = send(engine, (PRICES, _print(1.0, 1)))
    assert bad.status[0]["held"].startswith("implausible price of X: 100.0000 -> 1.0000 (-99.0%)")
    assert bad.status[0]["equity"] == 6_500.0
    good = send(engine, (PRICES, _print(100.5, 2)))
    assert _decide([bad, good]) == ["HELD", "RELEASED"]


def test_a_real_crash_is_enforced_as_soon_as_a_second_print_confirms_it() -> None:
    engine = _engine()
    outcomes = [send(engine, (PRICES, _print(44.0, 1))), send(engine, (PRICES, _print(43.0, 2)))]
    assert _decide(outcomes) == ["HELD", "RELEASED", "CALL"]


def test_a_call_on_a_bad_print_is_rescinded_when_its_source_corrects_it() -> None:
    engine = _engine()
    bad = send(engine, (PRICES, _print(70.0, 1)))  # -30%: plausible, so used
    worse = send(engine, (PRICES, _print(52.0, 2)))
    fixed = send(engine, (PRICES, _print(100.0, 3, correction=True, corrects_timestamp=OPEN + 1000)))
    assert _decide([bad, worse, fixed]) == ["CALL", "RESCINDED"]


def test_a_call_older_than_the_withdrawn_print_is_met_not_rescinded() -> None:
    engine = _engine()
    bad = [send(engine, (PRICES, _print(70.0, 1))), send(engine, (PRICES, _print(52.0, 2)))]
    fixed = send(engine, (PRICES, _print(100.0, 60, correction=True, corrects_timestamp=OPEN + 59_000)))
    assert _decide([*bad, fixed])[-1] == "CALL_CURED"


@pytest.mark.parametrize("print_first", [True, False])
def test_a_split_keeps_the_value_of_holdings_whichever_comes_first(print_first: bool) -> None:
    engine = _engine()
    # Monday's last print, minutes of trading before Tuesday's split
    send(engine, (PRICES, _print(100.0, 23_000)))
    action = {
        "action_id": "s",
        "symbol": "X",
        "kind": "SPLIT",
        "ratio": 2.0,
        "ex_date": "2026-09-22",
        "timestamp": OPEN + 86_400_000,
    }
    halved = (PRICES, _print(50.2, 86_401))
    batches = [halved, (CORPORATE_ACTIONS, action)] if print_first else [(CORPORATE_ACTIONS, action), halved]
    outcomes = [send(engine, batch) for batch in batches]
    last = outcomes[-1].calc[-1]
    assert last["gross_mv"] == 200 * 50.2
    assert last["stale"] is False
    assert "CALL" not in _decide(outcomes)
    assert (_decide(outcomes) == ["HELD", "RELEASED"]) == print_first


def test_the_same_split_delivered_twice_divides_once() -> None:
    engine = _engine()
    action = {
        "action_id": "s",
        "symbol": "X",
        "kind": "SPLIT",
        "ratio": 2.0,
        "ex_date": "2026-09-22",
        "timestamp": OPEN + 86_400_000,
    }
    send(engine, (CORPORATE_ACTIONS, action))
    send(engine, (CORPORATE_ACTIONS, action))
    assert engine.market.price[0] == 50.0


def test_a_print_set_aside_survives_a_restart() -> None:
    engine = _engine()
    send(engine, (PRICES, _print(44.0, 1)))
    again = MarginEngine([Instrument(symbol="X", beta=0.1), Instrument(symbol="Y", beta=0.1)], POLICY)
    again.restore(durable_state.parse(b"".join(durable_state.dump(engine.to_state()))))
    assert again.live.gate.suspects == engine.live.gate.suspects
    _OFFSETS[id(again), PRICES] = 10
    released = send(again, (PRICES, _print(43.0, 2)))
    assert "held" not in released.status[0]
    assert released.status[0]["gross_mv"] == 4_300.0


def test_a_dividend_in_doubt_survives_a_restart() -> None:
    """A large one that became known after the prices of its ex-date: the state is written with it."""
    engine = _engine()
    send(engine, (PRICES, _print(100.0, 86_401)))
    dividend = {"action_id": "d", "symbol": "X", "kind": "DIVIDEND", "amount": 30.0, "ex_date": "2026-09-22"}
    send(engine, (CORPORATE_ACTIONS, dividend | {"timestamp": OPEN + 86_402_000}))
    again = MarginEngine([Instrument(symbol="X", beta=0.1), Instrument(symbol="Y", beta=0.1)], POLICY)
    again.restore(durable_state.parse(b"".join(durable_state.dump(engine.to_state()))))
    assert "DIVIDEND of X" in again.live.gate.reasons()[0]
    assert again.live.gate.reasons() == engine.live.gate.reasons()
