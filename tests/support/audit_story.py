"""A store with a few accounts, their calls and orders, for tests of the audit trail;
and what a forger does to it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select, update

from margin_platform.audit import signing
from margin_platform.audit.entries import GENESIS, digest, entry_hash
from margin_platform.contracts.messages import MARGIN_CALLS, MARGIN_STATUS
from margin_platform.enforcement.enforcer import Enforcer
from margin_platform.enforcement.liquidation_desk import LiquidationDesk
from margin_platform.policy.policy import current_policy
from margin_platform.store import progress
from margin_platform.store import tables as t
from margin_platform.store.store import Store
from tests.support import status_events


def decide(store: Store, events: list[dict[str, Any]]) -> None:
    """Decide status events and answer the requests for orders, each after those of before."""
    said = Enforcer(store, current_policy()).handle_many(
        _next(store, "enforcement", MARGIN_STATUS, events), run_id="run-1"
    )
    requests = [event for topic, event in said if topic == MARGIN_CALLS and event["action"] == "LIQUIDATE"]
    desk = LiquidationDesk(store, current_policy())
    desk.handle_many(_next(store, "liquidation", MARGIN_CALLS, requests), run_id="run-2")


def _next(
    store: Store, consumer: str, topic: str, events: list[dict[str, Any]]
) -> list[tuple[dict[str, Any], Any]]:
    with store.read() as connection:
        known = progress.of(connection, consumer, topic, 0)
    first = 0 if known is None else known.next_offset
    return [(event, (topic, 0, first + n)) for n, event in enumerate(events)]


def tell(store: Store) -> None:
    """A1 and A2 fall into a call, are restricted and have orders; A3 is warned, called and cured."""
    feed = status_events.StatusFeed()
    seen = feed.open("A1", -60_000, 100.0, 1000) + feed.open("A2", -62_000, 100.0, 1000)
    seen += feed.open("A3", -60_000, 100.0, 1000)
    for price, minute in ((95.0, 1), (90.0, 2), (70.0, 35)):
        seen += feed.price(price, minute)
    cash = {
        "transfer_id": "cure",
        "account_id": "A3",
        "amount": 60_000.0,
        "timestamp": status_events.MORNING + 36 * 60_000,
    }
    seen += feed.say(("cash.v1", cash))
    decide(store, seen)


def rehash(connection: Connection, account: str) -> None:
    """Make an account's chain hold again after its entries were changed:
    what a forger with the whole database does.
    """
    previous, number = GENESIS, 0
    rows = connection.execute(
        select(t.audit).where(t.audit.c.account_id == account).order_by(t.audit.c.number)
    ).all()
    for row in rows:
        hashed, number = entry_hash(previous, row.entry), number + 1
        values = {"previous_hash": previous, "hash": hashed, "number": number}
        connection.execute(update(t.audit).where(t.audit.c.seq == row.seq).values(values))
        previous = hashed
    end = {"audit_count": number, "audit_hash": previous}
    for table in (t.ladder_states, t.audit_heads):
        connection.execute(update(table).where(table.c.account_id == account).values(end))


def invent(connection: Connection, like: str, account: str) -> None:
    """Copy the chain and the state of one account to a name that was never decided of."""
    for table in (t.audit, t.ladder_states):
        for row in connection.execute(select(table).where(table.c.account_id == like)).mappings().all():
            new = {name: value for name, value in row.items() if name != "seq"} | {"account_id": account}
            if table is t.audit:
                new |= {
                    "entry": row["entry"] | {"account_id": account},
                    "hash": digest([account, row["number"]]),
                }
            connection.execute(insert(table).values(new))
    rehash(connection, account)


if __name__ == "__main__":  # the data folder of docs/audit.md
    folder = Path(sys.argv[1])
    signing.create(folder / "audit-key.pem")
    with Store(f"sqlite:///{folder / 'store.db'}") as opened:
        tell(opened)
