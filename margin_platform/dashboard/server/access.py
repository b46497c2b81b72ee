"""Who may look: the guard in front of every request. Loopback needs no token; anything else needs one.

A browser elsewhere must not reach a loopback dashboard through the user (DNS rebinding, cross-site sockets),
so the Host and the Origin are checked in every case. Nothing but GET passes, save the order gate, which other
programs ask by POST.
"""

from __future__ import annotations

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from margin_platform.orchestration.browser_guard import is_loopback, name_of

COOKIE = "margin_dashboard"
GATE = "/gate"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """ASGI middleware.

    host: the bind address; token: required unless it is loopback; origins: further sites whose pages may
    connect, such as the address of a proxy in front.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None, origins: tuple[str, ...] = ()) -> None:
        if not is_loopback(host) and not token:
            raise ValueError(
                "token: required when the dashboard is bound to an address other than loopback, value "
                f"{token!r} for {host}"
            )
        self._app, self._loopback, self._token, self._origins = app, is_loopback(host), token, origins
        self._session = hmac.new(
            (token or "").encode(), b"margin dashboard session", hashlib.sha256
        ).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if scope["type"] == "websocket":
            await (WebSocketClose(code=4403, reason=refusal[1]) if refusal else self._app)(
                scope, receive, send
            )
            return
        if refusal is None and (signed_in := self._sign_in(scope)) is not None:
            await signed_in(scope, receive, _hardened(send))
            return
        answer = PlainTextResponse(refusal[1] + "\n", refusal[0]) if refusal else self._app
        await answer(scope, receive, _hardened(send))

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._loopback and not is_loopback(name_of(host)) and f"http://{host}" not in self._hosts():
            return 421, "this host name is not the dashboard's"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{host}", f"https://{host}", *self._origins}:
            return 403, "this origin may not use the dashboard"
        if (
            scope["type"] == "http"
            and scope["method"] not in ("GET", "HEAD")
            and not scope["path"].startswith(GATE)
        ):
            return 405, "the dashboard is read-only"
        if self._token and not self._admitted(scope, headers):
            return (
                401,
                "a token is needed: open the dashboard once with ?token=..., or send Authorization: Bearer",
            )
        return None

    def _hosts(self) -> set[str]:
        return {o.replace("https://", "http://") for o in self._origins}

    def _admitted(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._is_token(bearer):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        if cookie is not None and hmac.compare_digest(cookie.value.encode(), self._session.encode()):
            return True
        return self._is_token(_query_token(scope))

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _sign_in(self, scope: Scope) -> Response | None:
        """The token leaves the address bar at once: a cookie takes its place, and history never holds it."""
        if not self._token or scope["path"] != "/" or not self._is_token(_query_token(scope)):
            return None
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE, self._session, httponly=True, samesite="lax", secure=scope.get("scheme") == "https"
        )
        return answer


def _query_token(scope: Scope) -> str:
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("token", [""])[0]


def _hardened(send: Send) -> Send:
    async def hardened(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *((k.encode(), v.encode()) for k, v in HEADERS.items() if k.encode() not in present),
            ]
        await send(message)

    return hardened
