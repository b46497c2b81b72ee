"""Records that are no records: whatever a forger writes into a column, verification names it and goes on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from margin_platform.audit import export_file, signing
from margin_platform.audit.verification import verify
from margin_platform.recordkeeping import anchoring, retention
from margin_platform.store import audit_chain
from margin_platform.store.store import Store
from margin_platform.trading_time.new_york import date_of
from tests.support import audit_story as story

AT = 1_795_000_000_000
JSON = {"audit": "entry", "ladder_states": "state", "orders": "event", "audit_anchors": "leaves"}
PLAIN = (("audit", "number"), ("audit", "hash"), ("calls", "due_at"), ("audit_anchors", "statement"))
ODD: tuple[Any, ...] = ([], "x", 5, None, {}, [[]], True, [[1, 2, 3]], [["A2", "x", 3]])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    key = signing.create(folder / "audit-key.pem")
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        story.tell(store)
        retention.hold(store, "A1", who="alice@desk", why="matter 7")
        anchoring.anchor(store, key, day=date_of(AT), at_ms=AT, by="schedule")
    return folder / "store.db"


def forged(original: Path, file: Path, *statements: tuple[str, tuple[Any, ...]]) -> set[str]:
    """What verification names after these statements; each changes a row of A2 or of no account."""
    shutil.copy(original, file)
    with closing(sqlite3.connect(file)) as database, database:
        for text, values in statements:
            assert database.execute(text, values).rowcount
    with Store(f"sqlite:///{file}", read_only=True) as store:
        return {f"{one.account_id} {one.kind}" for one in audit_chain.verify(store)[1]}


def places() -> Iterator[tuple[str, str, Any]]:
    yield from ((table, column, json.dumps(odd)) for table, column in JSON.items() for odd in ODD)
    yield from ((table, column, "not JSON") for table, column in JSON.items())
    yield from ((table, column, value) for table, column in PLAIN for value in ("x", b"x", -1.5))


@pytest.mark.parametrize(("table", "column", "value"), list(places()))
def test_a_row_of_any_form_is_named_and_hides_no_other(
    original: Path, tmp_path: Path, table: str, column: str, value: object
) -> None:
    which = "" if table == "audit_anchors" else " where account_id = 'A2'"
    odd = (f"update {table} set {column} = ?{which}", (value,))
    if (table, column) in (("audit", "number"), ("audit", "hash")):  # unique by account
        odd = (f"update audit set {column} = ? where account_id = 'A2' and number = 2", (value,))
    other = ("update calls set issued = 0.01 where account_id = 'A1'", ())
    alone, both = forged(original, tmp_path / "a.db", odd), forged(original, tmp_path / "b.db", odd, other)
    assert alone
    assert both == alone | {"A1 CALL_CHANGED"}


@pytest.mark.parametrize(
    "name", ["timestamp", "due_at", "amount", "call_id", "decision", "standing", "evidence"]
)
@pytest.mark.parametrize("value", [None, {}])
def test_an_entry_whose_fields_have_another_form_is_named(
    original: Path, tmp_path: Path, name: str, value: object
) -> None:
    with closing(sqlite3.connect(original)) as database:
        rows = database.execute("select seq, entry from audit where account_id = 'A2'").fetchall()
    for seq, text in rows:
        changed = json.dumps(json.loads(text) | {name: value})
        odd = ("update audit set entry = ? where seq = ?", (changed, seq))
        assert forged(original, tmp_path / "c.db", odd) or changed == json.dumps(json.loads(text))


def test_an_export_of_any_form_is_refused_or_what_it_says_is_compared(original: Path, tmp_path: Path) -> None:
    """Its sha256 fits: a forger wrote it."""
    with Store(f"sqlite:///{original}", read_only=True) as store, store.read() as connection:
        records = audit_chain.records(connection)
    file = tmp_path / "export.jsonl"
    export_file.write(file, records, at_ms=AT, by="x", key=None)
    *lines, last = file.read_bytes().splitlines(keepends=True)
    kinds = {next(iter(json.loads(line))): number for number, line in enumerate(lines)}
    tried = 0
    for kind, number in kinds.items():
        value = json.loads(lines[number])[kind]
        odd = (
            [*ODD, *({**value, name: one} for name in value for one in ODD)]
            if isinstance(value, dict)
            else ODD
        )
        for one in odd:
            forged_lines = [*lines[:number], json.dumps({kind: one}).encode() + b"\n", *lines[number + 1 :]]
            hashed = hashlib.sha256(b"".join(forged_lines)).hexdigest()
            end = json.loads(last)["end"] | {"sha256": hashed, "signature": None}
            file.write_bytes(b"".join(forged_lines) + json.dumps({"end": end}).encode())
            with contextlib.suppress(export_file.ExportRefused):
                verify(records, export=export_file.read(file))
            tried += 1
    assert tried > 200
