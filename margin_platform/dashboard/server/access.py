"""Who may look: the guard in front of every request. Loopback needs no token; anything else needs one.

A browser elsewhere must not reach a loopback dashboard through the user (DNS rebinding, cross-site sockets),
so the Host and the Origin are checked in every case. Nothing but GET passes, save the order gate, which other
programs ask by POST, and the acts of desk users, each with a token of its own.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from margin_platform.dashboard.server.guesses import Guesses
from margin_platform.dashboard.server.sessions import LASTS_S, Sessions
from margin_platform.orchestration.browser_guard import is_loopback, name_of

COOKIE = "margin_dashboard"
GATE = "/gate"
ACTS_PATH = "/desk/acts"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
        self._sessions, self._guesses = Sessions(token or ""), Guesses()

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
            and not scope["path"].startswith((GATE, ACTS_PATH))
        ):
            return 405, "the dashboard is read-only"
        return self._unauthorized(scope, headers) if self._token else None

    def _hosts(self) -> set[str]:
        return {o.replace("https://", "http://") for o in self._origins}

    def _unauthorized(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """Explain why a request without a session, and without the token, is refused.

        Wrong tokens are counted by address.
        """
        if self._sessions.holds(_cookie(headers)):
            return None
        given = _shown_token(scope, headers)
        if given is None:
            return (
                401,
                "a token is needed: open the dashboard once with /?token=..., or send Authorization: Bearer",
            )
        address = str((scope.get("client") or ("",))[0])
        if (wait := self._guesses.wait_s(address)) > 0:
            return 429, f"too many wrong tokens from this address: the next is looked at in {wait:.0f} s"
        if self._is_token(given):
            return None
        self._guesses.was_wrong(address)
        return 401, "this is not the token"

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def _sign_in(self, scope: Scope) -> Response | None:
        """Move the token from the address bar to a cookie, so that history never holds it."""
        if not self._token or scope["path"] != "/" or b"token=" not in scope.get("query_string", b""):
            return None
        answer = RedirectResponse("/", 303)
        if self._is_token(_shown_token(scope, Headers(scope=scope)) or ""):
            secure = scope.get("scheme") == "https"
            session = self._sessions.begin()
            answer.set_cookie(COOKIE, session, max_age=LASTS_S, httponly=True, samesite="lax", secure=secure)
        return answer


def _cookie(headers: Headers) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value


def _shown_token(scope: Scope, headers: Headers) -> str | None:
    """Return the token that a request shows: as a header, or once in the address of the page, which a cookie
    then replaces.
    """
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return bearer
    if scope["type"] != "http" or scope["path"] != "/":
        return None
    query: bytes = scope.get("query_string", b"")
    return parse_qs(query.decode("latin-1")).get("token", [None])[0]


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
