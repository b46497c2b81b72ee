"""The export: one file with everything that a stranger needs to verify the trail without the database
(docs/audit.md).

One JSON object a line. What is hashed stands as its canonical text inside a string, so that a reader in any
language hashes the same bytes. The last line holds the sha256 of all lines before it, signed where the key is
at hand.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from margin_platform.audit.anchors import document_of, from_document, leaf_of
from margin_platform.audit.entries import Entry, canonical, of_type
from margin_platform.audit.findings import MISSHAPEN
from margin_platform.audit.records import Records, Row, by_chain
from margin_platform.audit.signing import is_signed, public_text, signature

EXPORT_FORMAT = "margin audit export 1"


class ExportRefused(ValueError):
    """The file is no whole export, or not the one that was written; the message names the line."""


def write(path: Path, records: Records, *, at_ms: int, by: str, key: Ed25519PrivateKey | None) -> int:
    """Write an export, readable by its owner only; return the number of lines.

    at_ms: wall clock; by: who makes it.
    """
    hashed, count = hashlib.sha256(), 0
    descriptor = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600
    )  # it holds positions of customers
    with os.fdopen(descriptor, "wb") as file:
        for part in _parts(records, {"format": EXPORT_FORMAT, "at_ms": at_ms, "by": by}):
            line = canonical(part) + b"\n"
            hashed.update(line)
            file.write(line)
            count += 1
        end: dict[str, Any] = {
            "lines": count,
            "sha256": hashed.hexdigest(),
            "signature": None,
            "public_key": None,
        }
        if key is not None:
            end |= {"signature": signature(key, hashed.digest()), "public_key": public_text(key)}
        file.write(canonical({"end": end}) + b"\n")
    return count + 1


def _parts(records: Records, header: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"export": header}
    for entries in records.entries.values():
        for entry in entries:
            yield {"entry": vars_of(entry)}
    for leaf in records.heads.values():
        yield {"head": list(leaf)}
    for row in records.calls.values():
        yield {"call": row}
    for row in records.orders.values():
        yield {"order": row | {"event": canonical(row["event"]).decode()}}
    for account, row in records.states.items():
        yield {"state": row | {"account_id": account}}
    for account, row in records.holds.items():
        yield {"hold": row | {"account_id": account}}
    for anchor in records.anchors:
        yield {"anchor": document_of(anchor)}


def vars_of(entry: Entry) -> dict[str, Any]:
    """Return the fields of an entry, its text as a string."""
    names = ("account_id", "number", "decided_at", "previous_hash", "hash")
    return {name: getattr(entry, name) for name in names} | {"text": entry.text.decode()}


def read(path: Path) -> Records:
    """Read an export.

    ExportRefused where a line is not of one, or where its end does not fit the lines before.
    """
    lines = path.read_bytes().splitlines(keepends=True)
    if not lines:
        raise ExportRefused(f"{path}: empty")
    found, entries = Records(), list[Entry]()
    readers = _readers(found, entries)
    for number, line in enumerate(lines[:-1], 1):
        try:
            ((kind, value),) = orjson.loads(line).items()
            readers[kind](value)
        except MISSHAPEN as error:
            raise ExportRefused(f"{path}: line {number}: not of an export, value {line[:80]!r}") from error
    found.entries = by_chain(entries)
    _check_end(path, lines)
    return found


def _readers(found: Records, entries: list[Entry]) -> dict[str, Callable[[Any], None]]:
    """Return what is done with each kind of line."""

    def header(value: dict[str, Any]) -> None:
        if value["format"] != EXPORT_FORMAT:
            raise ValueError(value)

    return {
        "export": header,
        "entry": lambda v: entries.append(_entry(v)),
        "head": lambda v: found.heads.update({v[0]: leaf_of(v)}),
        "call": lambda v: found.calls.update({v["call_id"]: _of_an_account(v)}),
        "order": lambda v: found.orders.update(
            {v["order_id"]: _of_an_account(v) | {"event": orjson.loads(v["event"])}}
        ),
        "state": lambda v: found.states.update({v["account_id"]: _of_an_account(v)}),
        "hold": lambda v: found.holds.update({v["account_id"]: _of_an_account(v)}),
        "anchor": lambda v: found.anchors.append(from_document(v)),
    }


def _entry(row: Row) -> Entry:
    kinds = {"account_id": str, "number": int, "decided_at": int, "previous_hash": str, "hash": str}
    return Entry(
        text=of_type(str, row["text"]).encode(),
        **{name: of_type(kind, row[name]) for name, kind in kinds.items()},
    )


def _of_an_account(row: Row) -> Row:
    of_type(str, row["account_id"])
    return row


def _check_end(path: Path, lines: list[bytes]) -> None:
    try:
        end = orjson.loads(lines[-1])["end"]
        hashed = hashlib.sha256(b"".join(lines[:-1]))
        whole = (end["lines"], end["sha256"]) == (len(lines) - 1, hashed.hexdigest())
        if end["signature"] is not None:
            whole = whole and is_signed(end["public_key"], hashed.digest(), end["signature"])
    except (ValueError, KeyError, TypeError) as error:
        raise ExportRefused(f"{path}: its last line is not the end of an export") from error
    if not whole:
        raise ExportRefused(f"{path}: not the file that was written: its sha256 is another")
