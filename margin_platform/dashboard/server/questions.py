"""The page's questions about many accounts: who holds a symbol or fails a scenario, concentration, health."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.replies import finite, refused, reply
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.documents.book_input import InputError
from margin_platform.firm.shocks import Shock
from margin_platform.market import instruments


def routes(newest: NewestRows, holdings: Holdings, feed: Feed, now_ms: Callable[[], int]) -> list[BaseRoute]:
    """Return the routes, each answered in a thread."""

    async def holders(request: Request) -> Response:
        found = await asyncio.to_thread(holdings.holders, request.query_params.get("symbol", ""))
        return reply({"epoch": newest.epoch, "ready": holdings.ready, "numbers": newest.numbers_of(found)})

    async def failing(request: Request) -> Response:
        try:
            move = finite("scenario", request.query_params.get("scenario", ""))
        except InputError as error:
            return refused(error)
        found = await asyncio.to_thread(newest.failing, move)
        return reply({"epoch": newest.epoch, "numbers": newest.numbers_of(found)})

    async def symbols(_: Request) -> Response:
        sectors = sorted(set(instruments.sectors().values()))
        return reply({"symbols": await asyncio.to_thread(holdings.symbols), "sectors": sectors})

    async def concentration(_: Request) -> Response:
        return reply(await asyncio.to_thread(holdings.concentration))

    async def shocked(request: Request) -> Response:
        try:
            return reply(await asyncio.to_thread(holdings.shock, _shock(request.query_params)))
        except InputError as error:
            return refused(error)

    async def health(_: Request) -> Response:
        verdict = feed.verdict(now_ms())
        return reply({**verdict, "summary": newest.summary()}, 200 if verdict["live"] else 503)

    return [
        Route("/api/holders", holders),
        Route("/api/failing", failing),
        Route("/api/symbols", symbols),
        Route("/api/concentration", concentration),
        Route("/api/shock", shocked),
        Route("/api/health", health),
    ]


def _shock(asked: QueryParams) -> Shock:
    """Read symbol or sector (neither: every name), move as a fraction, and tier=up."""
    symbols: list[str] | None = None
    sector = asked.get("sector", "")
    if sector:
        symbols = [symbol for symbol, of in instruments.sectors().items() if of == sector]
        if not symbols:
            raise InputError("sector", sector, "unknown sector")
    if asked.get("symbol"):
        symbols = [asked["symbol"].strip().upper()]
    return Shock(symbols, finite("move", asked.get("move", "")), asked.get("tier", "") == "up")
