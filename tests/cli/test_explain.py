"""`margin explain` and `margin audit verify` on a real store: the number is rebuilt, and an edit is found."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from margin_platform.trading_time.new_york import local_time
from tests.support import status_events


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An account warned, called and called for more."""
    feed = status_events.StatusFeed()
    seen = feed.open("ACC-1", cash=-60_000, price=100.0, shares=1000)
    for price, minute in ((95.0, 1), (90.0, 2)):
        seen += feed.price(price, minute)
    opened = Store(f"sqlite:///{tmp_path / 'store.db'}")
    Enforcer(opened, current_policy()).handle_many(
        [(e, (MARGIN_STATUS, 0, n)) for n, e in enumerate(seen)], run_id="run-7"
    )
    return opened


def _run(store: Store, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [*arguments, "--store", store.url])
    return result.exit_code, result.stdout, result.stderr


def test_a_call_is_explained_and_its_number_computed_again(store: Store) -> None:
    with store.read() as connection:
        call_id = connection.execute(select(t.calls.c.call_id)).scalar_one()
    code, out, _ = _run(store, "explain", "ACC-1", "--call", call_id, "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["evidence"]["matches"] is True
    assert answer["call"]["run_id"] == "run-7"
    assert answer["call"]["issued"] == -answer["evidence"]["recomputed"]["excess"]
    assert {d["decision"] for d in answer["decisions"]} <= {"CALL", "CALL_INCREASED"}
    assert answer["evidence"]["cures"][0] == {
        "action": "DEPOSIT_CASH",
        "amount": answer["call"]["issued"],
        "excess_after": 0.0,
    }


def test_the_text_names_rules_prices_offsets_and_cures(store: Store) -> None:
    code, out, _ = _run(store, "explain", "ACC-1")
    assert code == 0
    for part in (
        "matches to the cent",
        "of gross is over 30%: +10%",
        "price 0.0 s old",
        "prices.v1[0] 2-3",
        "meets the call: deposit cash",
        "run-7",
    ):
        assert part in out


def test_the_recorded_account_is_shown_after_a_sale(store: Store) -> None:
    code, out, said = _run(store, "whatif", "ACC-1", "--trade", "SELL 10 AAPL", "--json")
    assert code == 0, said
    answer = json.loads(out)
    assert answer["after"]["equity"] == answer["before"]["equity"]  # sold at the mark, without costs
    assert answer["after"]["applied_requirement"] < answer["before"]["applied_requirement"]


def test_a_figure_changed_after_the_fact_does_not_match(store: Store) -> None:
    with store.write() as connection:
        event = connection.execute(select(t.ladder_states.c.last_event)).scalar_one()
        connection.execute(update(t.ladder_states).values(last_event=event | {"excess": 1.0}))
    code, out, _ = _run(store, "explain", "ACC-1")
    assert code == 1
    assert "DIFFERS: {'excess': [1.0," in out


def test_at_a_time_nothing_recorded_later_is_shown(store: Store) -> None:
    """Warned and called at 09:31 and 09:32 of that morning; the newest figures are the call's."""
    with store.read() as connection:
        opened_at = connection.execute(select(t.calls.c.opened_at)).scalar_one()
        before = [
            row.entry for row in connection.execute(select(t.audit)) if row.entry["timestamp"] < opened_at
        ]
    assert before
    code, out, _ = _run(store, "explain", "ACC-1", "--at", local_time(opened_at) or "", "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["call"]["opened_at"] == answer["evidence"]["at"] == answer["as_of"] == local_time(opened_at)
    code, _, err = _run(store, "explain", "ACC-1", "--at", local_time(opened_at - 1) or "")
    assert code == 2
    assert "at: nothing of account ACC-1 was recorded by then" in err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("explain", "NOBODY"), "account: nothing recorded, value 'NOBODY'"),
        (("explain", "ACC-1", "--call", "c9"), "value 'c9'"),
        (("explain", "ACC-1", "--at", "yesterday"), "--at: not an ISO time, value 'yesterday'"),
        (("explain", "ACC-1", "--at", "2026-06-04T10:00"), "--at: without a zone"),
        (("audit", "repair"), "No such command 'repair'"),
    ],
)
def test_bad_input_ends_with_two_and_names_the_value(
    store: Store, arguments: tuple[str, ...], named: str
) -> None:
    code, _, err = _run(store, *arguments)
    assert code == 2
    assert named in err


def test_an_edited_decision_is_found(store: Store) -> None:
    assert _run(store, "audit", "verify")[0] == 0
    with store.write() as connection:
        row = connection.execute(select(t.audit).where(t.audit.c.number == 2)).one()
        connection.execute(
            update(t.audit).where(t.audit.c.seq == row.seq).values(entry=row.entry | {"amount": 0.01})
        )
    code, out, _ = _run(store, "audit", "verify", "--json")
    assert code == 1
    assert [b["number"] for b in json.loads(out)["broken"]] == [2]
