"""Labels, reasons and messages use the words of an American margin desk, and none that they replaced."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PRODUCT = Path(__file__).parents[2] / "margin_platform"
REPLACED = {  # as it was -> as a desk says it
    "Held as": "Margin type",
    "held to": "Applied requirement",
    "Cheaper": "Lower method",
    "Saving": "PM relief",
    "Under way": "Open actions",
    "in a severe scenario": "Fails SPY ±6% stress",
    "next rung": "Cushion to next action",
    "Cheapest cures": "Ways to meet the call",
    "by SNS": "by text",
    "no notice yet": "Notice pending",
    "due time stays": "Due date unchanged",
    "Behind Kafka": "Data delay",
    "event time": "As of",
    "not current": "Stale",
    "beyond the limit": "Limit breached",
    "heard of": "Account not found",
    "collections": "Refer unsecured debit to Credit",
    "index move": "-4.42%",
}
SHOWN = [
    *(path for path in PRODUCT.glob("dashboard/static/**/*.js") if path.parent.name != "vendor"),
    *PRODUCT.glob("dashboard/static/*.html"),
    *PRODUCT.glob("notification/templates/*"),
    *PRODUCT.glob("backtest/report/*.j2"),
    PRODUCT / "ladder" / "reasons.py",
    PRODUCT / "notification" / "message.py",
    PRODUCT / "notification" / "wording.py",
    PRODUCT / "enforcement" / "explanation_text.py",
]
COMMENT = re.compile(r'^\s*//[^\n]*|^\s*""".*?"""|<!--.*?-->|^\s*#[^\n]*', re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|`[^`]*`|>[^<{]+<")


def _texts(path: Path) -> str:
    """What a person may read of a file: its quoted text, or all of a template."""
    said = COMMENT.sub("", path.read_text(encoding="utf-8"))
    return said if path.suffix == ".j2" else "\n".join(QUOTED.findall(said))


@pytest.mark.parametrize("path", SHOWN, ids=lambda p: p.name)
def test_no_word_that_was_replaced_is_shown(path: Path) -> None:
    text = _texts(path)  # a field keeps its name, in small letters: `saving`
    assert [word for word in REPLACED if word in text or word.capitalize() in text] == []


def test_the_words_that_replaced_them_are_read_from_the_files() -> None:
    text = "\n".join(_texts(path) for path in SHOWN)
    labels = ("Margin type", "Lower method", "PM relief", "Open actions", "Cushion to next action")
    assert [label for label in labels if label not in text] == []
