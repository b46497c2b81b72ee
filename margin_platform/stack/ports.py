"""Ports of the local stack: the usual one where it is free, any free one where it is taken."""

from __future__ import annotations

import socket

HOST = "127.0.0.1"


def choose(default: int, taken: set[int] | None = None) -> int:
    """Choose `default` where nothing listens there and it is not in `taken`, else a port the system reports
    as free."""
    if default not in (taken or set()) and is_free(default):
        return default
    return any_free(taken)


def is_free(port: int) -> bool:
    """Report whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT can be used again
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def accepts(port: int) -> bool:
    """Report whether something answers a connection on the port."""
    try:
        with socket.create_connection((HOST, port), timeout=1.0):
            return True
    except OSError:
        return False


def any_free(taken: set[int] | None = None) -> int:
    """Return a port nothing listens on and not in `taken`, chosen by the system."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in (taken or set()):
            return port
