"""How far enforcement has come, asked of the decision store beside the page's frames."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from margin_platform.contracts.messages import MARGIN_STATUS
from margin_platform.dashboard.state.undecided import Undecided
from margin_platform.settings import settings
from margin_platform.store import progress
from margin_platform.store.store import Store, StoreOutdated

ASKED_EVERY_S = 2.0


def next_decided() -> dict[int, int] | None:
    """Return the next offset of margin.status.v1 that enforcement decides, by partition;
    None where the settings' store cannot be read, and is not created.
    """
    try:
        with Store(settings().store_url, read_only=True) as store, store.read() as connection:
            return progress.next_offsets(connection, progress.Consumer.ENFORCEMENT, MARGIN_STATUS)
    except (SQLAlchemyError, OSError, StoreOutdated):
        return None


async def follow(
    undecided: Undecided,
    ask: Callable[[], dict[int, int] | None] = next_decided,
    every_s: float = ASKED_EVERY_S,
) -> None:
    """Ask without end, in a thread: a slow store delays no frame."""
    while True:
        undecided.decided(await asyncio.to_thread(ask))
        await asyncio.sleep(ASKED_EVERY_S)
