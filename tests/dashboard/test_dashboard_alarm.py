"""The alarm of the page: notices that reached no one, where no firm contact is set to hear of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Connection, insert, update

from margin_platform.dashboard.server import alarms
from margin_platform.notification.states import NoticeState
from margin_platform.policy.policy import current_policy
from margin_platform.store.store import Store
from margin_platform.store.tables import notifications

RULES = current_policy().notices


def undelivered(connection: Connection, account: str) -> None:
    fixed = {
        "episode": "E",
        "rung": "R",
        "channel": "SMTP",
        "subject": "S",
        "body": "B",
        "attempts": 6,
        "created_at": 1,
    }
    row = fixed | {"notification_id": account, "account_id": account, "status": NoticeState.UNDELIVERED}
    connection.execute(insert(notifications).values(**row))


@pytest.mark.kafka
@pytest.mark.browser
def test_the_page_shows_how_many_notices_reached_nobody_until_a_person_has_acted(
    start: Any, tab: Page, tmp_path: Path
) -> None:
    address = f"sqlite:///{tmp_path / 'store.db'}"
    with Store(address) as store:
        with store.write() as connection:
            for account in ("A", "B"):
                undelivered(connection, account)
        tab.goto(start(MARGIN_STORE=address).url)
        expect(tab.locator("#unreached")).to_contain_text(
            "2 notices reached no one. The command margin notices lists them"
        )
        with store.write() as connection:
            connection.execute(update(notifications).values(status=NoticeState.REACHED))
        expect(tab.locator("#unreached")).to_be_hidden()


def test_a_store_that_is_missing_is_not_created_and_not_taken_for_one_without_an_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_STORE", f"sqlite:///{tmp_path / 'store.db'}")
    assert alarms.count(RULES) is None
    assert list(tmp_path.iterdir()) == []
