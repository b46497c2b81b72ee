"""Serving: bind the address, announce it, run until asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from margin_platform.dashboard.server.app import Options, build

_BACKLOG = 128
HEAD_SECONDS = 10.0  # for the head of a request
_STOP_SECONDS = 3  # an open page does not hold up the end


def serve(options: Options, port: int, announce: Callable[[str, int], None]) -> None:
    """Serve until SIGTERM or Ctrl-C. `announce` gets the URL and port once they are known.

    OSError where the address is taken.
    """
    server = _Server(configuration(options))
    listener = listening(options.host, port)  # before the announcement: a reader of it may connect at once
    bound = listener.getsockname()[1]
    name = f"[{options.host}]" if ":" in options.host else options.host
    announce(f"http://{name}:{bound}/", bound)
    asyncio.run(_until_stopped(server, listener))


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections. OSError where the address is taken.

    It names its protocol: for connections of another one asyncio leaves Nagle's algorithm on, and each answer
    on a connection that is kept open waits 40 ms for the reader's acknowledgment.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(_BACKLOG)
    return listener


def configuration(options: Options) -> uvicorn.Config:
    """Return how uvicorn serves the dashboard. ValueError as for `app.build`.

    What a proxy says of its caller (X-Forwarded-For) counts only where there is one, which the origins name:
    else anyone could choose the address whose guesses are counted.
    """
    return uvicorn.Config(
        build(options),
        log_level="warning",
        http=Impatient,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        server_header=False,
        proxy_headers=bool(options.origins),
        timeout_graceful_shutdown=_STOP_SECONDS,
    )


class Impatient(H11Protocol):
    """uvicorn's HTTP, which closes a connection that does not ask:
    silent, or slow with the head of its request.

    The time begins with the connection, and again with the first byte of each further request: bytes do not
    prolong it.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._patience = self.loop.call_later(HEAD_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle = getattr(self, "cycle", None)
        asked = cycle is not None and not cycle.response_complete
        if asked or self.transport.get_protocol() is not self:  # a request is answered, or it became a socket
            self._forget()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _forget(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None


class _Server(uvicorn.Server):
    """uvicorn raises a caught SIGTERM again after its shutdown,
    and the clean stop would look like a crash.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def _until_stopped(server: uvicorn.Server, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, functools.partial(setattr, server, "should_exit", True))
    await server.serve(sockets=[listener])
