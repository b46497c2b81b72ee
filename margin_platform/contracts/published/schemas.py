"""The JSON Schemas of the topics' events, which lie in `contracts/schemas/`."""

from __future__ import annotations

import json
from pathlib import Path

from margin_platform.contracts.events.declarations import Checker, Field
from margin_platform.contracts.topics import Topic

SCHEMAS = Path(__file__).parents[1] / "schemas"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(topic: Topic) -> dict[str, object]:
    """Return the JSON Schema of a topic's events. Its required fields are those that are always published."""
    return {
        "$schema": DIALECT,
        "title": topic.name,
        "description": paragraphs(topic)[0],
        "type": "object",
        **fields_schema(topic.check),
        "additionalProperties": True,
    }


def fields_schema(declared: Checker) -> dict[str, object]:
    """Return what a declaration requires and allows of an object's fields."""
    return {
        "required": [field.name for field in declared.fields if field.always],
        "properties": {field.name: _property(field) for field in declared.fields},
    }


def _property(field: Field) -> dict[str, object]:
    found = {"anyOf": [field.kind.schema, {"type": "null"}]} if field.nullable else dict(field.kind.schema)
    return found | ({"description": field.note} if field.note else {})


def paragraphs(topic: Topic) -> list[str]:
    """Return the paragraphs of a declaration's docstring, each on one line."""
    text = topic.check.declared.__doc__ or ""
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]


def text_of(topic: Topic) -> str:
    """Return a topic's schema as the text of its file."""
    return json.dumps(schema(topic), indent=2) + "\n"
