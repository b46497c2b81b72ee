"""The audit trail around its chains: exports for strangers, copies that cannot be written, stores of
before, acts and holds.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import delete, select, update
from typer.testing import CliRunner

from margin_platform.audit import export_file, signing
from margin_platform.audit.entries import ACTS
from margin_platform.cli import app
from margin_platform.contracts.messages import AUDIT, TOPICS, decode, encode
from margin_platform.contracts.offsets import Record
from margin_platform.contracts.published.schemas import schema as schema_of
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import acts, anchoring, published, retention
from margin_platform.store import audit_chain
from margin_platform.store import tables as t
from margin_platform.store.store import MIGRATIONS, Store
from tests.support import audit_story as story

ROOT = Path(__file__).parents[2]

NEW_IN_FORMAT_2 = ("format", "evidence", "standing", "order")
DAY = dt.date(2026, 11, 27)
YEARS = 365.25 * 86_400_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with a key and a store."""
    signing.create(tmp_path / "audit-key.pem")
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        story.tell(store)
    return tmp_path


def audit(folder: Path, *arguments: str) -> Any:
    store = f"sqlite:///{folder / 'store.db'}"
    return CliRunner().invoke(app, ["audit", *arguments, "--store", store], env={"MARGIN_DATA": str(folder)})


def stranger(*arguments: Path) -> subprocess.CompletedProcess[str]:
    """The script of docs/, in a process that knows nothing of the platform."""
    command = [sys.executable, "-I", str(ROOT / "docs" / "audit_verify.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/")


def test_the_strangers_script_is_short_and_needs_one_package_only() -> None:
    text = (ROOT / "docs" / "audit_verify.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 100
    imported = {
        line.split()[1].split(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_a_stranger_verifies_an_export_and_finds_what_was_changed_in_it(folder: Path) -> None:
    file, key = folder / "export.jsonl", folder / "audit-key.pub"
    assert audit(folder, "anchor").exit_code == 0
    assert audit(folder, "export", str(file)).exit_code == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    done = stranger(file, key)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("1 anchors: 0 places broken\n")
    for kind, name, before, after in (
        ("entry", "text", '"decision":"CALL"', '"decision":"HELD"'),
        ("call", "evidence", '"excess":-', '"excess":'),
        ("order", "event", '"side":"SELL"', '"side":"BUY"'),
        ("anchor", "statement", '"day":"20', '"day":"21'),
    ):
        lines = [json.loads(line) for line in file.read_bytes().splitlines()]
        found = next(line[kind] for line in lines if kind in line and before in line[kind][name])
        found[name] = found[name].replace(before, after)
        forged = folder / f"{kind}.jsonl"
        forged.write_text(
            "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines), encoding="utf-8"
        )
        done = stranger(forged, key)
        named = {"entry": "is not what was recorded", "anchor": "not signed with the key"}.get(
            kind, f"{kind} {found.get(kind + '_id')}"
        )
        assert done.returncode == 1
        assert named in done.stdout, done.stdout
        assert "BROKEN the file" in done.stdout
        with pytest.raises(export_file.ExportRefused, match="not the file that was written"):
            export_file.read(forged)


def test_another_key_is_no_signature(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other") / "audit-key.pem"
    signing.create(other)
    file = folder / "export.jsonl"
    assert audit(folder, "anchor").exit_code == 0
    assert audit(folder, "export", str(file)).exit_code == 0
    assert "not signed with the key" in stranger(file, signing.beside(other)).stdout
    done = audit(folder, "verify", "--public-key", str(signing.beside(other)))
    assert done.exit_code == 1
    assert "ANCHOR_UNSIGNED at 1: signed with another key" in done.stdout


WITHOUT_PRIVILEGES = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]  # root obeys modes, too


def test_a_copy_that_cannot_be_written_is_verified_and_exported(folder: Path) -> None:
    """The store 0400 in a folder 0500."""
    assert audit(folder, "anchor").exit_code == 0
    copy = folder / "copy"
    copy.mkdir()
    for name in ("store.db", "audit-key.pub"):
        shutil.copy(folder / name, copy / name)
        (copy / name).chmod(0o400)
    copy.chmod(0o500)
    prefix = WITHOUT_PRIVILEGES if os.geteuid() == 0 else []
    program = [*prefix, sys.executable, "-m", "margin_platform.cli", "audit"]
    url = f"sqlite:///{copy / 'store.db'}"
    try:
        touched = subprocess.run([*prefix, "touch", str(copy / "new")], capture_output=True, check=False)
        assert touched.returncode != 0  # the copy is what it says
        for arguments in (["verify"], ["export", str(folder / "export.jsonl")]):
            command = [*program, *arguments, "--store", url]
            environment = {**os.environ, "MARGIN_DATA": str(folder / "auditor")}
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=120, cwd=ROOT, env=environment, check=False
            )
            assert (done.returncode, done.stderr) == (0, "")
        assert sorted(path.name for path in copy.iterdir()) == ["audit-key.pub", "store.db"]
    finally:
        copy.chmod(0o700)
    assert stranger(folder / "export.jsonl", copy / "audit-key.pub").returncode == 0


def make_old(store: Store) -> None:
    """Take a store back to the entries and the schema of before format 2."""
    with store.write() as connection:
        for row in connection.execute(select(t.audit)).all():
            entry = {name: value for name, value in row.entry.items() if name not in NEW_IN_FORMAT_2}
            connection.execute(update(t.audit).where(t.audit.c.seq == row.seq).values(entry=entry))
        for account in ("A1", "A2", "A3"):
            story.rehash(connection, account)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")


def test_chains_of_before_hold_as_they_are_and_go_on_in_the_new_format(store_url: str) -> None:
    """On both databases: an old store is migrated, verified, continued, anchored;
    then an old and a new entry are changed.
    """
    key = signing.Ed25519PrivateKey.generate()
    trusted = [signing.public_text(key)]
    with Store(store_url) as store:
        story.tell(store)
        make_old(store)
    with Store(store_url) as store:
        old, broken = audit_chain.verify(store)
        assert broken == []
        with store.read() as connection:
            assert audit_chain.records(connection).of_format_1 == old
        feed = story.status_events.StatusFeed()
        seen = feed.open("A1", -60_000, 100.0, 1000) + feed.price(10.0, 90)
        story.decide(store, [event for event in seen if event["timestamp"] > story.status_events.MORNING])
        retention.hold(store, "A2", who="alice@desk", why="matter 7")
        assert anchoring.anchor(store, key, day=DAY, at_ms=1_795_000_000_000, by="schedule") is not None
        count, broken = audit_chain.verify(store, trusted=trusted)
        assert broken == []
        assert count > old + 1
        with store.write() as connection:
            first = connection.execute(
                select(t.audit).where(t.audit.c.account_id == "A2", t.audit.c.number == 1)
            ).one()
            connection.execute(
                update(t.audit).where(t.audit.c.seq == first.seq).values(entry=first.entry | {"reason": "x"})
            )
            story.rehash(connection, "A2")
            connection.execute(delete(t.calls).where(t.calls.c.account_id == "A1"))
            connection.execute(delete(t.audit).where(t.audit.c.account_id == ACTS))
        kinds = {(f.account_id, str(f.kind)) for f in audit_chain.verify(store, trusted=trusted)[1]}
        assert {("A2", "CHAIN_REWRITTEN"), ("A1", "CALL_DELETED"), (ACTS, "ACCOUNT_DELETED")} <= kinds


def test_a_day_is_anchored_once_and_a_person_adds_only_what_is_new(folder: Path) -> None:
    key = signing.load(folder / "audit-key.pem")
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        first = anchoring.anchor(store, key, day=DAY, at_ms=1, by=anchoring.SCHEDULE)
        assert first is not None
        assert anchoring.anchor(store, key, day=DAY, at_ms=2, by=anchoring.SCHEDULE) is None
        assert anchoring.anchor(store, key, day=DAY, at_ms=3, by="alice@desk") is None
        retention.hold(store, "A1", who="alice@desk", why="matter 7")
        second = anchoring.anchor(store, key, day=DAY, at_ms=4, by="alice@desk")
        assert second is not None
        assert [leaf.account_id for leaf in second.leaves] == [ACTS]  # only what moved
        assert second.statement["previous"] == first.hash
        assert (
            anchoring.anchor(store, key, day=DAY.replace(day=28), at_ms=5, by=anchoring.SCHEDULE) is not None
        )
        with store.read() as connection:
            sent = connection.execute(
                select(t.outbox.c.event).where(t.outbox.c.topic == "audit.v1")
            ).scalars()
            assert [event["anchor"] for event in sent if "anchor" in event] == [1, 2, 3]


def test_the_key_is_its_owners_alone_and_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit-key.pem"
    made = signing.public_text(signing.create(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing.public_text(signing.create(path)) == made
    assert (
        signing.read_public(signing.beside(path).read_text(encoding="utf-8"))
        == made
        == signing.read_public(made)
    )
    assert sorted(file.name for file in path.parent.iterdir()) == ["audit-key.pem", "audit-key.pub"]


def test_a_reader_makes_no_key_and_says_what_is_missing(folder: Path) -> None:
    (folder / "audit-key.pem").unlink()
    for command_ in ("anchor", "key"):
        done = CliRunner().invoke(app, ["audit", command_], env={"MARGIN_DATA": str(folder)})
        assert done.exit_code == 1
        assert "audit key: no such file, `margin up` makes it, value" in done.stderr
    assert not (folder / "audit-key.pem").exists()
    (folder / "audit-key.pem").write_text("no key", encoding="utf-8")
    done = CliRunner().invoke(app, ["audit", "key"], env={"MARGIN_DATA": str(folder)})
    assert "not a private key in PEM form" in done.stderr
    done = audit(folder, "verify", "--public-key", str(folder / "store.db-missing"))
    assert (done.exit_code, "--public-key: No such file or directory, value" in done.stderr) == (2, True)


def test_every_human_act_says_who_when_and_what(folder: Path) -> None:
    store_url = f"sqlite:///{folder / 'store.db'}"
    assert audit(folder, "hold", "A1", "--why", "matter 7, asked by counsel").exit_code == 0
    assert "'A1' since" in audit(folder, "holds").stdout
    again = audit(folder, "hold", "A1", "--why", "matter 7")
    assert (again.exit_code, again.stderr) == (2, "margin: account: under legal hold already, value 'A1'\n")
    assert audit(folder, "release", "A1", "--why", "matter 7 is closed").exit_code == 0
    assert audit(folder, "release", "A1", "--why", "x").exit_code == 2
    with Store(store_url) as store:
        skip = CliRunner().invoke(
            app, ["progress", "skip", "enforcement", "margin.status.v1", "0", "500", "--store", store_url]
        )
        assert skip.exit_code == 0, skip.output
        assert (
            CliRunner()
            .invoke(app, ["progress", "forget", "margin.status.v1", "--store", store_url])
            .exit_code
            == 0
        )
        with store.write() as connection:
            acts.record_policy(connection, "house-1")
            acts.record_policy(connection, "house-1")
            acts.record_policy(connection, "house-2")
    said = json.loads(audit(folder, "acts", "--json").stdout)
    kinds = [
        "HOLD",
        "RELEASE",
        "PROGRESS_SKIPPED",
        "PROGRESS_FORGOTTEN",
        "POLICY_IN_FORCE",
        "POLICY_IN_FORCE",
    ]
    assert [act["decision"] for act in said] == kinds
    assert {act["who"] for act in said} == {acts.operator()}
    assert said[0]["about"] == "A1"
    assert said[0]["why"] == "matter 7, asked by counsel"
    assert "enforcement leaves margin.status.v1[0]" in said[2]["what"]
    assert said == sorted(said, key=lambda act: act["timestamp"])
    assert audit(folder, "verify").exit_code == 0


@pytest.mark.parametrize(
    ("account", "why", "named"), [("A1", " ", "--why: empty"), ("A\x1b", "x", "account: ")]
)
def test_a_hold_that_says_nothing_is_refused(folder: Path, account: str, why: str, named: str) -> None:
    done = audit(folder, "hold", account, "--why", why)
    assert (done.exit_code, named in done.stderr) == (2, True)


def test_records_expire_by_the_policys_years_but_never_under_hold_or_with_an_open_call(folder: Path) -> None:
    """A3's call was met; A1's and A2's are open."""
    years = current_policy().records.retention_years
    assert years == 6
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        with store.read() as connection:
            last = max(entry.decided_at for entry in audit_chain.entries_of(connection, "A3"))
            assert retention.expired(connection, years, last + int(years * YEARS)) == []
            assert retention.expired(connection, years, last + int(years * YEARS) + 60_000) == ["A3"]
        retention.hold(store, "A3", who="alice@desk", why="matter 7")
        with store.read() as connection:
            assert retention.expired(connection, years, last + 2 * int(years * YEARS)) == []


def test_what_is_no_export_is_refused_by_name(folder: Path) -> None:
    file = folder / "export.jsonl"
    for text, named in (
        ("", "empty"),
        ("{}\n{}\n", "line 1: not of an export"),
        ('{"end": {}}\n', "its last line"),
    ):
        file.write_text(text, encoding="utf-8")
        done = audit(folder, "verify", "--export", str(file))
        assert done.exit_code == 1
        assert named in done.stderr


class Topic:
    """audit.v1 as the outbox sent it, with what somebody else wrote there."""

    def __init__(self, messages: list[bytes | None]) -> None:
        self.messages = messages

    def read_all(self, topic: str) -> list[Record]:
        return [Record(topic, 0, n, None, value, 1) for n, value in enumerate(self.messages)]


FOREIGN: dict[str, bytes | None] = {
    "nothing": None,
    "no JSON": b"\xff",
    "a list": b"[]",
    "an anchor without its statement": b'{"account_id":"firm/anchors","decision":"ANCHOR","anchor":1}',
    "an anchor that is a text": b'{"account_id":"firm/anchors","decision":"ANCHOR","anchor":"x"}',
    "an entry that follows nothing": b'{"account_id":"A1","number":1}',
    "an entry without an account": b'{"number":1,"previous_hash":"0","timestamp":1582299000000}',
    "a number that is none": b'{"account_id":"A1","number":[],"previous_hash":"0"}',
}


@pytest.mark.parametrize("message", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_somebody_else_wrote_to_audit_v1_is_named_and_hides_no_forgery(
    folder: Path, message: bytes | None
) -> None:
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        anchoring.anchor(
            store, signing.load(folder / "audit-key.pem"), day=DAY, at_ms=1_790_000_000_000, by="x"
        )
        retention.hold(store, "A1", who="alice@desk", why="matter 7")
        with store.read() as connection:
            sent = connection.scalars(select(t.outbox.c.event).where(t.outbox.c.topic == AUDIT)).all()
            found = audit_chain.records(connection)
        whole = [encode(event) for event in sent]
        assert list(published.check(found, published.read(Topic(whole)), frozenset())) == []
        both = published.read(Topic([message, *whole]))
        (named,) = published.check(found, both, frozenset())
        assert (named.account_id, named.kind) == (AUDIT, "FOREIGN")
        assert named.reason.startswith("audit.v1[0]@0: ")
        assert published.read(Topic([message, *whole]), foreign_since=2).foreign == []  # Topic: produced at 1
        del found.entries["A3"], found.heads["A3"]
        assert ("A3", "ACCOUNT_DELETED") in {
            (one.account_id, one.kind) for one in published.check(found, both, frozenset())
        }


def test_every_message_of_the_trail_fits_its_declaration(folder: Path) -> None:
    """Decisions, orders, acts and anchors: the published schema accepts what is published."""
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        anchoring.anchor(
            store, signing.load(folder / "audit-key.pem"), day=DAY, at_ms=1_790_000_000_000, by="x"
        )
        retention.hold(store, "A1", who="alice@desk", why="matter 7")
        with store.read() as connection:
            sent = connection.scalars(select(t.outbox.c.event).where(t.outbox.c.topic == AUDIT)).all()
    schema = jsonschema.Draft202012Validator(schema_of(TOPICS[AUDIT]))
    for event in sent:
        decode(AUDIT, encode(event))
        schema.validate(event)
    assert {"ANCHOR", "HOLD", "CALL", "ORDER"} <= {event["decision"] for event in sent}
