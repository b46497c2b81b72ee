"""The order gate: whether an order may be sent, asked before it is. An account that is close-only may reduce, and no more.

`allow` is the rule. `endpoint` serves it over HTTP for order systems, on the restriction and the positions the store holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:   # the rule runs without a server or a store
    from starlette.applications import Starlette

    from margin_platform.store.store import Store

NOT_RESTRICTED, REDUCES, OPENS, CROSSES_ZERO = "NOT_RESTRICTED", "CLOSE_ONLY_REDUCES", "CLOSE_ONLY_OPENS", "CLOSE_ONLY_THROUGH_ZERO"
UNKNOWN_POSITIONS = "CLOSE_ONLY_POSITIONS_UNKNOWN"
_MOST_SHARES = 1e12
_MOST_BYTES = 65_536
_SHARE = 1e-6   # the finest quantity the platform keeps


@dataclass(frozen=True)
class Verdict:
    """The answer: whether the order may be sent, by which rule, and why in words."""

    allow: bool
    rule: str
    reason: str


def allow(*, restricted: bool, position: float, quantity: float, working: float = 0.0) -> Verdict:
    """Whether an order for signed shares (buys positive) may be sent by an account with this signed position in the symbol.

    working: signed shares of its orders in the symbol not traded yet, which may all fill; those that close leave less to close.
    A close-only account may sell a long or cover a short to flat, not through it (MARGIN_RULES 1.3, case D10).
    """
    if not restricted:
        return Verdict(True, NOT_RESTRICTED, "the account is not restricted")
    closing = min(abs(position), abs(working)) if position * working < 0 else 0.0
    open_shares = abs(position) - closing
    if position * quantity >= 0:
        held = "long" if position > 0 else "short" if position < 0 else "flat"
        return Verdict(False, OPENS, f"the account is close-only and {held}: {quantity:+,.6g} shares would open or add to a position")
    if abs(quantity) > open_shares + _SHARE / 2:
        pending = f", {closing:,.6g} of them in working orders" if closing else ""
        reason = f"the account is close-only: {quantity:+,.6g} shares would go through zero, {abs(position):,.6g} are held{pending}"
        return Verdict(False, CROSSES_ZERO, reason)
    return Verdict(True, REDUCES, f"the order reduces a position of {position:+,.6g} shares to {position + quantity:+,.6g}")


class BadOrder(ValueError):
    """An order that cannot be judged; names the field, its value and the reason. status: 400 not JSON, 422 a field."""

    def __init__(self, field: str, value: Any, reason: str, status: int = 422) -> None:
        super().__init__(f"{field}: {reason}, value {value!r}")
        self.field, self.value, self.reason, self.status = field, value, reason, status


_SIDES = {"BUY": 1.0, "BUY_TO_COVER": 1.0, "SELL": -1.0, "SELL_SHORT": -1.0}
_FIELDS = ("account_id", "symbol", "side", "qty")


def parse_order(body: bytes) -> tuple[str, str, float]:
    """(account, symbol, signed shares) of a request `{"account_id", "symbol", "side", "qty"}`. BadOrder names what cannot be used."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadOrder("body", body[:80].decode("utf-8", "replace"), "not JSON", 400) from None
    if not isinstance(data, dict):
        raise BadOrder("body", data, "not an object", 400)
    if unknown := sorted(set(data) - set(_FIELDS)):
        raise BadOrder(unknown[0], data[unknown[0]], f"unknown field, not one of {', '.join(_FIELDS)}")
    for name in ("account_id", "symbol"):
        if not isinstance(data.get(name), str) or not data[name].strip():
            raise BadOrder(name, data.get(name), "missing or not a non-empty text")
    side, qty = data.get("side"), data.get("qty")
    if not isinstance(side, str) or side not in _SIDES:
        raise BadOrder("side", side, f"not one of {', '.join(_SIDES)}")
    if isinstance(qty, bool) or not isinstance(qty, int | float) or not math.isfinite(qty) or not 0 < qty <= _MOST_SHARES:
        raise BadOrder("qty", qty, "not a number of shares above 0")
    return data["account_id"], data["symbol"], _SIDES[side] * qty


def judge(store: Store, account_id: str, symbol: str, quantity: float) -> Verdict:
    """The verdict on an order by what the store holds now: the ladder's restriction, and the newest status event's positions."""
    from sqlalchemy import select

    from margin_platform.enforcement.open_orders import SENT, fills_of, unfilled
    from margin_platform.store.tables import ladder_states, orders

    state = ladder_states.c
    with store.read() as connection:
        row = connection.execute(select(state.restricted, state.last_event).where(state.account_id == account_id)).one_or_none()
        sent = connection.execute(select(orders.c.event).where(orders.c.account_id == account_id, orders.c.status == SENT)).scalars().all()
    if row is None or not row.restricted:   # an account the ladder never had to look at is not restricted
        return allow(restricted=False, position=0.0, quantity=quantity)
    positions = (row.last_event or {}).get("positions")
    if positions is None:
        return Verdict(False, UNKNOWN_POSITIONS, "the account is close-only and its positions are not known here")
    held = sum(float(p["qty"]) for p in positions if p["symbol"] == symbol)
    legs = [leg for event in sent for leg in unfilled(event, positions, fills_of(event, row.last_event)) if leg["symbol"] == symbol]
    working = sum(leg["qty"] * (-1.0 if leg["side"] == "SELL" else 1.0) for leg in legs)
    return allow(restricted=True, position=held, quantity=quantity, working=working)


def endpoint(store: Store | Callable[[], Store] | None = None) -> Starlette:
    """An application that answers POST /orders/check with `{"allow", "rule", "reason"}`: 200 for either verdict.

    store: an open store, or a function that opens one on the first question; by default the one of the settings. 400 and
    422 name the field and the value of a request that cannot be judged; 503: the store does not answer, so nothing is allowed.
    """
    import asyncio
    import functools

    from sqlalchemy.exc import SQLAlchemyError
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from margin_platform.store.store import StoreOutdated

    opened = functools.cache(store if callable(store) else functools.partial(_store, store))

    def answer(data: dict[str, Any], status: int = 200) -> Response:
        return Response(orjson.dumps(data), status, media_type="application/json")

    async def check(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > _MOST_BYTES:
                return answer({"error": f"body: above {_MOST_BYTES} bytes", "field": "body"}, 413)
        try:
            order = parse_order(body)
            verdict = await asyncio.to_thread(lambda: judge(opened(), *order))
        except BadOrder as error:
            return answer({"error": str(error), "field": error.field, "value": repr(error.value), "reason": error.reason}, error.status)
        except (SQLAlchemyError, OSError, StoreOutdated) as error:
            return answer({"error": f"the store does not answer: {type(error).__name__}", "allow": False}, 503)
        return answer(vars(verdict))

    return Starlette(routes=[Route("/orders/check", check, methods=["POST"])])


def _store(store: Store | None) -> Store:
    from margin_platform.settings import settings
    from margin_platform.store.store import Store as Opened

    return store if store is not None else Opened(settings().store_url, read_only=True)
