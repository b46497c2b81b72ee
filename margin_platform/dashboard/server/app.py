"""The dashboard as an ASGI application:
the page, its live connection, and read-only questions about single accounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from margin_platform.dashboard.account import answers
from margin_platform.dashboard.desk import acts
from margin_platform.dashboard.desk.users import DeskUsers
from margin_platform.dashboard.intake.freshness import Feed
from margin_platform.dashboard.intake.intake import Intake
from margin_platform.dashboard.openapi.document import document
from margin_platform.dashboard.replies import reply
from margin_platform.dashboard.server import alarms, decisions, order_gate, push, questions
from margin_platform.dashboard.server.access import Guard
from margin_platform.dashboard.server.wall_clock import wall_clock_ms
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.settings import settings
from margin_platform.trading_time.sessions import trading_time_before

STATIC = Path(__file__).parents[1] / "static"


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
        running = pulse.run(), alarm.run(), decisions.follow(feed.undecided)
        beats = [asyncio.create_task(one) for one in running]
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
        Route("/api/openapi.json", _openapi),
        WebSocketRoute("/live", socket),
        Mount("/static", StaticFiles(directory=STATIC)),
        *questions.routes(newest, holdings, feed, now_ms),
        *answers.routes(newest, holdings),
        _gate(holdings, now_ms),
        Mount("/desk", acts.endpoint(newest, DeskUsers(settings().dashboard.desk_users))),
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


async def _openapi(_: Request) -> Response:
    return reply(document())
