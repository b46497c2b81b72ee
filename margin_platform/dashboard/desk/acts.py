"""The desk's endpoints: the calls worklist and what a person did about a call, letters and their resend.

An act is a desk user's own: the request shows that user's token, and an extension its approver's too. Acts go
through the decision store into the audit chain of acts, and change no rung.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

import orjson
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from margin_platform.contracts.json_object import Json, flaw_of_depth, flaw_of_keys
from margin_platform.dashboard.desk import letters
from margin_platform.dashboard.desk.users import BadUsers, DeskUsers
from margin_platform.dashboard.replies import reply, threaded
from margin_platform.dashboard.server.order_gate import BadOrder, body_of, opened_store
from margin_platform.dashboard.server.wall_clock import wall_clock_ms
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.policy.policy import current_policy
from margin_platform.policy.sections import NoticePolicy
from margin_platform.recordkeeping import call_acts
from margin_platform.recordkeeping.call_acts import BadAct, CallAct, Work
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreOutdated

USER, APPROVER = "x-desk-token", "x-approver-token"
_STORE_ERRORS = (SQLAlchemyError, OSError, StoreOutdated)


def endpoint(rows: NewestRows, users: DeskUsers) -> Starlette:
    """Return the application of the desk. 401: no desk user's token; 422: the act cannot be recorded."""
    opened = functools.cache(lambda: opened_store(None))
    rules = current_policy().notices

    async def calls(_: Request) -> Response:
        done = await asyncio.to_thread(_done)
        listed = await asyncio.to_thread(rows.worklist, done or {})
        may_act = users.file is not None and done is not None
        return reply({"calls": listed, "may_act": may_act, "clock": rows.event_clock})

    def record(said: Json, who: str, approver: str | None) -> Json:
        asked = parse(said)
        call_acts.record(opened(), asked, who=who, approver=approver)
        return {"who": who, "act": asked.act}

    def resend(said: Json, who: str, _: str | None) -> Json:
        return letters.resend(opened(), said.get("notification_id"), rules, wall_clock_ms(), who)

    return Starlette(
        routes=[
            Route("/calls", calls),
            Route("/letters", threaded(functools.partial(_letters, users, rules))),
            Route("/letter", threaded(_letter)),
            Route("/acts", _of_a_user(users, record), methods=["POST"]),
            Route("/acts/resend", _of_a_user(users, resend), methods=["POST"]),
        ]
    )


def _of_a_user(
    users: DeskUsers, act: Callable[[Json, str, str | None], Json]
) -> Callable[[Request], Awaitable[Response]]:
    """Build a handler that acts for the desk user whose token the request shows."""

    async def handle(request: Request) -> Response:
        address = request.client.host if request.client else ""
        try:
            who = users.name_of(request.headers.get(USER, ""), address)
            if who is None:
                return reply({"error": "not a desk user's token"}, 401)
            approver = users.name_of(request.headers.get(APPROVER, ""), address)
            said = _object(await body_of(request))
            return reply(await asyncio.to_thread(act, said, who, approver))
        except (BadAct, BadOrder) as error:
            return reply({"error": str(error), "field": error.field, "reason": error.reason}, 422)
        except BadUsers as error:
            return reply({"error": str(error)}, 503)
        except _STORE_ERRORS as error:
            return reply({"error": f"the store does not answer: {type(error).__name__}"}, 503)

    return handle


def _letters(users: DeskUsers, rules: NoticePolicy, request: Request) -> Response:
    """Answer with the letters of an account, or with one of them."""
    asked = request.query_params
    which = {"notification_id": asked["id"]} if "id" in asked else {"account_id": asked.get("account", "")}
    try:
        with Store(settings().store_url, read_only=True) as store:
            found = letters.letters_of(store, rules, wall_clock_ms(), **which)
    except _STORE_ERRORS as error:
        why = f"the decision store cannot be read: {type(error).__name__}"
        return reply({"letters": [], "may_act": False, "why": why})
    return reply({"letters": found, "may_act": users.file is not None, "why": None})


def _letter(request: Request) -> Response:
    """Answer with one letter as a document."""
    try:
        with Store(settings().store_url, read_only=True) as store:
            row = letters.letter(store, request.query_params.get("id", ""))
    except _STORE_ERRORS as error:
        return reply({"error": f"the decision store cannot be read: {type(error).__name__}"}, 503)
    if row is None:
        return reply({"error": "letter not found"}, 404)
    return HTMLResponse(letters.document(row), headers=letters.LETTER_HEADERS)


def _object(body: bytes) -> Json:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAct("body", body[:80], "not JSON") from None
    if not isinstance(said, dict):
        raise BadAct("body", said, "not an object")
    if flaw := flaw_of_depth(said, body) or flaw_of_keys(said, body):
        raise BadAct(*flaw)
    return said


def parse(said: Json) -> call_acts.Request:
    """Read {act, call_id, text, amount, until}. BadAct names what cannot be used."""
    try:
        act = CallAct[str(said.get("act")).upper()]
    except KeyError:
        raise BadAct("act", said.get("act"), f"not one of {', '.join(CallAct.__members__).lower()}") from None
    texts = {name: said.get(name) or "" for name in ("call_id", "text", "until")}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise BadAct(name, text, "not a text")
    amount = said.get("amount")
    if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int | float)):
        raise BadAct("amount", amount, "not a number")
    return call_acts.Request(act, amount=amount, **texts)


def _done() -> dict[str, Work] | None:
    """Return what was done, by call; None where the store cannot be read, and is not created."""
    try:
        with Store(settings().store_url, read_only=True) as store, store.read() as connection:
            return call_acts.by_call(connection)
    except _STORE_ERRORS:
        return None
