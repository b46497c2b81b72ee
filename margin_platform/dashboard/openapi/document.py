"""The OpenAPI document, built from the declared operations, answers and topics."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from msgspec.json import schema_components

from margin_platform import __version__
from margin_platform.contracts.json_object import Json
from margin_platform.contracts.published.schemas import schema
from margin_platform.contracts.topics import TOPICS
from margin_platform.dashboard.desk.acts import APPROVER, USER
from margin_platform.dashboard.openapi.events import COMPONENTS_PATH, TOPICS_SHOWN
from margin_platform.dashboard.openapi.operations import BY_TAG, Operation, Parameter

OPENAPI_FILE = Path(__file__).parents[3] / "docs" / "api" / "openapi.json"
_ABOUT = (
    "Margin Platform over HTTP: the book, single accounts, the order gate and the desk. Read-only but for "
    "the gate and the acts of desk users. On loopback no token is needed. Elsewhere each request shows one as"
    " `Authorization: Bearer`. A request is refused as plain text with 401 (no token, or another), 403 (a "
    "foreign origin), 405 (another method), 421 (a foreign host name) or 429 (too many wrong tokens)."
)
_MEANING = {
    200: "done",
    400: "a value that cannot be used",
    401: "not a desk user's token",
    404: "not found",
    408: "the body was not whole in time",
    413: "the body is too large",
    422: "a field that cannot be used",
    503: "not answered, or not of now",
}


def document() -> Json:
    """Return every operation, the shapes of its answers, and the events that they hold."""
    operations = [operation for listed in BY_TAG.values() for operation in listed]
    shapes = {shape for operation in operations for shape in operation.answers.values()} - {str}
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    references, components = schema_components(ordered, ref_template=COMPONENTS_PATH + "{name}")
    reference_of = dict(zip(ordered, references, strict=True))
    events = {name: schema(TOPICS[name]) for name in TOPICS_SHOWN}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Margin Platform: dashboard and order gate",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8050", "description": "`margin up`"}],
        "tags": [{"name": tag} for tag in BY_TAG],
        "security": [{}, {"bearer": []}],
        "paths": dict(_paths(reference_of)),
        "components": {
            "schemas": dict(sorted(components.items())) | events,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "desk_user": {"type": "apiKey", "in": "header", "name": USER},
            },
        },
    }


def _paths(reference_of: dict[type, Json]) -> Iterator[tuple[str, Json]]:
    for tag, listed in BY_TAG.items():
        for operation in listed:
            yield operation.path, {operation.method: _operation(tag, operation, reference_of)}


def _operation(tag: str, operation: Operation, reference_of: dict[type, Json]) -> Json:
    found: Json = {"tags": [tag], "operationId": operation.name, "summary": operation.about}
    parameters = [_parameter(parameter) for parameter in operation.parameters]
    if operation.of_a_desk_user:
        found["security"] = [{"desk_user": []}, {"desk_user": [], "bearer": []}]
        about = "the token of another desk user, who approves an extension"
        parameters.append(
            {"name": APPROVER, "in": "header", "description": about, "schema": {"type": "string"}}
        )
    if parameters:
        found["parameters"] = parameters
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": _json(operation.body)}
    found["responses"] = {
        str(status): {"description": _MEANING[status], "content": _content(shape, reference_of)}
        for status, shape in sorted(operation.answers.items())
    }
    return found


def _parameter(parameter: Parameter) -> Json:
    kind = {"type": "array", "items": parameter.schema} if parameter.repeats else parameter.schema
    found: Json = {"name": parameter.name, "in": "query", "description": parameter.about, "schema": kind}
    return found | ({"required": True} if parameter.required else {})


def _content(shape: type, reference_of: dict[type, Json]) -> Json:
    return {"text/html": {"schema": {"type": "string"}}} if shape is str else _json(reference_of[shape])


def _json(shape: Json) -> Json:
    return {"application/json": {"schema": shape}}


def text() -> str:
    """Return the document as the text of its file."""
    return json.dumps(document(), indent=1) + "\n"
