"""What a person must act on and no figure shows: notices that reached no one.

Counted beside the page's frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from margin_platform.dashboard.server.wall_clock import wall_clock_ms
from margin_platform.notification.outstanding import unreached
from margin_platform.policy.sections import NoticePolicy
from margin_platform.settings import settings
from margin_platform.store.store import Store, StoreOutdated

EVERY_S = 5.0


def count(rules: NoticePolicy, now: Callable[[], int] = wall_clock_ms) -> int | None:
    """Return how many notices of the settings' store reached no one;
    None where it cannot be read, and is not created.

    The time of a retry is the wall's, also in a replay.
    """
    try:
        with Store(settings().store_url, read_only=True) as store:
            return len(unreached(store, rules, now()))
    except (SQLAlchemyError, OSError, StoreOutdated):
        return None


class Alarms:
    """The newest count. `run` keeps it so."""

    def __init__(self, ask: Callable[[], int | None], every_s: float = EVERY_S) -> None:
        self._ask, self._every_s = ask, every_s
        self.unreached: int | None = None

    async def run(self) -> None:
        """Ask without end, in a thread: a slow store delays no frame."""
        while True:
            self.unreached = await asyncio.to_thread(self._ask)
            await asyncio.sleep(self._every_s)
