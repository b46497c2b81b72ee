"""A browser's session: a cookie that is its own, ends by itself, and cannot be made without the token."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable

LASTS_S = 12 * 3600  # a working day


class Sessions:
    """The cookies of one token.

    Nothing is stored: a server that is started again knows them. clock: epoch seconds.
    """

    def __init__(self, token: str, clock: Callable[[], float] = time.time) -> None:
        self._key, self._clock = token.encode(), clock

    def begin(self) -> str:
        """Return the value of a new session's cookie."""
        claims = f"{int(self._clock()) + LASTS_S}.{secrets.token_urlsafe(16)}"
        return f"{claims}.{self._signature(claims)}"

    def holds(self, value: str) -> bool:
        """Report whether a cookie is one of ours and has not ended."""
        claims, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(claims).encode()):
            return False
        return int(claims.partition(".")[0]) > self._clock()

    def _signature(self, claims: str) -> str:
        return hmac.new(self._key, f"margin dashboard session {claims}".encode(), hashlib.sha256).hexdigest()
