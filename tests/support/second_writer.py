"""Whether another process could write to a store at this moment."""

from __future__ import annotations

import contextlib
import sqlite3

from margin_platform.store.store import Store


def takes_its_turn(store: Store) -> None:
    """Take the lock of writers and let it go. sqlite3.OperationalError, at once, where somebody holds it."""
    with contextlib.closing(sqlite3.connect(store.engine.url.database or "", timeout=0)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.rollback()
