"""Is what the page shows true now? The feed's own account of how fresh it is, on the wall clock and the event clock.

A quiet topic, an unreachable broker and a reader that is behind all mean the same to a risk desk: these figures are not now.
The verdict names the reason and since when; a page that is told so turns grey.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Feed:
    """What the intake reports. Times are wall-clock epoch milliseconds, given by the caller's clock.

    quiet_ms: without a margin event for this long the figures are old; behind_limit: more unread records than this
    means the page shows the past.
    """

    quiet_ms: int = 60_000
    behind_limit: int = 20_000
    started_at: int = 0
    received_at: int | None = None
    produced_at: int | None = None
    lag: int | None = None
    behind_since: int | None = None
    error: str | None = None
    broken_since: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def received(self, produced_at: int, now: int) -> None:
        """A margin event arrived; `produced_at` is Kafka's timestamp of the newest."""
        with self._lock:
            self.received_at, self.produced_at = now, produced_at

    def behind(self, lag: int, now: int) -> None:
        """The broker answered: so many records are still unread."""
        with self._lock:
            self.lag, self.error, self.broken_since = lag, None, None
            self.behind_since = None if lag <= self.behind_limit else self.behind_since or now

    def broken(self, error: str, now: int) -> None:
        """The broker, or every topic, cannot be reached."""
        with self._lock:
            self.error, self.broken_since = error, self.broken_since or now

    def verdict(self, now: int) -> dict[str, Any]:
        """{live, reasons: [{code, text, since}], lag, received_at, produced_at, now}; live only without any reason."""
        with self._lock:
            reasons = list(self._reasons(now))
            return {
                "live": not reasons, "reasons": reasons, "lag": self.lag, "received_at": self.received_at,
                "produced_at": self.produced_at, "now": now,
            }

    def _reasons(self, now: int) -> list[dict[str, Any]]:
        found = []
        if self.broken_since is not None:
            found.append({"code": "BROKER", "text": "Kafka cannot be read", "since": self.broken_since})
        if self.behind_since is not None:
            found.append({"code": "BEHIND", "text": f"catching up, {self.lag:,} events behind", "since": self.behind_since})
        if self.received_at is None:
            found.append({"code": "EMPTY", "text": "no margin event received yet", "since": self.started_at})
        elif now - self.received_at > self.quiet_ms:
            found.append({"code": "QUIET", "text": "no margin event arrives", "since": self.received_at})
        return found
