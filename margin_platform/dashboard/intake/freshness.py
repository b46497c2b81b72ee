"""Is what the page shows true now?

The feed's own account of how fresh it is, on the wall clock and the event clock.

A quiet topic, an unreachable broker and a reader that is behind all mean the same to a margin clerk: these
figures are not now. The verdict names the reason and since when; the page then turns gray.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from margin_platform.contracts.json_object import Json
from margin_platform.dashboard.state.undecided import Undecided


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
    priced_at: int = 0  # when the newest price was written to Kafka
    ended_at: int | None = None  # the same of the last price of a replay
    ended_clock: int | None = None  # its event time
    undecided: Undecided = field(default_factory=Undecided, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def received(self, written_at: int, now: int) -> None:
        """Note the arrival of a margin event.

        Its time is when it was written: what is read back after a restart may be hours old.
        """
        with self._lock:
            self.written_at = max(self.written_at or 0, min(written_at, now))

    def priced(self, written_at: int) -> None:
        """Note a price. One that is newer than the last one of a replay ends the end of that replay."""
        with self._lock:
            self.priced_at = max(self.priced_at, written_at)

    def replay_ended(self, event_time: int, written_at: int) -> None:
        """Note the last price of a replay: nothing is written after it, and its figures stay true."""
        with self._lock:
            self.ended_at, self.ended_clock = written_at, event_time
            self.priced_at = max(self.priced_at, written_at)

    @property
    def _ended(self) -> bool:
        return self.ended_at is not None and self.ended_at >= self.priced_at

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
        """Return whether something that is written all the time was not written for too long.

        After the end of a replay nothing is written, and nothing grows old.
        """
        return now - written_at > self.quiet_ms and not self._ended

    def verdict(self, now: int) -> Json:
        """Return {live, reasons: [{code, text, since}], lag, written_at, now, replay_ended}; live only
        without any reason.

        replay_ended: the event time of the last price of a replay, where no other price came after it.
        """
        with self._lock:
            reasons = list(self._reasons(now))
            return {
                "live": not reasons,
                "reasons": reasons,
                "lag": self.lag,
                "written_at": self.written_at,
                "now": now,
                "replay_ended": self.ended_clock if self._ended else None,
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
