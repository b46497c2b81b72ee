"""A session's closing print, and which of two prints it is."""

from __future__ import annotations

from typing import NamedTuple


class Close(NamedTuple):
    """A session's closing print: event time in epoch milliseconds, dollars a share as traded, and the
    source's remarks.
    """

    timestamp: int
    price: float
    sequence: int | None = None
    confirmed: bool = False
    official: bool = False

    def supersedes(self, known: Close) -> bool:
        """Report whether this print replaces the close that is known: an official close does, else the newer
        print.

        The newer by event time, then by the source's sequence where both carry one, then by arrival.
        """
        if self.official != known.official:
            return self.official
        if self.timestamp == known.timestamp and self.sequence is not None and known.sequence is not None:
            return self.sequence >= known.sequence
        return self.timestamp >= known.timestamp
