"""Attacks on the record: each is done to a copy of a store, and `margin audit verify` names its account
and kind.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, insert, select, update
from typer.testing import CliRunner

from margin_platform.audit import anchors as anchors_of
from margin_platform.audit import signing
from margin_platform.cli import app
from margin_platform.recordkeeping import retention
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support import audit_story as story

ACCOUNT_TABLES = (t.audit, t.ladder_states, t.calls, t.orders, t.notifications)
Attack = Callable[[Connection], None]


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and output of `margin audit ...` on the store of a folder."""
    store = f"sqlite:///{folder / 'store.db'}"
    done = CliRunner().invoke(app, ["audit", *arguments, "--store", store], env={"MARGIN_DATA": str(folder)})
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, done.stdout


def named(folder: Path, *arguments: str) -> set[tuple[str, str]]:
    """Account and kind of what `margin audit verify` finds."""
    code, out = run(folder, "verify", "--json", *arguments)
    found = {(broken["account_id"], broken["kind"]) for broken in json.loads(out)["broken"]}
    assert code == (1 if found else 0)
    return found


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: three accounts, a legal hold, two anchors, an export of all."""
    folder = tmp_path_factory.mktemp("original")
    signing.create(folder / "audit-key.pem")
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        story.tell(store)
    assert run(folder, "anchor")[0] == 0
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        retention.hold(store, "A1", who="alice@desk", why="matter 7")
    assert run(folder, "anchor")[0] == 0
    assert run(folder, "export", str(folder / "export.jsonl"))[0] == 0
    return folder


@pytest.fixture
def copy(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "copy"))


def attack(folder: Path, how: Attack) -> None:
    with Store(f"sqlite:///{folder / 'store.db'}") as store, store.write() as connection:
        how(connection)


def newest(connection: Connection, account: str) -> Any:
    mine = select(t.audit).where(t.audit.c.account_id == account).order_by(t.audit.c.number.desc())
    return connection.execute(mine).first()


def entry_of(connection: Connection, account: str, decision: str) -> Any:
    rows = connection.execute(select(t.audit).where(t.audit.c.account_id == account)).all()
    return next(row for row in rows if row.entry["decision"] == decision)


def say(connection: Connection, seq: int, **values: Any) -> None:
    entry = connection.execute(select(t.audit.c.entry).where(t.audit.c.seq == seq)).scalar_one()
    connection.execute(update(t.audit).where(t.audit.c.seq == seq).values(entry=entry | values))


def account_deleted(connection: Connection) -> None:
    for table in ACCOUNT_TABLES:
        connection.execute(delete(table).where(table.c.account_id == "A1"))
    connection.execute(delete(t.legal_holds))


def tail_cut_and_head_turned_back(connection: Connection) -> None:
    connection.execute(delete(t.audit).where(t.audit.c.seq == newest(connection, "A1").seq))
    story.rehash(connection, "A1")


def reason_and_hashes_rewritten(connection: Connection) -> None:
    say(connection, entry_of(connection, "A1", "CALL").seq, reason="the customer asked for it")
    story.rehash(connection, "A1")


def swap(connection: Connection, table: Table) -> None:
    for before, after in (("A1", "#"), ("A2", "A1"), ("#", "A2")):
        connection.execute(update(table).where(table.c.account_id == before).values(account_id=after))


def two_accounts_swapped(connection: Connection) -> None:
    for table in ACCOUNT_TABLES:
        swap(connection, table)


def swapped_inside_the_entries_too(connection: Connection) -> None:
    two_accounts_swapped(connection)
    for row in connection.execute(select(t.audit).where(t.audit.c.account_id.in_(["A1", "A2"]))).all():
        say(connection, row.seq, account_id=row.account_id)
    for account in ("A1", "A2"):
        story.rehash(connection, account)


def changed(table: Table, **values: Any) -> Attack:
    def how(connection: Connection) -> None:
        done = connection.execute(update(table).where(table.c.account_id == "A1").values(**values))
        assert done.rowcount

    return how


def gone(table: Table) -> Attack:
    def how(connection: Connection) -> None:
        assert connection.execute(delete(table).where(table.c.account_id == "A1")).rowcount

    return how


def evidence_changed(connection: Connection) -> None:
    evidence = connection.execute(select(t.calls.c.evidence).where(t.calls.c.account_id == "A1")).scalar_one()
    changed(t.calls, evidence=evidence | {"excess": -1.0})(connection)


def legs_changed(connection: Connection) -> None:
    event = connection.execute(select(t.orders.c.event).where(t.orders.c.account_id == "A1")).scalar_one()
    legs = [leg | {"qty": leg["qty"] + 1} for leg in event["positions"]]
    changed(t.orders, event=event | {"positions": legs})(connection)


def certificate_changed(connection: Connection) -> None:
    event = connection.execute(select(t.orders.c.event).where(t.orders.c.account_id == "A1")).scalar_one()
    changed(t.orders, event=event | {"certificate": {}})(connection)


def state_changed(**values: Any) -> Attack:
    def how(connection: Connection) -> None:
        state = connection.execute(
            select(t.ladder_states.c.state).where(t.ladder_states.c.account_id == "A1")
        ).scalar_one()
        changed(t.ladder_states, state=state | values)(connection)

    return how


def restriction_lifted(connection: Connection) -> None:
    state_changed(close_only=False, stress_restricted=False)(connection)
    changed(t.ladder_states, restricted=False)(connection)


def entry_changed(connection: Connection) -> None:
    say(connection, entry_of(connection, "A1", "CALL").seq, amount=0.01)


def entry_removed(connection: Connection) -> None:
    connection.execute(delete(t.audit).where(t.audit.c.seq == entry_of(connection, "A1", "CALL").seq))


def tail_cut(connection: Connection) -> None:
    connection.execute(delete(t.audit).where(t.audit.c.seq == newest(connection, "A1").seq))


def row_invented(table: Table, **values: Any) -> Attack:
    def how(connection: Connection) -> None:
        row = dict(connection.execute(select(table).where(table.c.account_id == "A1")).mappings().one())
        connection.execute(insert(table).values(row | values))

    return how


def order_uncancelled(connection: Connection) -> None:
    entry = entry_of(connection, "A1", "ORDER")
    say(connection, newest(connection, "A1").seq, cancelled_orders=[entry.entry["order_id"]])
    story.rehash(connection, "A1")
    connection.execute(delete(t.audit_anchors))


def act_rewritten(connection: Connection) -> None:
    say(connection, newest(connection, "firm/acts").seq, who="bob@desk")
    story.rehash(connection, "firm/acts")


def first_anchor_deleted(connection: Connection) -> None:
    connection.execute(delete(t.audit_anchors).where(t.audit_anchors.c.number == 1))


def leaves_changed(connection: Connection) -> None:
    where = t.audit_anchors.c.number == 1
    leaves = connection.execute(select(t.audit_anchors.c.leaves).where(where)).scalar_one()
    connection.execute(update(t.audit_anchors).where(where).values(leaves=leaves[1:]))


def signature_changed(connection: Connection) -> None:
    connection.execute(
        update(t.audit_anchors).where(t.audit_anchors.c.number == 2).values(signature="00" * 64)
    )


def all_rewritten_and_anchored_again(connection: Connection) -> None:
    """The forger has the whole database, and a key of his own."""
    reason_and_hashes_rewritten(connection)
    connection.execute(delete(t.audit_anchors))
    key = signing.Ed25519PrivateKey.generate()
    heads = audit_chain.heads(connection)
    made = anchors_of.make(heads, [], key, day="2026-11-27", at_ms=1_795_000_000_000, by="schedule")
    connection.execute(
        insert(t.audit_anchors).values(
            number=1,
            day="2026-11-27",
            statement=made.text.decode(),
            signature=made.signature,
            public_key=made.public_key,
            leaves=[list(leaf) for leaf in made.leaves],
        )
    )


ANCHORS, ACTS = "firm/anchors", "firm/acts"
# attack, the account and kind that must be named. The first fifteen are those of the review of 2026-11-28.
ATTACKS: list[tuple[Attack, tuple[str, str]]] = [
    (account_deleted, ("A1", "ACCOUNT_DELETED")),
    (tail_cut_and_head_turned_back, ("A1", "CHAIN_CUT")),
    (reason_and_hashes_rewritten, ("A1", "CHAIN_REWRITTEN")),
    (two_accounts_swapped, ("A1", "ACCOUNT_SWAPPED")),
    (changed(t.audit, decided_at=1_582_295_400_001), ("A1", "TIME_CHANGED")),
    (evidence_changed, ("A1", "EVIDENCE_CHANGED")),
    (changed(t.calls, issued=0.01), ("A1", "CALL_CHANGED")),
    (changed(t.calls, due_at=1_682_295_400_000), ("A1", "CALL_CHANGED")),
    (gone(t.calls), ("A1", "CALL_DELETED")),
    (legs_changed, ("A1", "ORDER_CHANGED")),
    (restriction_lifted, ("A1", "RESTRICTION_CHANGED")),
    (state_changed(call=None), ("A1", "CALL_FORGOTTEN")),
    (entry_changed, ("A1", "ENTRY_CHANGED")),
    (entry_removed, ("A1", "ENTRY_MISSING")),
    (tail_cut, ("A1", "CHAIN_CUT")),
    # more
    (gone(t.ladder_states), ("A1", "CHAIN_CUT")),
    (swapped_inside_the_entries_too, ("A1", "CHAIN_REWRITTEN")),
    (changed(t.calls, opened_at=1_582_295_400_000), ("A1", "CALL_CHANGED")),
    (changed(t.calls, outstanding=0.01), ("A1", "CALL_CHANGED")),
    (changed(t.calls, status="MET"), ("A1", "CALL_CHANGED")),
    (changed(t.calls, calc_id="x"), ("A1", "CALL_CHANGED")),
    (row_invented(t.calls, call_id="c9"), ("A1", "CALL_UNRECORDED")),
    (certificate_changed, ("A1", "ORDER_CHANGED")),
    (changed(t.orders, attempt=9), ("A1", "ORDER_CHANGED")),
    (gone(t.orders), ("A1", "ORDER_DELETED")),
    (row_invented(t.orders, order_id="o9", attempt=9), ("A1", "ORDER_UNRECORDED")),
    (order_uncancelled, ("A1", "ORDER_CHANGED")),
    (changed(t.ladder_states, restricted=False), ("A1", "RESTRICTION_CHANGED")),
    (changed(t.ladder_states, status="ACTIVE"), ("A1", "STANDING_CHANGED")),
    (state_changed(held="prices"), ("A1", "STANDING_CHANGED")),
    (gone(t.legal_holds), ("A1", "HOLD_CHANGED")),
    (changed(t.legal_holds, account_id="A2"), ("A2", "HOLD_CHANGED")),
    (act_rewritten, (ACTS, "CHAIN_REWRITTEN")),
    (first_anchor_deleted, (ANCHORS, "ANCHOR_MISSING")),
    (leaves_changed, (ANCHORS, "ANCHOR_CHANGED")),
    (signature_changed, (ANCHORS, "ANCHOR_UNSIGNED")),
    (all_rewritten_and_anchored_again, (ANCHORS, "ANCHOR_UNSIGNED")),
]


def test_an_untouched_store_holds(original: Path) -> None:
    assert named(original, "--export", str(original / "export.jsonl")) == set()
    code, out = run(original, "verify")
    assert code == 0
    assert "2 anchors, the last of" in out
    assert "every chain holds" in out


@pytest.mark.parametrize(
    ("how", "expected"), ATTACKS, ids=[f"{n}-{kind}" for n, (_, (_, kind)) in enumerate(ATTACKS, 1)]
)
def test_each_attack_is_named_with_account_and_kind(
    copy: Path, how: Attack, expected: tuple[str, str]
) -> None:
    attack(copy, how)
    assert expected in named(copy)


FORGERIES: list[tuple[Attack, str]] = [
    (account_deleted, "ACCOUNT_DELETED"),
    (tail_cut_and_head_turned_back, "CHAIN_CUT"),
    (reason_and_hashes_rewritten, "CHAIN_REWRITTEN"),
]


@pytest.mark.parametrize(("how", "kind"), FORGERIES)
def test_what_takes_the_anchors_along_is_named_by_an_export(copy: Path, how: Attack, kind: str) -> None:
    attack(copy, how)
    attack(copy, lambda connection: connection.execute(delete(t.audit_anchors)))
    assert ("A1", kind) not in named(copy)  # by itself the store looks whole
    found = named(copy, "--export", str(copy / "export.jsonl"))
    assert {("A1", kind), (ANCHORS, "ANCHOR_MISSING")} <= found


def test_one_account_is_verified_alone(copy: Path) -> None:
    attack(copy, reason_and_hashes_rewritten)
    assert named(copy, "--account", "A2") == set()
    assert named(copy, "--account", "A1") == {("A1", "CHAIN_REWRITTEN")}
