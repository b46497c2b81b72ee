"""The topics as an AsyncAPI 3.0 document, for programs that generate clients, mocks or pages from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from margin_platform import __version__
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.published.schemas import fields_schema, paragraphs, schema
from margin_platform.contracts.topics import INPUTS, TOPICS, Topic

ASYNCAPI_FILE = Path(__file__).parents[3] / "docs" / "api" / "asyncapi.json"
_MS_A_DAY = 86_400_000
_ABOUT = (
    "Events of Margin Platform on Kafka. JSON, UTF-8. `timestamp` is event time in epoch milliseconds UTC; "
    "money is dollars rounded to cents; quantities are signed shares. Delivery is at least once, and every "
    "output carries a deterministic id. A message that breaks its contract goes to dead_letter.v1."
)


def document() -> Json:
    """Return every topic as a channel, its event as a message, and what the platform does with it."""
    topics = TOPICS.values()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Margin Platform: Kafka topics",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "local": {
                "host": "127.0.0.1:9092",
                "protocol": "kafka",
                "description": "The broker of `margin up`. Another one: MARGIN_KAFKA.",
            }
        },
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": dict(_operations()),
        "components": {"messages": {topic.name: _message(topic) for topic in topics}},
    }


def _channel(topic: Topic) -> Json:
    kept = -1 if topic.retention_days is None else topic.retention_days * _MS_A_DAY
    return {
        "address": topic.name,
        "description": " ".join(paragraphs(topic)),
        "messages": {"event": {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": kept},
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operations() -> Iterator[tuple[str, Json]]:
    """Yield the platform's side of each topic: it receives what other systems send, and sends the rest."""
    for name in TOPICS:
        action = "receive" if name in INPUTS else "send"
        channel = f"#/channels/{name}"
        yield (
            f"{action}.{name}",
            {
                "action": action,
                "channel": {"$ref": channel},
                "messages": [{"$ref": f"{channel}/messages/event"}],
            },
        )


def _message(topic: Topic) -> Json:
    # AsyncAPI has a dialect of its own, which all keywords used here belong to
    payload: Json = {name: value for name, value in schema(topic).items() if name != "$schema"}
    if more := [_of_action(action, topic) for action in topic.by_action]:
        payload["allOf"] = more
    event = topic.check.declared.__name__
    key = {"type": "string", "description": f"the event's `{topic.key}`"}
    return {
        "name": event,
        "title": topic.name,
        "summary": paragraphs(topic)[0],
        "contentType": "application/json",
        "payload": payload,
        "bindings": {"kafka": {"key": key, "bindingVersion": "0.5.0"}},
    }


def _of_action(action: str, topic: Topic) -> Json:
    """Return what an event with this action carries beyond its fields; an order without one is NEW."""
    return {
        "if": {"properties": {"action": {"const": action}}},
        "then": fields_schema(topic.by_action[action]),
    }


def text() -> str:
    """Return the document as the text of its file."""
    return json.dumps(document(), indent=1) + "\n"
