"""Identity: what may name an account, an instrument, a fill.

Two names that look alike on a screen are never two things.
"""

from __future__ import annotations

import unicodedata

from margin_platform.contracts.bounds import LONGEST_ID

# Letters and marks without a visible form of their own, besides the control and format characters
# `isprintable` refuses.
_INVISIBLE = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
)


def _expanded(ranges: str) -> frozenset[str]:
    found: set[str] = set()
    letters = iter(ranges)
    last = ""
    for letter in letters:
        if letter == "-":
            found.update(map(chr, range(ord(last), ord(next(letters)) + 1)))
        else:
            found.add(letter)
            last = letter
    return frozenset(found)


_HIDDEN = _expanded(_INVISIBLE)
# The same rule for JSON Schema (ECMA 262): no control, format or invisible character, no blank but U+0020,
# and none at an end.
PATTERN = (
    r"^(?![\s\S]*[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f"
    r"\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff])"
    r"[^ ](?:[\s\S]*[^ ])?$"
)


def refusal_of_id(value: object) -> str | None:
    """Return why a value cannot name anything, or None where it can."""
    if not isinstance(value, str):
        return "not a non-empty text"
    if len(value) > LONGEST_ID:
        return f"longer than {LONGEST_ID} characters"
    if value.isascii() and value.isprintable() and value[:1].strip() and value[-1:].strip():
        return None
    return _refusal(value)


def _refusal(value: str) -> str | None:
    """Return why a name is refused that is not plain ASCII without blanks at its ends."""
    if not value.strip():
        return "not a non-empty text"
    if value != value.strip():
        return "begins or ends with a blank"
    for letter in value:
        if not letter.isprintable() or letter in _HIDDEN:
            return f"holds the invisible character U+{ord(letter):04X}"
    return None if unicodedata.is_normalized("NFC", value) else "not in Unicode's composed form (NFC)"
