"""Text of elsewhere made visible: what a terminal would act upon is shown as its escape instead.

An id, a file or another program's message may hold ESC, a line break or a mark that turns the direction of
writing. Printed as it is, it could set the title, clear the screen, or look like a line of ours. Commands and
logs print through these functions only.
"""

from __future__ import annotations

import logging
import re
import sys
import unicodedata
from typing import TextIO

# Control, format (bidi, zero width), lone surrogate, private use; line and paragraph separator.
_ACTED_UPON = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_NOT_PLAIN = re.compile(r"[^ -~]")
_LONGEST = 1_000  # characters of a text of elsewhere
_LONGEST_LINE = 10_000  # characters of a line of a log


def visible(text: object, keep: str = "") -> str:
    """Return a text with every character that a terminal acts upon as an escape, such as \\x1b,
    but those of `keep`.
    """

    def shown(match: re.Match[str]) -> str:
        letter = match[0]
        if letter in keep or unicodedata.category(letter) not in _ACTED_UPON:
            return letter
        return letter.encode("unicode_escape").decode()

    return _NOT_PLAIN.sub(shown, str(text))


def shortened(text: str, most: int = _LONGEST) -> str:
    """Return a text as it is; of a long one its beginning, and how many characters it has in all."""
    return text if len(text) <= most else f"{text[:most]}... (cut: {len(text)} characters in all)"


def in_words(value: object) -> str:
    """Return a value as Python writes it; of one that nests too deeply for that, what it is."""
    try:
        return repr(value)
    except RecursionError:
        return f"a {type(value).__name__}, nested too deeply to be shown"


def visible_json(text: str) -> str:
    """Return JSON that means the same, with those characters as JSON's own escapes.

    Line breaks between values stay.
    """

    def shown(match: re.Match[str]) -> str:
        letter = match[0]
        if letter == "\n" or unicodedata.category(letter) not in _ACTED_UPON:
            return letter
        units = letter.encode("utf-16-be", "surrogatepass")
        return "".join(f"\\u{units[n : n + 2].hex()}" for n in range(0, len(units), 2))

    return _NOT_PLAIN.sub(shown, text)


class VisibleFormatter(logging.Formatter):
    """A log formatter whose message is one visible line of bounded length,
    and whose traceback has no line of another's making.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        return visible(shortened(super().formatMessage(record), _LONGEST_LINE))

    def formatException(self, ei: object) -> str:  # noqa: N802 - logging's own name
        return visible(super().formatException(ei), keep="\n")  # type: ignore[arg-type]


def log_to_terminal(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send this program's log to a stream (standard error), one visible line a message."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(VisibleFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
