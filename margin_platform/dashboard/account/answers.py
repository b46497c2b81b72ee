"""The page's questions about one account: its figures at one moment, what-if, history, arithmetic."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event
from margin_platform.dashboard.account.arithmetic import NoArithmetic, arithmetic
from margin_platform.dashboard.account.detail import NoPositions, document, explain, policy_of, whatif
from margin_platform.dashboard.account.history import Openings, history
from margin_platform.dashboard.replies import finite, refused, reply, threaded
from margin_platform.dashboard.state.account_row import COLOR, COLORS, COLUMNS, color_of, event_time, row_of
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.live_book import Holdings
from margin_platform.documents import trade
from margin_platform.documents.book_input import InputError, parse
from margin_platform.liquidation.cures import cheapest_cures

CURES_SHOWN = 6
Ask = Callable[[Request], Response]


def routes(newest: NewestRows, holdings: Holdings) -> list[BaseRoute]:
    """Return the routes about one account, each answered in a thread."""
    openings = Openings()
    asked: dict[str, Ask] = {
        "account": lambda request: _account(newest, holdings, openings, _id(request)),
        "whatif": lambda request: _what_if(newest, holdings, request),
        "history": lambda request: _history(newest, request),
        "arithmetic": _arithmetic,
    }
    return [Route(f"/api/{name}", threaded(answer)) for name, answer in asked.items()]


def _id(request: Request) -> str:
    return request.query_params.get("id", "")


def _account(newest: NewestRows, holdings: Holdings, openings: Openings, account_id: str) -> Response:
    """Return everything about an account at one moment: that of `basis`, whose row `row` is."""
    known = newest.account(account_id)
    if known is None:
        return reply({"error": "account not found", "account_id": account_id}, 404)
    basis = _basis(known, holdings, account_id)
    shown = basis or known["calc"]
    detail: dict[str, object] = {"basis": basis, "explained": None, "cures": [], "row": None, "day": None}
    if shown is not None:
        detail["row"] = _row(shown, known)
        detail["day"] = openings.day(
            account_id, shown.get("equity"), event_time(shown), holdings.deposits_of(account_id)
        )
    try:
        if basis is not None:
            detail["explained"] = explain(basis, known["calc"] or {})
            detail["cures"] = [
                cure.to_dict()
                for cure in cheapest_cures(parse(document(basis), policy_of(basis)))[:CURES_SHOWN]
            ]
    except (InputError, NoPositions) as error:
        detail["unexplained"] = str(error)
    return reply({"account_id": account_id, "epoch": newest.epoch, **known, **detail})


def _row(event: Event, known: Json) -> Json:
    """Return an event as a row of the grid, by name: what the head of the page shows."""
    values = row_of(0, event, known["flags"], known["person"])
    values[COLOR] = COLORS[color_of(values)]
    return dict(zip(COLUMNS, values, strict=True))


def _basis(known: Json, holdings: Holdings, account_id: str) -> Event | None:
    """Return the positions that explain an account: published with its newest figure, else the book's of now,
    else the last published.
    """
    status: Event | None = known["status"]
    if status is not None and status["calc_id"] == known["calc"].get("calc_id"):
        return status
    return holdings.account(account_id) or status


def _what_if(newest: NewestRows, holdings: Holdings, request: Request) -> Response:
    account_id, asked = _id(request), request.query_params
    known = newest.account(account_id)
    basis = None if known is None else _basis(known, holdings, account_id)
    try:
        if basis is None:
            raise NoPositions(account_id)
        trades = [one for text in asked.getlist("trade") for one in trade.read_several(text)]
        return reply(whatif(basis, trades, finite("cash", asked.get("cash", "0")), holdings.quote))
    except InputError as error:
        return refused(error)
    except NoPositions:
        return reply({"error": "the positions of this account are not known", "account_id": account_id}, 404)


def _history(newest: NewestRows, request: Request) -> Response:
    """Answer with an account's figures over a day or a month, and the steps of the ladder in that time."""
    clock = newest.event_clock
    known = newest.account(_id(request))
    if known is None or clock is None:
        return reply({"error": "account not found", "account_id": _id(request)}, 404)
    try:
        found = history(_id(request), request.query_params.get("span", "day"), clock)
    except InputError as error:
        return refused(error)
    steps = [step for step in known["timeline"] if step["kind"] != "notification"]
    within = [step for step in steps if found["since"] <= (step["timestamp"] or 0) <= clock]
    return reply({**found, "upto": clock, "steps": within})


def _arithmetic(request: Request) -> Response:
    try:
        return reply(arithmetic(_id(request), request.query_params.get("call") or None))
    except NoArithmetic as error:
        return reply({"error": str(error)}, 404)
