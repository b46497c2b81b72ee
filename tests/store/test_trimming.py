"""What the store forgets, on SQLite and Postgres:
sent messages behind the newest ones, and notices after their years.
"""

from __future__ import annotations

import pytest
from sqlalchemy import insert, select

from margin_platform.contracts.messages import AUDIT, MARGIN_CALLS
from margin_platform.policy.policy import current_policy
from margin_platform.recordkeeping import retention, trimming
from margin_platform.recordkeeping.trimming import trim
from margin_platform.store import tables as t
from margin_platform.store.store import Store

NOW = 1_790_000_000_000
YEARS = current_policy().records.retention_years
A_YEAR = 31_557_600_000  # 365.25 days
OLD = NOW - YEARS * A_YEAR - 1


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trimming, "SENT_KEPT", 3)
    monkeypatch.setattr(trimming, "_AT_ONCE", 2)


def left(store: Store) -> list[str]:
    with store.read() as connection:
        return list(connection.scalars(select(t.outbox.c.message_id).order_by(t.outbox.c.seq)))


def leave(store: Store, sent: list[bool], topic: str = MARGIN_CALLS) -> None:
    rows = [
        {"message_id": f"m{n}", "topic": topic, "event": {}, "sent": was_sent}
        for n, was_sent in enumerate(sent)
    ]
    with store.write() as connection:
        connection.execute(insert(t.outbox), rows)


def test_sent_messages_are_forgotten_but_the_newest(store_url: str) -> None:
    with Store(store_url) as store:
        assert trim(store, NOW, YEARS)["outbox"] == 0
        leave(store, [True] * 8)
        assert trim(store, NOW, YEARS)["outbox"] == 5
        assert left(store) == ["m5", "m6", "m7"]
        assert trim(store, NOW, YEARS)["outbox"] == 0


@pytest.mark.parametrize("topic", [MARGIN_CALLS, AUDIT])
def test_a_message_that_is_not_sent_stays_and_all_behind_it(store_url: str, topic: str) -> None:
    with Store(store_url) as store:
        leave(store, [True, True, False, True, True, True, True, True], topic)
        assert trim(store, NOW, YEARS)["outbox"] == 2
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
        assert trim(store, NOW, YEARS)["notifications"] == 3
        with store.read() as connection:
            kept = set(connection.scalars(select(t.notifications.c.notification_id)))
    assert kept == {"young", "undelivered", "held", "of before"}


def test_a_notice_under_legal_hold_is_kept_until_the_hold_is_released(store_url: str) -> None:
    rows = [notice("held", "DELIVERED", OLD, "A"), notice("free", "DELIVERED", OLD, "B")]
    with Store(store_url) as store:
        with store.write() as connection:
            connection.execute(insert(t.notifications), rows)
        retention.hold(store, "A", who="alice@desk", why="matter 7")
        assert trim(store, NOW, YEARS)["notifications"] == 1
        assert trim(store, 2 * NOW, YEARS)["notifications"] == 0
        retention.release(store, "A", who="alice@desk", why="settled")
        assert trim(store, NOW, YEARS)["notifications"] == 1


def test_a_policy_that_keeps_records_longer_keeps_notices_longer(store_url: str) -> None:
    with Store(store_url) as store:
        with store.write() as connection:
            connection.execute(insert(t.notifications), [notice("old", "DELIVERED", OLD)])
        assert trim(store, NOW, YEARS + 1)["notifications"] == 0
        assert trim(store, NOW + A_YEAR, YEARS + 1)["notifications"] == 1
