"""A policy floor under which a deficiency opens no call, off unless a policy sets it (STA-003)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import AUDIT, MARGIN_STATUS, encode
from margin_platform.documents.book_input import parse
from margin_platform.documents.figures import evaluation
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.kafka.bus import Record
from margin_platform.kernel.evaluate import evaluate
from margin_platform.ladder import ladder
from margin_platform.ladder.observation import Observation
from margin_platform.ladder.state import LadderState
from margin_platform.market import instruments
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.snapshots.bands import band_codes, band_name
from margin_platform.snapshots.engine import MarginEngine
from margin_platform.store.store import Store

CASE = Path(__file__).parent / "28-one-cent-debit"
ONE_DOLLAR = {"small_deficiency": 1.0}
AT = 1_704_816_000_000


def _with_floor(floor: float) -> Policy:
    return current_policy().override({"small_deficiency": floor})


def _book(**policy: float) -> dict[str, Any]:
    book: dict[str, Any] = json.loads((CASE / "book.json").read_text())
    return book | {"policy": policy}


def _bands(book: dict[str, Any]) -> list[str]:
    read = parse(book)
    return [band_name(int(code)) for code in band_codes(evaluate(read.book, read.market, read.policy))]


def test_without_a_floor_a_cent_is_a_call_as_written() -> None:
    assert current_policy().ladder.small_deficiency == 0
    result = evaluation(parse(_book()))
    assert [a["status"] for a in result["accounts"]] == ["MARGIN_CALL"] * 3
    assert "small_deficiencies" not in result


def test_under_a_floor_the_accounts_of_the_field_case_are_in_no_call_and_added_up() -> None:
    result = evaluation(parse(_book(**ONE_DOLLAR)))
    assert [a["status"] for a in result["accounts"]] == ["ACTIVE"] * 3
    # the figures stay what they are
    assert [a["excess"] for a in result["accounts"]] == [-0.01, -0.99, -0.03]
    assert result["small_deficiencies"] == {"accounts": 3, "dollars": 1.03}
    assert _bands(_book(**ONE_DOLLAR)) == ["CLEAR"] * 3


def test_the_command_sells_nothing_for_it() -> None:
    done = CliRunner().invoke(app, ["liquidate", "-", "--json"], input=json.dumps(_book(**ONE_DOLLAR)))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("passed over by the policy's small_deficiency") == 3


def _live(policy: Policy, store: Store) -> list[str]:
    """The decisions on the events of the field case, one batch an event."""
    engine, enforcer = MarginEngine(instruments.load(), policy), Enforcer(store, policy)
    decided, status = list[str](), 0
    for offset, line in enumerate((CASE / "events.jsonl").read_text().splitlines()):
        topic, event = json.loads(line)["topic"], json.loads(line)["event"]
        outcome = engine.process([Record(topic, 0, offset, None, encode(event), event["timestamp"])], offset)
        sourced = [(e, (MARGIN_STATUS, 0, status + n)) for n, e in enumerate(outcome.status)]
        status += len(sourced)
        decided += [e["decision"] for kind, e in enforcer.handle_many(sourced) if kind == AUDIT]
    decided += [e["decision"] for kind, e in enforcer.fire_timers(AT + 5 * 86_400_000) if kind == AUDIT]
    return decided


@pytest.mark.parametrize(("floor", "decided"), [(0.0, True), (0.01, False), (1.0, False), (100.0, False)])
def test_the_stream_and_the_ladder_decide_nothing_under_the_floor(
    tmp_path: Path, floor: float, decided: bool
) -> None:
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        assert ("CALL" in _live(_with_floor(floor), store)) is decided
    with Store(f"sqlite:///{tmp_path / 'again.db'}") as store:
        assert bool(_live(_with_floor(floor), store)) is decided


@pytest.mark.parametrize(
    ("deficiency", "floor", "called"),
    [
        (0.01, 0.0, True),
        (0.01, 0.01, False),
        (0.02, 0.01, True),
        (1.0, 1.0, False),
        (1.01, 1.0, True),
        (99.99, 100.0, False),
        (100.0, 100.0, False),
        (100.01, 100.0, True),
        (1_000.0, 1_000.0, False),
        (1_000.01, 1_000.0, True),
    ],
)
@pytest.mark.parametrize("shares", [0, 100])
def test_the_floor_itself_is_within(deficiency: float, floor: float, called: bool, shares: int) -> None:
    """Of an account without positions, and of one with 10,000 dollars of a stock,
    whose requirement is 35%.
    """
    cash = round(-deficiency - (6_500 if shares else 0), 2)
    position = {"symbol": "X", "qty": shares, "price": 100.0, "beta": 0.0}
    account = {"account_id": "A", "cash": cash, "positions": [position] if shares else []}
    document = {"policy": {"small_deficiency": floor}, "accounts": [account]}
    (row,) = evaluation(parse(document))["accounts"]
    assert row["excess"] == -deficiency
    assert row["status"] == ("MARGIN_CALL" if called else "WARNING" if shares else "ACTIVE")
    (band,) = _bands(document)
    assert band.startswith("MARGIN_CALL") is called
    seen = Observation(
        "A", AT, row["equity"], row["gross_mv"], row["requirement"], row["excess"], "STRESS" in band
    )
    decisions = [d.kind for d in ladder.step(LadderState("A"), seen, _with_floor(floor))[1]]
    assert decisions == (["STRESS_RESTRICTION", "CALL"] if called else ["WARNING"] if shares else [])


def test_a_call_paid_but_for_a_cent_is_met() -> None:
    policy = _with_floor(1.0)
    state, opened = ladder.step(LadderState("A"), Observation("A", AT, -50.0, 0.0, 0.0, -50.0, True), policy)
    state, met = ladder.step(state, Observation("A", AT + 1, -0.5, 0.0, 0.0, -0.5), policy)
    assert [d.kind for d in opened] == ["STRESS_RESTRICTION", "CALL"]
    assert [d.kind for d in met] == ["CALL_CURED"]
    assert state.call is None


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(
    cash=st.floats(-30_000, 30_000).map(lambda x: round(x, 2)),
    qty=st.integers(-200, 200),
    floor=st.sampled_from([0.0, 0.01, 1.0, 1_000.0, 10_000.0]),
)
def test_band_status_and_ladder_agree_on_who_is_called(cash: float, qty: int, floor: float) -> None:
    position = {"symbol": "X", "qty": qty, "price": 100.0}
    document = {
        "policy": {"small_deficiency": floor},
        "accounts": [{"account_id": "A", "cash": cash, "positions": [position]}],
    }
    (row,), (band,) = evaluation(parse(document))["accounts"], _bands(document)
    called = row["excess"] < 0 and -row["excess"] > floor
    assert (row["status"] == "MARGIN_CALL") is called
    assert band.startswith("MARGIN_CALL") is called
    seen = Observation("A", AT, row["equity"], row["gross_mv"], row["requirement"], row["excess"])
    kinds = [d.kind for d in ladder.step(LadderState("A"), seen, _with_floor(floor))[1]]
    assert ("CALL" in kinds) is called
    assert ("WARNING" in kinds) is (row["status"] == "WARNING")


def test_prices_and_statuses_of_others_are_untouched_by_it() -> None:
    """Off or on, an account that is whole or far below is where it was."""
    rows = [
        {"account_id": str(n), "cash": cash, "positions": [{"symbol": "X", "qty": 100, "price": 100.0}]}
        for n, cash in enumerate((0.0, -6_000.0, -6_499.0, -6_600.0, -20_000.0))
    ]
    off, on = (
        evaluation(parse({"policy": policy, "accounts": rows}))["accounts"] for policy in ({}, ONE_DOLLAR)
    )
    assert off == on
