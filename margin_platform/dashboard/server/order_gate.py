"""The order gate over HTTP: order systems ask before they send, and give back what they do not use."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Awaitable, Callable, Mapping

import orjson
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from margin_platform.contracts.bounds import LONGEST_ID
from margin_platform.contracts.events.row_types import LONGEST_KEY
from margin_platform.contracts.json_object import flaw_of_depth, flaw_of_keys
from margin_platform.contracts.refusals import Refused
from margin_platform.contracts.visible_text import in_words, shortened
from margin_platform.dashboard.server.wall_clock import wall_clock_ms
from margin_platform.enforcement.order_gate import Gate, Order
from margin_platform.policy.policy import current_policy
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreOutdated

MOST_SHARES = 1e12
_MOST_BYTES = 65_536
_BODY_SECONDS = 10.0
SIDES = {"BUY": 1.0, "BUY_TO_COVER": 1.0, "SELL": -1.0, "SELL_SHORT": -1.0}
ORDER_FIELDS = ("account_id", "symbol", "side", "qty", "order_id")
RELEASE_FIELDS = ("account_id", "reservation_id")


class BadOrder(Refused):
    """A request that cannot be judged; names the field, its value and the reason.

    status: 400 not JSON, 413 too long, 422 a field.
    """

    def __init__(self, field: str, value: object, reason: str, status: int = 422) -> None:
        super().__init__(field, value, reason)
        self.status = status

    def __reduce__(self) -> tuple[type[BadOrder], tuple[object, ...]]:
        return type(self), (self.field, self.value, self.reason, self.status)


def parse_order(body: bytes) -> Order:
    """Read `{"account_id", "symbol", "side", "qty"}` and, where given, `"order_id"`.

    BadOrder names what cannot be used.
    """
    data = _object(body, ORDER_FIELDS)
    account_id, symbol = (_text(data, name) for name in ("account_id", "symbol"))
    side, qty = data.get("side"), data.get("qty")
    if not isinstance(side, str) or side not in SIDES:
        raise BadOrder("side", side, f"not one of {', '.join(SIDES)}")
    if (
        isinstance(qty, bool)
        or not isinstance(qty, int | float)
        or not math.isfinite(qty)
        or not 0 < qty <= MOST_SHARES
    ):
        raise BadOrder("qty", qty, "not a number of shares above 0")
    order_id = None if data.get("order_id") is None else _text(data, "order_id", LONGEST_KEY)
    return Order(account_id, symbol, SIDES[side] * qty, order_id)


def parse_release(body: bytes) -> tuple[str, str]:
    """Read `{"account_id", "reservation_id"}`. BadOrder names what cannot be used."""
    data = _object(body, RELEASE_FIELDS)
    return _text(data, "account_id"), _text(data, "reservation_id", LONGEST_KEY)


def _object(body: bytes, fields: tuple[str, ...]) -> dict[str, object]:
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadOrder("body", body[:80].decode("utf-8", "replace"), "not JSON", 400) from None
    if not isinstance(data, dict):
        raise BadOrder("body", data, "not an object", 400)
    if flaw := flaw_of_depth(data, body) or flaw_of_keys(data, body):
        raise BadOrder(*flaw)
    if unknown := sorted(set(data) - set(fields)):
        raise BadOrder(unknown[0], data[unknown[0]], f"unknown field, not one of {', '.join(fields)}")
    return data


def _text(data: Mapping[str, object], name: str, longest: int = LONGEST_ID) -> str:
    """Return a text that names something."""
    value = data.get(name)
    if not isinstance(value, str) or not value.strip():
        raise BadOrder(name, value, "missing or not a non-empty text")
    if len(value) > longest or "\0" in value:
        raise BadOrder(
            name, value[:80], f"longer than {longest} characters" if len(value) > longest else "holds a NUL"
        )
    return value


def endpoint(
    store: Store | Callable[[], Store] | None = None,
    *,
    known: Callable[[str], bool] = lambda _: False,
    clock: Callable[[], int] = wall_clock_ms,
    now: Callable[[], int] = wall_clock_ms,
) -> Starlette:
    """Return an application that answers POST /orders/check and POST /orders/release.

    A check is answered by the fields of a `Verdict`, with 200 for either verdict; a release by
    `{"released"}`. store: an open store, or a function that opens one on the first question; by default the
    one of the settings, which is never created here. known, clock, now: see `Gate`. 400, 413 and 422 name the
    field and the value of a request that cannot be judged; 503: the store does not answer, so nothing is
    allowed.
    """
    opened = functools.cache(store if callable(store) else functools.partial(opened_store, store))

    def gate() -> Gate:
        return Gate(opened(), current_policy().gate, clock, now, known)

    def check(body: bytes) -> dict[str, object]:
        return gate().judge(parse_order(body)).as_dict()

    def release(body: bytes) -> dict[str, object]:
        return {"released": gate().release(*parse_release(body))}

    return Starlette(
        routes=[
            Route("/orders/check", _answering(check), methods=["POST"]),
            Route("/orders/release", _answering(release), methods=["POST"]),
        ]
    )


def _answering(act: Callable[[bytes], dict[str, object]]) -> Callable[[Request], Awaitable[Response]]:
    """Build a handler that reads a bounded body, acts in a thread, and turns each failure into its answer."""

    async def handle(request: Request) -> Response:
        try:
            return _json(await asyncio.to_thread(act, await body_of(request)))
        except BadOrder as error:
            refusal = {
                "error": str(error),
                "field": error.field,
                "value": shortened(in_words(error.value)),
                "reason": error.reason,
            }
            return _json(refusal, error.status)
        except (SQLAlchemyError, OSError, StoreOutdated) as error:
            return _json({"error": f"the store does not answer: {type(error).__name__}", "allow": False}, 503)

    return handle


async def body_of(request: Request) -> bytes:
    """Read a bounded body. BadOrder where it is too large or too slow."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > _MOST_BYTES:
                    raise BadOrder("body", f"{len(body)} bytes", f"above {_MOST_BYTES} bytes", 413)
    except TimeoutError as error:
        raise BadOrder("body", f"{len(body)} bytes", f"not whole within {_BODY_SECONDS:g} s", 408) from error
    return body


def _json(data: Mapping[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(data), status, media_type="application/json")


def opened_store(store: Store | None) -> Store:
    """Return the store to write reservations to.

    One that does not exist, or has another schema, is an error and is not created.
    """
    if store is not None:
        return store
    url = settings().store_url
    return Store(url, migrate=False)
