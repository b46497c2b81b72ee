"""Is what the page shows true now?

The feed's own account of how fresh it is, on the wall clock and the event clock.

A quiet topic, an unreachable broker and a reader that is behind all mean the same to a margin clerk: these
figures are not now. The verdict names the reason and since when; the page then turns gray.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Feed:
    """What the intake reports. Times are wall-clock epoch milliseconds, given by the caller's clock.

    quiet_ms: without a margin event for this long the figures are old; behind_ms: a page that knows only what
    was so this long ago, with more to read, shows the past.
    """

    quiet_ms: int = 60_000
    behind_ms: int = 10_000
    started_at: int = 0
    written_at: int | None = None  # when the newest margin event was written to Kafka
    lag: int | None = None
    behind_since: int | None = None
    error: str | None = None
    broken_since: int | None = None
    missing: tuple[str, ...] = ()
    missing_since: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def received(self, written_at: int, now: int) -> None:
        """Note the arrival of a margin event.

        Its time is when it was written: what is read back after a restart may be hours old.
        """
        with self._lock:
            self.written_at = max(self.written_at or 0, min(written_at, now))

    def behind(self, lag: int, known_up_to: int | None, now: int) -> None:
        """Note the broker's answer: this many records are still unread, and what is shown is known up to a
        time (None: up to now).
        """
        with self._lock:
            self.lag, self.error, self.broken_since = lag, None, None
            late = known_up_to is not None and now - known_up_to > self.behind_ms
            self.behind_since = (known_up_to or self.started_at) if late else None

    def broken(self, error: str, now: int) -> None:
        """Note that the broker, or every topic, cannot be reached."""
        with self._lock:
            self.error, self.broken_since = error, self.broken_since or now

    def unreadable(self, topics: Sequence[str], now: int) -> bool:
        """Record the topics that are missing or forbidden; return True if the set changed."""
        with self._lock:
            changed, self.missing = self.missing != tuple(topics), tuple(topics)
            self.missing_since = (self.missing_since or now) if topics else None
            return changed

    def is_old(self, written_at: int, now: int) -> bool:
        """Report whether something that is written all the time was not written for too long."""
        return now - written_at > self.quiet_ms

    def verdict(self, now: int) -> dict[str, object]:
        """Return {live, reasons: [{code, text, since}], lag, written_at, now}; live only without any
        reason."""
        with self._lock:
            reasons = list(self._reasons(now))
            return {
                "live": not reasons,
                "reasons": reasons,
                "lag": self.lag,
                "written_at": self.written_at,
                "now": now,
            }

    def _reasons(self, now: int) -> list[dict[str, object]]:
        found = []
        if self.broken_since is not None:
            found.append({"code": "BROKER", "text": "Kafka cannot be read", "since": self.broken_since})
        if self.missing_since is not None:
            found.append(
                {
                    "code": "TOPIC",
                    "text": f"{', '.join(self.missing)} cannot be read",
                    "since": self.missing_since,
                }
            )
        if self.behind_since is not None:
            found.append(
                {
                    "code": "BEHIND",
                    "text": "catching up with Kafka, nothing is known",
                    "since": self.behind_since,
                }
            )
        if self.written_at is None:
            found.append({"code": "EMPTY", "text": "no margin event received yet", "since": self.started_at})
        elif self.is_old(self.written_at, now):
            found.append({"code": "QUIET", "text": "no margin event written", "since": self.written_at})
        return found
