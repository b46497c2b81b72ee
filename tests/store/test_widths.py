"""A column has room for each word that the product writes: Postgres refuses a longer one, SQLite takes it."""

from __future__ import annotations

from enum import StrEnum

import pytest
from sqlalchemy import Column, String

from margin_platform.contracts.events.vocabulary import CallKind
from margin_platform.enforcement.enforcer import CallState
from margin_platform.enforcement.open_orders import OrderState
from margin_platform.notification.states import NoticeState
from margin_platform.store import tables as t
from margin_platform.store.progress import Consumer


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (t.progress.c.consumer, Consumer),
        (t.calls.c.status, CallState),
        (t.orders.c.status, OrderState),
        (t.notifications.c.status, NoticeState),
        (t.notifications.c.call_kind, CallKind),
    ],
    ids=str,
)
def test_a_column_has_room_for_each_of_its_words(column: Column[str], words: type[StrEnum]) -> None:
    assert isinstance(column.type, String)
    assert column.type.length is not None
    assert [word for word in words if len(word) > column.type.length] == []
