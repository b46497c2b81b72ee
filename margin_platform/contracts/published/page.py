"""The tables of docs/contracts.md."""

from __future__ import annotations

import textwrap
from pathlib import Path

from margin_platform.contracts.events.declarations import Field
from margin_platform.contracts.published.schemas import paragraphs
from margin_platform.contracts.topics import TOPICS, Topic

PAGE = Path(__file__).parents[3] / "docs" / "contracts.md"
_FIRST_TOPIC = "\n## "  # what stands above it on the page is written by hand
_WIDTH = 120


def section(topic: Topic) -> str:
    """Return the page of contracts' text about a topic."""
    first, *more = paragraphs(topic)
    parts = "1 partition" if topic.partitions == 1 else f"{topic.partitions} partitions"
    text = " ".join((first, f"Key `{topic.key}`, {parts}, {_kept(topic)}.", *more))
    rows = "".join(
        f"| `{field.name}` | {_words(field)} | {_presence(field)} |\n" for field in topic.check.fields
    )
    wrapped = "\n".join(textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))
    return f"## {topic.name}\n\n{wrapped}\n\n| field | value | |\n|---|---|---|\n{rows}"


def _kept(topic: Topic) -> str:
    return "kept forever" if topic.retention_days is None else f"kept {topic.retention_days} days"


def _words(field: Field) -> str:
    return field.kind.words + (", or null" if field.nullable else "")


def _presence(field: Field) -> str:
    return ("required" if field.always else "optional") + (f"; {field.note}" if field.note else "")


def page() -> str:
    """Return the page of contracts, its introduction as it stands."""
    introduction = PAGE.read_text(encoding="utf-8").partition(_FIRST_TOPIC)[0]
    return "\n".join((introduction, *(section(topic) for topic in TOPICS.values())))
