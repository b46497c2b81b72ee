"""moto's own server in this process, without the guard of the local stack's endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer

from margin_platform.stack import ports


@contextmanager
def moto_alone() -> Iterator[str]:
    """Serve while the context lasts, and give the URL."""
    server = ThreadedMotoServer(ip_address=ports.HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
