"""Acts of people and the entries that name them: where one is changed or gone, the other shows it, also
where no anchor was made yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, select, update

from margin_platform.audit.entries import ACTS
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import call_acts, retention
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support import audit_story as story


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Act 1 lifted the restriction of A3, act 2 put A1 on legal hold, act 3 is a note on the call of A1."""
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        story.tell(opened)
        Enforcer(opened, current_policy()).lift("A3", who="alice@desk", why="desk head agreed")
        retention.hold(opened, "A1", who="alice@desk", why="matter 7")
        with opened.read() as connection:
            call = connection.scalars(select(t.calls.c.call_id).where(t.calls.c.account_id == "A1")).one()
        note = call_acts.Request(call_acts.CallAct.NOTE, call, text="left a message")
        call_acts.record(opened, note, who="bob@desk")
        yield opened


def act_removed(connection: Connection) -> None:
    connection.execute(delete(t.audit).where(t.audit.c.account_id == ACTS, t.audit.c.number == 1))


def all_acts_removed(connection: Connection) -> None:
    for table in (t.audit, t.audit_heads):
        connection.execute(delete(table).where(table.c.account_id == ACTS))
    connection.execute(delete(t.legal_holds))


def act_said(**values: str) -> Callable[[Connection], None]:
    def how(connection: Connection) -> None:
        first = (t.audit.c.account_id == ACTS) & (t.audit.c.number == 1)
        entry = connection.execute(select(t.audit.c.entry).where(first)).scalar_one()
        connection.execute(update(t.audit).where(first).values(entry=entry | values))
        story.rehash(connection, ACTS)

    return how


def lift_cut_off(connection: Connection) -> None:
    rows = connection.execute(select(t.audit).where(t.audit.c.account_id == "A3")).all()
    lifted = [row.seq for row in rows if row.entry.get("source") == f"{ACTS}@1"]
    assert lifted
    connection.execute(delete(t.audit).where(t.audit.c.seq.in_(lifted)))
    story.rehash(connection, "A3")


def hold_explained_otherwise(connection: Connection) -> None:
    connection.execute(update(t.legal_holds).values(why="matter 8"))


def account_removed(connection: Connection) -> None:
    for table in (t.audit, t.ladder_states, t.calls, t.orders):
        connection.execute(delete(table).where(table.c.account_id == "A1"))


@pytest.mark.parametrize(
    ("attack", "expected"),
    [
        (act_removed, ("A3", "ACT_MISSING")),
        (all_acts_removed, ("A3", "ACT_MISSING")),
        (act_said(about="A2"), ("A3", "ACT_CHANGED")),
        (act_said(decision="POLICY_ACTIVATED"), ("A3", "ACT_CHANGED")),
        (lift_cut_off, ("A3", "ENTRY_MISSING")),
        (hold_explained_otherwise, ("A1", "HOLD_CHANGED")),
        (account_removed, ("A1", "CALL_DELETED")),
    ],
)
def test_what_an_act_and_its_entries_say_of_each_other_is_compared(
    store: Store, attack: Callable[[Connection], None], expected: tuple[str, str]
) -> None:
    assert audit_chain.verify(store)[1] == []
    with store.write() as connection:
        attack(connection)
    for account in (None, expected[0]):
        found = audit_chain.verify(store, account)[1]
        assert expected in {(one.account_id, one.kind) for one in found}
