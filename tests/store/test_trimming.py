"""What the store forgets, on SQLite and Postgres:
sent messages behind the newest ones, and notices after their years.
"""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from margin_platform.contracts.messages import MARGIN_CALLS
from margin_platform.store import tables as t
from margin_platform.store import trimming
from margin_platform.store.store import Store
from margin_platform.store.trimming import NOTICES_KEPT_MS, trim

NOW = 1_790_000_000_000
OLD = NOW - NOTICES_KEPT_MS - 1


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SENT_KEPT", 3)
    monkeypatch.setattr(trimming, "_AT_ONCE", 2)


def left(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(t.outbox.c.message_id).order_by(t.outbox.c.seq)))


def leave(store: Store, sent: list[bool]) -> None:
    rows = [
        {"message_id": f"m{n}", "topic": MARGIN_CALLS, "event": {}, "sent": was_sent}
        for n, was_sent in enumerate(sent)
    ]
    with store.write() as connection:
        connection.execute(insert(t.outbox), rows)


def test_sent_messages_are_forgotten_but_the_newest(store_url: str) -> None:
    with Store(store_url) as store:
        assert trim(store, NOW)["outbox"] == 0
        leave(store, [True] * 8)
        assert trim(store, NOW)["outbox"] == 5
        assert left(store) == ["m5", "m6", "m7"]
        assert trim(store, NOW)["outbox"] == 0


def test_a_message_that_is_not_sent_stays_and_all_behind_it(store_url: str) -> None:
    with Store(store_url) as store:
        leave(store, [True, True, False, True, True, True, True, True])
        assert trim(store, NOW)["outbox"] == 2
        assert left(store) == [f"m{n}" for n in range(2, 8)]


def notice(
    name: str, status: str, recorded: int | None, account: str = "A", channel: str = "SMTP"
) -> dict[str, object]:
    return {
        "notification_id": name,
        "account_id": account,
        "episode": "E",
        "rung": "R",
        "channel": channel,
        "subject": "S",
        "body": "B",
        "status": status,
        "attempts": 1,
        "recorded_wall": recorded,
        "created_at": 1,
    }


def test_a_notice_that_reached_its_customer_is_kept_for_its_years_and_an_open_one_for_good(
    store_url: str,
) -> None:
    rows = [
        notice("reached", "REACHED", OLD, "A"),
        notice("delivered", "DELIVERED", OLD, "B"),
        notice("its other channel", "UNDELIVERED", OLD, "B", "SNS"),
        notice("young", "DELIVERED", OLD + 1, "C"),
        notice("undelivered", "UNDELIVERED", OLD, "D"),
        notice("held", "HELD", OLD, "E"),
        notice("of before", "DELIVERED", None, "F"),
    ]
    with Store(store_url) as store:
        with store.write() as connection:
            connection.execute(insert(t.notifications), rows)
        assert trim(store, NOW)["notifications"] == 3
        with store.read() as connection:
            kept = set(connection.scalars(select(t.notifications.c.notification_id)))
    assert kept == {"young", "undelivered", "held", "of before"}
