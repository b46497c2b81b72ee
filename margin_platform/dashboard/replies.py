"""The replies of the page's questions: JSON, and a refusal that names the field."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import orjson
from starlette.requests import Request
from starlette.responses import Response

from margin_platform.documents.book_input import InputError


def reply(data: object, status: int = 200) -> Response:
    """Return data as JSON."""
    return Response(
        orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS),
        status,
        media_type="application/json",
    )


def threaded(answer: Callable[[Request], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler that answers in a thread: a slow read delays no frame of another page."""

    async def handle(request: Request) -> Response:
        return await asyncio.to_thread(answer, request)

    return handle


def refused(error: InputError) -> Response:
    """Return what cannot be used: the field and the reason."""
    return reply({"error": str(error), "field": error.field, "reason": error.reason}, 400)


def finite(field: str, text: str) -> float:
    """Return a number that was asked with. InputError where it is none, or beyond use."""
    try:
        number = float(text or "0")
    except ValueError as error:
        raise InputError(field, text, "not a number") from error
    if not math.isfinite(number) or abs(number) > 1e12:
        raise InputError(field, text, "not a usable number")
    return number
