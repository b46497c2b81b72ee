"""The desk users: a JSON file of names with the sha256 of each one's token (MARGIN_DESK_USERS).

The file never holds a token. A person who can write it can act, so it is its owner's alone.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from margin_platform.contracts.json_object import flaw_of_keys
from margin_platform.contracts.refusals import NO_VALUE, Refused
from margin_platform.dashboard.server.guesses import Guesses

_NAME = re.compile(r"[\w.@-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BadUsers(Refused):
    """A file of users, or a name, that cannot be used."""


@dataclass(frozen=True)
class DeskUsers:
    """Who may act. file: see above; None: no one."""

    file: Path | None
    guesses: Guesses = field(default_factory=Guesses)

    def name_of(self, token: str, address: str) -> str | None:
        """Return whose token it is; None where it is no one's, or its address guessed too often."""
        if self.file is None or not token or self.guesses.wait_s(address) > 0:
            return None
        shown = _digest(token)
        found = [name for name, digest in read(self.file).items() if hmac.compare_digest(digest, shown)]
        if not found:
            self.guesses.was_wrong(address)
        return next(iter(found), None)


def read(file: Path) -> dict[str, str]:
    """Return the digests by name. BadUsers where the file is not one of users."""
    try:
        text = file.read_bytes()
        known = orjson.loads(text)
    except FileNotFoundError:
        raise BadUsers("MARGIN_DESK_USERS", str(file), "no such file") from None
    except orjson.JSONDecodeError:
        raise BadUsers("MARGIN_DESK_USERS", str(file), "not JSON") from None
    if not isinstance(known, dict):
        raise BadUsers("MARGIN_DESK_USERS", str(file), "not an object of name to sha256")
    if flaw := flaw_of_keys(known, text):
        raise BadUsers(f"MARGIN_DESK_USERS.{flaw[0]}", NO_VALUE, flaw[2])
    for name, digest in known.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            # perhaps the token itself: it is not repeated
            raise BadUsers(f"MARGIN_DESK_USERS.{name}", NO_VALUE, "not the sha256 of a token")
    return known


def add(file: Path, name: str) -> str:
    """Give a name a new token and return it; the token of before, if any, ends.

    BadUsers for a name that cannot be used.
    """
    if not _NAME.fullmatch(name):
        raise BadUsers("name", name, "not 1 to 64 letters, digits or . _ - @")
    token = secrets.token_urlsafe(24)
    _write(file, (read(file) if file.exists() else {}) | {name: _digest(token)})
    return token


def remove(file: Path, name: str) -> None:
    """End a name's token. BadUsers for a name that is not in the file."""
    known = read(file) if file.exists() else {}
    if name not in known:
        raise BadUsers("name", name, "no desk user")
    _write(file, {other: digest for other, digest in known.items() if other != name})


def _write(file: Path, known: dict[str, str]) -> None:
    """Replace the file at once: a reader sees the one of before or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
    part.replace(file)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
