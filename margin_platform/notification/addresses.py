"""Addresses of a contact: one field is one recipient, or a notice about one customer reaches somebody
else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LABEL = r"[^\W_](?:[\w-]*[^\W_])?"  # of a domain
_ONE = {
    # "=?" begins an encoded word: what it hides may be a comma, and a second mailbox behind it
    "email": re.compile(rf"(?!.*=\?)[^\s,;:<>()\[\]\\\"\x00-\x1f\x7f@]+@{_LABEL}(?:\.{_LABEL})*"),
    "phone": re.compile(r"[^,;\x00-\x1f\x7f]+"),
}


def flaw(kind: str, address: str) -> str | None:
    """Explain why a notice may not go to an address: it is none, or more than one. Return None where it
    may."""
    return None if _ONE[kind].fullmatch(address) else f"not one {kind} address"


def address_of(contact: Mapping[str, Any], kind: str, account_id: str) -> tuple[str | None, str | None]:
    """Return the contact's email or phone; where it cannot be used None, and why."""
    address = contact.get(kind)
    if not address:
        return None, f"contact.{kind}: missing for account {account_id}"
    if reason := flaw(kind, address):
        return None, f"contact.{kind}: {reason} for account {account_id}, value {address!r:.400}"
    return address, None
