"""The newest status event the store holds of each account:
positions, prices and figures as they were when last acted upon.
"""

from __future__ import annotations

from sqlalchemy import select

from margin_platform.contracts.messages import Event
from margin_platform.store.store import Store
from margin_platform.store.tables import ladder_states


def recorded_statuses(store: Store) -> dict[str, Event]:
    """Return the newest margin.status.v1 event by account id; accounts that never needed attention have
    none."""
    with store.read() as connection:
        rows = connection.execute(select(ladder_states.c.account_id, ladder_states.c.last_event)).all()
    return {account: event for account, event in rows if event}
