"""`margin restrictions lift` and `margin policy activate`: who, when and what is recorded, published,
and held against what is in force.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from margin_platform.cli import app
from margin_platform.contracts.messages import AUDIT, MARGIN_STATUS, RESTRICTIONS
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.notification.message import notice_of
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import acts, policies
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.store import Store

POLICY = current_policy()
T = 1_582_295_400_000  # 2020-02-21 09:30 New York, a session


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in which S was stressed and is no more, and U is still."""
    where = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(where) as store:
        seen = [("S", 0, True), ("U", 0, True), ("S", 1, False)]
        events = [_status(account, minute, short) for account, minute, short in seen]
        sourced = [(event, (MARGIN_STATUS, 0, n)) for n, event in enumerate(events)]
        Enforcer(store, POLICY).handle_many(sourced, run_id="run-1")
    return where


def _status(account: str, minute: int, short: bool) -> dict[str, Any]:
    figures = {"equity": 1e5, "gross_mv": 1e5, "requirement": 3e4, "excess": 7e4}
    at = {"timestamp": T + minute * 60_000, "calc_id": f"{account}{minute}"}
    return {"account_id": account, "severe_underwater": short, **figures, **at}


def run(url: str, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [*arguments, "--store", url])
    return done.exit_code, done.stdout, done.stderr


def sent(url: str, topic: str) -> list[dict[str, Any]]:
    with Store(url, read_only=True) as store, store.read() as connection:
        found = connection.scalars(select(t.outbox.c.event).where(t.outbox.c.topic == topic)).all()
        assert audit_chain.verify(store)[1] == []
    return list(found)


def test_a_person_lifts_a_restriction_and_it_is_recorded_and_published(url: str) -> None:
    assert run(url, "restrictions")[1] == (
        "S: close-only by a severe SPY stress\nU: close-only by a severe SPY stress\n"
    )
    done = run(url, "restrictions", "lift", "S", "--why", "matter 9, asked by risk")
    assert done == (0, f"S: restriction lifted by {acts.operator()}\n", "")
    act = sent(url, AUDIT)[-3]
    assert (act["decision"], act["about"], act["who"]) == ("RESTRICTION_LIFTED", "S", acts.operator())
    assert act["why"] == "matter 9, asked by risk"
    entry, message = sent(url, AUDIT)[-1], sent(url, RESTRICTIONS)[-1]
    assert (entry["decision"], entry["source"], message["action"]) == ("LIFTED", "firm/acts@1", "LIFTED")
    assert not entry["standing"]["restricted"]
    notice = notice_of(RESTRICTIONS, message, POLICY)
    assert notice is not None
    assert "matter 9" not in notice.text + notice.html + notice.sms
    assert json.loads(run(url, "restrictions", "--json")[1]) == [
        {"account_id": "U", "restricted_by": "a severe SPY stress"}
    ]


@pytest.mark.parametrize(
    ("account", "why", "named"),
    [
        ("U", "x", "account: the reason of its restriction persists: a severe SPY scenario"),
        ("unknown", "x", "account: not restricted, value 'unknown'"),
        ("S", " ", "--why: empty"),
        ("S\x1b", "x", "account: "),
    ],
)
def test_a_lift_that_is_refused_changes_nothing(url: str, account: str, why: str, named: str) -> None:
    before = sent(url, AUDIT)
    code, _, error = run(url, "restrictions", "lift", account, "--why", why)
    assert (code, named in error) == (2, True), error
    assert sent(url, AUDIT) == before


def test_a_person_activates_a_policy_and_another_content_is_named(url: str) -> None:
    version = POLICY.version
    assert "in force now: not activated by a person" in run(url, "policy")[1]
    with Store(url) as store:
        with store.read() as connection:
            assert policies.refusal(connection, POLICY) is None  # a firm that never recorded one
        assert run(url, "policy", "activate", version, "--why", "board, June 4")[0] == 0
        again = run(url, "policy", "activate", version, "--why", "x")
        assert (again[0], "activated already by" in again[2]) == (2, True)
        other = POLICY.override({"long_rate": "0.31"})
        with store.read() as connection:
            assert policies.refusal(connection, POLICY) is None
            changed = POLICY.model_copy(update={"ladder": other.ladder, "maintenance": other.maintenance})
            assert "its content is not what" in str(policies.refusal(connection, changed))
            assert "no person activated it" in str(policies.refusal(connection, other))
    act = sent(url, AUDIT)[-1]
    assert (act["decision"], act["policy_version"], act["who"]) == (
        "POLICY_ACTIVATED",
        version,
        acts.operator(),
    )
    assert act["evidence"] == policies.content_hash(POLICY)
    assert f"activated by {acts.operator()}" in run(url, "policy")[1]
    assert run(url, "policy", "activate", "house-1999", "--why", "x")[0] == 2
