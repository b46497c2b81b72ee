"""The dashboard as an ASGI application:
the page, its live connection, and read-only questions about single accounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.intake import Intake
from margin_platform.dashboard.server import alarms, desk_acts, order_gate, push
from margin_platform.dashboard.server.access import Guard
from margin_platform.dashboard.server.account_detail import NoPositions, document, explain, policy_of, whatif
from margin_platform.dashboard.server.wall_clock import wall_clock_ms
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.documents import trade
from margin_platform.documents.book_input import InputError, parse
from margin_platform.liquidation.cures import cheapest_cures
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.trading_time.sessions import trading_time_before

STATIC = Path(__file__).parents[1] / "static"
CURES_SHOWN = 6


def old_before(seconds: float, clock_ms: int) -> int:
    """Return the event time before which figures are old: nights and weekends do not age a price.

    Outside the calendar they do.
    """
    try:
        return trading_time_before(clock_ms, seconds)
    except (ValueError, OverflowError, OSError):
        return int(clock_ms - seconds * 1000)


@dataclass(frozen=True)
class Options:
    """How a dashboard is served.

    interval_s: seconds between frames; quiet_s: without a margin event for this long it is gray.
    """

    bootstrap: str
    host: str = "127.0.0.1"
    token: str | None = None
    origins: tuple[str, ...] = ()
    dagster_url: str | None = None
    interval_s: float = 0.15
    quiet_s: float = 60.0
    history: int = 200_000


def build(options: Options, now_ms: Callable[[], int] = wall_clock_ms) -> ASGIApp:
    """Build the application; its intake starts and ends with it.

    ValueError where it would be open to others without a token.
    """
    policy = current_policy()
    newest = NewestRows(functools.partial(old_before, policy.prices.max_price_age_seconds))
    feed = Feed(quiet_ms=int(options.quiet_s * 1000), started_at=now_ms())
    holdings = Holdings(policy)
    intake = Intake(options.bootstrap, newest, holdings, feed, now_ms, history=options.history)
    alarm = alarms.Alarms(functools.partial(alarms.count, policy.notices))
    pulse = push.Pulse(newest, feed, now_ms, options.interval_s, policy.firm, _facts(options, policy), alarm)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        intake.start()
        beats = [asyncio.create_task(pulse.run()), asyncio.create_task(alarm.run())]
        try:
            yield
        finally:
            for beat in beats:
                beat.cancel()
            await asyncio.to_thread(intake.stop)

    async def socket(connection: WebSocket) -> None:
        await push.serve(connection, pulse)

    routes: list[BaseRoute] = [
        Route("/", _index),
        WebSocketRoute("/live", socket),
        Mount("/static", StaticFiles(directory=STATIC)),
        *_questions(newest, holdings, feed, now_ms),
        _gate(holdings, now_ms),
        Mount("/desk", desk_acts.endpoint(newest, desk_acts.DeskUsers(settings().dashboard.desk_users))),
    ]
    return Guard(Starlette(routes=routes, lifespan=lifespan), options.host, options.token, options.origins)


def _facts(options: Options, policy: Policy) -> dict[str, object]:
    """Return what the page needs to know about the server, once."""
    return {
        "facts": {
            "warn_frac": policy.ladder.warn_frac,
            "pm_minimum_equity": policy.portfolio_margin.pm_minimum_equity,
            "severe_move": policy.stress.severe_move,
            "dagster_url": options.dagster_url,
        }
    }


def _gate(holdings: Holdings, now_ms: Callable[[], int]) -> Mount:
    """Build the pre-trade order gate: the only thing here that answers a POST.

    Its time is that of the newest event read.
    """
    endpoint = order_gate.endpoint(
        known=holdings.knows, clock=lambda: holdings.event_time() or now_ms(), now=now_ms
    )
    return Mount("/gate", endpoint)


async def _index(_: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _json(data: object, status: int = 200) -> Response:
    return Response(
        orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS),
        status,
        media_type="application/json",
    )


def _refused(error: InputError) -> Response:
    return _json({"error": str(error), "field": error.field, "reason": error.reason}, 400)


def _questions(
    newest: NewestRows, holdings: Holdings, feed: Feed, now_ms: Callable[[], int]
) -> list[BaseRoute]:
    async def account(request: Request) -> Response:
        return await asyncio.to_thread(_account, newest, holdings, request.query_params.get("id", ""))

    async def what_if(request: Request) -> Response:
        asked = request.query_params
        return await asyncio.to_thread(
            _what_if, newest, holdings, asked.get("id", ""), asked.getlist("trade"), asked.get("cash", "0")
        )

    async def holders(request: Request) -> Response:
        found = await asyncio.to_thread(holdings.holders, request.query_params.get("symbol", ""))
        return _json({"epoch": newest.epoch, "ready": holdings.ready, "numbers": newest.numbers_of(found)})

    async def failing(request: Request) -> Response:
        try:
            move = _finite("scenario", request.query_params.get("scenario", ""))
        except InputError as error:
            return _refused(error)
        found = await asyncio.to_thread(newest.failing, move)
        return _json({"epoch": newest.epoch, "numbers": newest.numbers_of(found)})

    async def symbols(_: Request) -> Response:
        return _json({"symbols": await asyncio.to_thread(holdings.symbols)})

    async def concentration(_: Request) -> Response:
        return _json(await asyncio.to_thread(holdings.concentration))

    async def health(_: Request) -> Response:
        verdict = feed.verdict(now_ms())
        return _json({**verdict, "summary": newest.summary()}, 200 if verdict["live"] else 503)

    return [
        Route("/api/account", account),
        Route("/api/whatif", what_if),
        Route("/api/holders", holders),
        Route("/api/failing", failing),
        Route("/api/symbols", symbols),
        Route("/api/concentration", concentration),
        Route("/api/health", health),
    ]


def _account(newest: NewestRows, holdings: Holdings, account_id: str) -> Response:
    known = newest.account(account_id)
    if known is None:
        return _json({"error": "account not found", "account_id": account_id}, 404)
    basis = _basis(known, holdings, account_id)
    detail: dict[str, object] = {"basis": basis, "explained": None, "cures": []}
    try:
        if basis is not None:
            detail["explained"] = explain(basis, known["calc"] or {})
            detail["cures"] = [
                cure.to_dict()
                for cure in cheapest_cures(parse(document(basis), policy_of(basis)))[:CURES_SHOWN]
            ]
    except (InputError, NoPositions) as error:
        detail["unexplained"] = str(error)
    return _json({"account_id": account_id, "epoch": newest.epoch, **known, **detail})


def _basis(known: Json, holdings: Holdings, account_id: str) -> Event | None:
    """Return the positions that explain an account: published with its newest figure, else the book's of now,
    else the last published.
    """
    status: Event | None = known["status"]
    if status is not None and status["calc_id"] == known["calc"].get("calc_id"):
        return status
    return holdings.account(account_id) or status


def _what_if(
    newest: NewestRows, holdings: Holdings, account_id: str, asked: list[str], cash: str
) -> Response:
    known = newest.account(account_id)
    basis = None if known is None else _basis(known, holdings, account_id)
    try:
        if basis is None:
            raise NoPositions(account_id)
        trades = [one for text in asked for one in trade.read_several(text)]
        return _json(whatif(basis, trades, _finite("cash", cash), holdings.quote))
    except InputError as error:
        return _refused(error)
    except NoPositions:
        return _json({"error": "the positions of this account are not known", "account_id": account_id}, 404)


def _finite(field: str, text: str) -> float:
    try:
        number = float(text or "0")
    except ValueError as error:
        raise InputError(field, text, "not a number") from error
    if not math.isfinite(number) or abs(number) > 1e12:
        raise InputError(field, text, "not a usable number")
    return number
