"""The store on SQLite and Postgres: what a reader sees is of one moment, and what it must hold fits its
columns.
"""

from __future__ import annotations

from sqlalchemy import func, insert, select

from margin_platform.audit.entries import GENESIS
from margin_platform.contracts.messages import MARGIN_CALLS
from margin_platform.notification.channels import Outgoing
from margin_platform.notification.delivery import Notifier
from margin_platform.policy.policy import current_policy
from margin_platform.store import tables as t
from margin_platform.store.store import Store

NOW = 1_790_000_000_000


class Mail:
    """A channel that takes everything."""

    name, kind = "MAIL", "email"

    def send(self, message: Outgoing) -> str:
        return f"receipt of {message.id}"


def test_a_reader_sees_one_moment_whatever_is_committed_meanwhile(store_url: str) -> None:
    """`margin audit verify` reads entries and then heads:
    a decision in between must not look like a broken chain.
    """
    counted = select(func.count()).select_from(t.ladder_states)
    row = {
        "account_id": "A",
        "state": {},
        "status": "ACTIVE",
        "restricted": False,
        "audit_count": 0,
        "audit_hash": GENESIS,
    }
    with Store(store_url) as store:
        with store.read() as reader:
            before = reader.execute(counted).scalar()
            with store.write() as connection:
                connection.execute(insert(t.ladder_states).values(**row))
            assert (before, reader.execute(counted).scalar()) == (0, 0)
        with store.read() as reader:
            assert reader.execute(counted).scalar() == 1


def test_a_call_amended_to_any_amount_is_told(store_url: str) -> None:
    amended = {
        "account_id": "A",
        "call_id": "c",
        "correlation_id": "c",
        "action": "AMENDED",
        "deficiency": 999_999_999_999.99,
        "timestamp": NOW,
    }
    with Store(store_url) as store:
        with store.write() as connection:
            connection.execute(
                insert(t.contacts).values(account_id="A", contact={"email": "a@b.example"}, updated_at=1)
            )
        notifier = Notifier(store, current_policy(), [Mail()])
        notifier.record([(amended, (MARGIN_CALLS, 0, 0))], NOW)
        ((_, told),) = notifier.deliver(NOW)
        assert (told["rung"], told["status"]) == (
            f"margin.calls.v1:AMENDED:{NOW}:999999999999.99",
            "DELIVERED",
        )
