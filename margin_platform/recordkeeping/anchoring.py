"""Anchoring: the state of all chains signed, stored and put into the outbox, in one transaction."""

from __future__ import annotations

import datetime as dt

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert

from margin_platform.audit import anchors
from margin_platform.audit.anchors import Anchor
from margin_platform.contracts.messages import AUDIT
from margin_platform.store import audit_chain
from margin_platform.store.store import Store
from margin_platform.store.tables import audit_anchors
from margin_platform.store.unit_of_work import post

SCHEDULE = "schedule"  # who makes the anchor of a day


def anchor(store: Store, key: Ed25519PrivateKey, *, day: dt.date, at_ms: int, by: str) -> Anchor | None:
    """Sign all chains as they stand; return the anchor, or None where there is nothing to add.

    day: the New York day that it closes; at_ms: wall clock. A day's schedule adds one anchor, also where
    nothing was decided. A person adds one where a chain moved since the last.
    """
    with store.write() as connection:
        before, heads = audit_chain.anchors(connection), audit_chain.heads(connection)
        if by == SCHEDULE:
            done = any((a.statement["day"], a.statement["by"]) == (day.isoformat(), SCHEDULE) for a in before)
        else:
            done = bool(before) and before[-1].statement["root"] == anchors.root_of(heads)
        if done:
            return None
        made = anchors.make(heads, before, key, day=day.isoformat(), at_ms=at_ms, by=by)
        connection.execute(
            insert(audit_anchors).values(
                number=made.number,
                day=day.isoformat(),
                statement=made.text.decode(),
                signature=made.signature,
                public_key=made.public_key,
                leaves=[list(leaf) for leaf in made.leaves],
            )
        )
        post(connection, [(AUDIT, anchors.event_of(made))])
    return made
