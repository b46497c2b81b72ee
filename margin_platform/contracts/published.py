"""The published form of the declarations:
the JSON Schemas beside this module, and the tables of docs/contracts.md.

`python -m margin_platform.contracts.published` writes both; a test holds them against the declarations.
"""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

from margin_platform.contracts.events.declarations import Field
from margin_platform.contracts.topics import TOPICS, Topic

SCHEMAS = Path(__file__).parent / "schemas"
PAGE = Path(__file__).parents[2] / "docs" / "contracts.md"
_FIRST_TOPIC = "\n## "  # what stands above it on the page is written by hand
_WIDTH = 120


def schema(topic: Topic) -> dict[str, object]:
    """Return the JSON Schema of a topic's events. Its required fields are those that are always published."""
    fields = topic.check.fields
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": topic.name,
        "description": _sentences(topic)[0],
        "type": "object",
        "required": [field.name for field in fields if field.always],
        "properties": {field.name: _property(field) for field in fields},
        "additionalProperties": True,
    }


def _property(field: Field) -> dict[str, object]:
    found = {"anyOf": [field.kind.schema, {"type": "null"}]} if field.nullable else dict(field.kind.schema)
    return found | ({"description": field.note} if field.note else {})


def _sentences(topic: Topic) -> list[str]:
    """Return the paragraphs of a declaration's docstring, each on one line."""
    text = topic.check.declared.__doc__ or ""
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


def section(topic: Topic) -> str:
    """Return the page of contracts' text about a topic."""
    first, *more = _sentences(topic)
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


def text_of(topic: Topic) -> str:
    """Return a topic's schema as the text of its file."""
    return json.dumps(schema(topic), indent=2) + "\n"


def main() -> None:
    for topic in TOPICS.values():
        (SCHEMAS / f"{topic.name}.json").write_text(text_of(topic), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
