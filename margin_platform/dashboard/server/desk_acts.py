"""The calls worklist: GET /desk/calls lists the open calls, POST /desk/acts records what a person did.

An act is a desk user's own: the request shows that user's token, and an extension its approver's too. The
users are a file of names with the sha256 of their tokens (MARGIN_DESK_USERS); without it no one may act. Acts
go through the decision store into the audit chain of acts, and change no rung.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from margin_platform.contracts.json_object import flaw_of_depth, flaw_of_keys
from margin_platform.dashboard.server.guesses import Guesses
from margin_platform.dashboard.server.order_gate import BadOrder, body_of, opened_store
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.recordkeeping import call_acts
from margin_platform.recordkeeping.call_acts import BadAct, CallAct, Work
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreOutdated

USER, APPROVER = "x-desk-token", "x-approver-token"
_STORE_ERRORS = (SQLAlchemyError, OSError, StoreOutdated)


@dataclass(frozen=True)
class DeskUsers:
    """Who may act. file: JSON, name to the sha256 of that user's token; None: no one."""

    file: Path | None
    guesses: Guesses = field(default_factory=Guesses)

    def name_of(self, token: str, address: str) -> str | None:
        """Return whose token it is; None where it is no one's, or its address guessed too often."""
        if self.file is None or not token or self.guesses.wait_s(address) > 0:
            return None
        shown = hashlib.sha256(token.encode()).hexdigest()
        known: dict[str, str] = orjson.loads(self.file.read_bytes())
        found = [name for name, digest in known.items() if hmac.compare_digest(digest, shown)]
        if not found:
            self.guesses.was_wrong(address)
        return next(iter(found), None)


def endpoint(rows: NewestRows, users: DeskUsers) -> Starlette:
    """Return the application of the worklist. 401: no desk user's token; 422: the act cannot be recorded."""
    opened = functools.cache(lambda: opened_store(None))

    async def calls(_: Request) -> Response:
        done = await asyncio.to_thread(_done)
        listed = await asyncio.to_thread(rows.worklist, done or {})
        may_act = users.file is not None and done is not None
        return _json({"calls": listed, "may_act": may_act, "clock": rows.event_clock})

    async def act(request: Request) -> Response:
        address = request.client.host if request.client else ""
        who = users.name_of(request.headers.get(USER, ""), address)
        if who is None:
            return _json({"error": "not a desk user's token"}, 401)
        approver = users.name_of(request.headers.get(APPROVER, ""), address)
        try:
            asked = parse(await body_of(request))
            await asyncio.to_thread(lambda: call_acts.record(opened(), asked, who=who, approver=approver))
        except (BadAct, BadOrder) as error:
            return _json({"error": str(error), "field": error.field, "reason": error.reason}, 422)
        except _STORE_ERRORS as error:
            return _json({"error": f"the store does not answer: {type(error).__name__}"}, 503)
        return _json({"who": who, "act": asked.act})

    return Starlette(routes=[Route("/calls", calls), Route("/acts", act, methods=["POST"])])


def parse(body: bytes) -> call_acts.Request:
    """Read {act, call_id, text, amount, until}. BadAct names what cannot be used."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAct("body", body[:80], "not JSON") from None
    if not isinstance(said, dict):
        raise BadAct("body", said, "not an object")
    if flaw := flaw_of_depth(said, body) or flaw_of_keys(said, body):
        raise BadAct(*flaw)
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


def _json(data: Mapping[str, object], status: int = 200) -> Response:
    return Response(orjson.dumps(data), status, media_type="application/json")
