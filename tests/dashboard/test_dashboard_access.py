"""Who is let in for how long, and what a connection that asks for nothing costs:
sessions, guesses, silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from margin_platform.dashboard.server import guesses, push, serving
from margin_platform.dashboard.server.access import COOKIE
from margin_platform.dashboard.server.app import Options, build
from margin_platform.dashboard.server.guesses import Guesses
from margin_platform.dashboard.server.sessions import LASTS_S, Sessions

PATIENCE_S = 0.4


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_is_a_browsers_own_and_ends_after_a_working_day() -> None:
    clock = Clock()
    sessions = Sessions("token", clock)
    first, second = sessions.begin(), sessions.begin()
    assert first != second
    assert sessions.holds(first)
    assert Sessions("token", clock).holds(first)  # the server was started again
    assert not Sessions("another", clock).holds(first)
    clock.now += LASTS_S - 1
    assert sessions.holds(first)
    clock.now += 1
    assert not sessions.holds(first)


@pytest.mark.parametrize("forged", ["", "x", ".", "..", "99999999999.a.b", "9" * 5_000, "ä.ö.ü"])
def test_a_session_cannot_be_made_up_or_prolonged(forged: str) -> None:
    sessions = Sessions("token", Clock())
    assert not sessions.holds(forged)
    until, rest = sessions.begin().split(".", 1)
    assert not sessions.holds(f"{int(until) + 1}.{rest}")


def test_wrong_guesses_of_an_address_are_slowed_and_of_others_not() -> None:
    clock = Clock()
    tried = Guesses(clock)
    for _ in range(guesses.BURST):
        assert tried.wait_s("10.0.0.1") == 0
        tried.was_wrong("10.0.0.1")
    assert tried.wait_s("10.0.0.1") == guesses.REGAINED_S
    assert tried.wait_s("10.0.0.2") == 0
    clock.now += guesses.REGAINED_S
    assert tried.wait_s("10.0.0.1") == 0
    tried.was_wrong("10.0.0.1")
    assert tried.wait_s("10.0.0.1") > 0


def test_addresses_without_end_do_not_fill_the_memory() -> None:
    tried = Guesses(Clock())
    for n in range(10_050):
        tried.was_wrong(str(n))
    assert len(tried._wrong) == 10_000


@pytest.fixture
def outside() -> TestClient:
    """A dashboard bound to every address, with a token; its intake is not started (no lifespan)."""
    app = build(Options("127.0.0.1:1", host="0.0.0.0", token="right"))
    return TestClient(app, base_url="http://desk.example", follow_redirects=False)


def test_after_some_wrong_tokens_even_the_right_one_must_wait_and_a_session_goes_on(
    outside: TestClient,
) -> None:
    """Otherwise each of a million guesses would still be answered."""
    signed_in = outside.get("/", params={"token": "right"}).headers["set-cookie"].split(";")[0]
    outside.cookies.clear()
    for _ in range(guesses.BURST):
        assert outside.get("/api/symbols", headers={"authorization": "Bearer wrong"}).status_code == 401
    assert outside.get("/api/symbols", headers={"authorization": "Bearer right"}).status_code == 429
    assert outside.get("/", params={"token": "right"}).status_code == 429
    assert outside.get("/api/symbols").status_code == 401  # shows no token: not a guess
    assert outside.get("/api/symbols", headers={"cookie": signed_in}).status_code == 200


def test_a_guesser_cannot_choose_the_address_that_is_counted() -> None:
    """X-Forwarded-For counts only where a proxy stands in front, which `--origin` names."""
    for origins, last in (((), 429), (("https://desk.example",), 401)):
        options = Options("127.0.0.1:1", host="0.0.0.0", token="right", origins=origins)
        with served(serving.configuration(options)) as port:
            answers = []
            for n in range(guesses.BURST + 1):
                client = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                guess = {"authorization": f"Bearer {n}", "x-forwarded-for": f"10.0.0.{n}"}
                client.request("GET", "/api/symbols", headers=guess)
                answers.append(client.getresponse().status)
        assert answers == [401] * guesses.BURST + [last]


def test_a_token_is_taken_from_the_address_of_the_page_only(outside: TestClient) -> None:
    assert outside.get("/api/symbols", params={"token": "right"}).status_code == 401
    assert outside.get("/static/main.js", params={"token": "right"}).status_code == 401
    answer = outside.get("/", params={"token": "right"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert f"Max-Age={LASTS_S}" in answer.headers["set-cookie"]
    assert answer.headers["set-cookie"].startswith(f"{COOKIE}=")
    # a bookmark, with the cookie: it leaves the address bar all the same
    again = outside.get("/", params={"token": "right"})
    assert (again.status_code, again.headers["location"]) == (303, "/")


@contextlib.contextmanager
def served(config: uvicorn.Config) -> Iterator[int]:
    """The port of a server in a thread."""
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=asyncio.run, args=(server.serve(sockets=[listener]),))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


async def _slow(_: Request) -> PlainTextResponse:
    await asyncio.sleep(2 * PATIENCE_S)
    return PlainTextResponse("at last")


async def _echo(page: WebSocket) -> None:
    await page.accept()
    await page.send_text(await page.receive_text())


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server of ours that waits less long."""
    monkeypatch.setattr(serving, "HEAD_SECONDS", PATIENCE_S)
    app: Any = Starlette(routes=[Route("/slow", _slow), WebSocketRoute("/live", _echo)])
    config = uvicorn.Config(app, port=0, log_level="warning", http=serving.Impatient, ws="websockets-sansio")
    with served(config) as number:
        yield number


def answer_to(port: int, *parts: bytes) -> bytes:
    """What the server sends until it closes, each part sent a moment after the one before."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        for part in parts:
            client.sendall(part)
            threading.Event().wait(PATIENCE_S / 10)
        received = b""
        while more := client.recv(4096):
            received += more
        return received


def test_a_socket_that_is_silent_or_slow_with_its_request_is_closed(port: int) -> None:
    assert answer_to(port) == b""
    assert answer_to(port, b"GET /slow HTTP/1.1\r\n") == b""
    # each byte does not buy more time
    assert answer_to(port, b"GET /slow HTTP/1.1\r\n", *[b"X: y\r\n"] * 5) == b""
    whole = b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n"
    # the second request of a connection
    assert answer_to(port, whole, b"GET /slow HT").startswith(b"HTTP/1.1 404")


def test_a_request_that_takes_long_is_answered_and_a_live_connection_stays(port: int) -> None:
    asked = b"GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    assert answer_to(port, asked).endswith(b"at last")
    with connect(f"ws://127.0.0.1:{port}/live") as page:
        threading.Event().wait(2 * PATIENCE_S)
        page.send("still here")
        assert page.recv(timeout=20) == "still here"


def test_a_page_that_does_not_say_what_it_holds_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "_HELLO_SECONDS", 0.05)
    app = build(Options("127.0.0.1:1"))
    own = {"host": "127.0.0.1"}
    with (
        TestClient(app, base_url="http://127.0.0.1") as client,
        client.websocket_connect("/live", headers=own) as page,
    ):
        assert page.receive()["type"] == "websocket.close"


def test_an_answer_on_a_connection_kept_open_is_sent_at_once() -> None:
    """Nagle's algorithm would hold it back until the reader has acknowledged the one before, 40 ms."""
    at_once: list[int] = []

    class Accepted(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            accepted = transport.get_extra_info("socket")
            at_once.append(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            transport.close()

    async def connect() -> None:
        listener = serving.listening("127.0.0.1", 0)
        async with await asyncio.get_running_loop().create_server(Accepted, sock=listener):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            assert await reader.read() == b""
            writer.close()

    asyncio.run(connect())
    assert at_once == [1]
