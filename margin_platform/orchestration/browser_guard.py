"""The guard in front of Dagster's webserver:
programs of this machine and the webserver's own pages pass, no other page does.

Dagster takes a mutation as GET, as a form or as plain text, under any Host. A page in a user's browser
could therefore start a run or reset a sensor, and by DNS rebinding read everything. The guard is in the
webserver's own process, around its application: there is no port behind it to reach.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

_CLOSED = 4403
_HEADERS = {
    "x-frame-options": "SAMEORIGIN",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
Refusal = tuple[int, str]


def is_loopback(host: str) -> bool:
    """Report whether a host name or address is this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """Return the name in a Host header, empty where it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


class BrowserGuard:
    """ASGI middleware: loopback names only, no foreign origin, changes by POST of JSON only,
    sockets included.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = _of_a_foreign_page(headers)
        if scope["type"] == "websocket":
            answer = self._app if refused is None else WebSocketClose(code=_CLOSED, reason=refused[1])
            await answer(scope, receive, send)
            return
        refused = refused or _not_read_only(scope, headers) or _embedded(scope, headers)
        if refused is None:
            await self._app(scope, receive, _kept_apart(send))
        else:
            await PlainTextResponse(f"Dagster's guard: {refused[1]}\n", refused[0])(scope, receive, send)


def _of_a_foreign_page(headers: Headers) -> Refusal | None:
    """Refuse a page that got here by DNS rebinding, which sends its own name as Host, and any other page,
    which sends its Origin."""
    if len(headers.getlist("host")) != 1 or not is_loopback(name_of(headers["host"])):
        return 421, f"Host is not loopback, value {headers.getlist('host')!r}"
    origins = headers.getlist("origin")
    if origins not in ([], [f"http://{headers['host']}"]):
        return 403, f"Origin is not this webserver's, value {origins!r}"
    return None


def _not_read_only(scope: Scope, headers: Headers) -> Refusal | None:
    """Refuse what is not read-only: a page may send a form or plain text anywhere without asking first; JSON
    it may not."""
    method, path = scope["method"], scope["path"].rstrip("/")
    if method in ("GET", "HEAD"):
        return (405, "GraphQL is answered by POST only") if path.endswith("/graphql") else None
    if method != "POST":
        return 405, f"not GET, HEAD or POST, value {method!r}"
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return (
        None if kind == "application/json" else (415, f"Content-Type is not application/json, value {kind!r}")
    )


def _embedded(scope: Scope, headers: Headers) -> Refusal | None:
    """Refuse to be embedded: a page elsewhere may lead here by a link, and not load anything of here into
    itself."""
    elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
    if elsewhere and (headers.get("sec-fetch-mode"), headers.get("sec-fetch-dest")) != (
        "navigate",
        "document",
    ):
        return 403, "a page of another origin may only lead here by a link"
    return None


def _kept_apart(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent
