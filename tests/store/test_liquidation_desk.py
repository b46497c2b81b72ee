"""The liquidation desk: one order a request, none on a stale price, the next only when the last one is done."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from margin_platform.liquidation_desk import LiquidationDesk
from margin_platform.policy import current_policy
from margin_platform.store import Store

_spec = importlib.util.spec_from_file_location("status_events", Path(__file__).with_name("status_events.py"))
assert _spec is not None
assert _spec.loader is not None
status_events = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(status_events)


@pytest.fixture
def request_event() -> dict[str, Any]:
    """A request for orders as the ladder sends it: 1,000 AAPL bought at 100, now 85, with a debit of 70,000."""
    feed = status_events.Desk()
    feed.open("A1", -70_000.0, 100.0, 1_000.0)
    (status,) = [s for s in feed.price(85.0, 1.0) if s["account_id"] == "A1"]
    return status | {"call_id": "c1", "attempt": 1, "event_id": "e1", "explanation": "past due", "deficiency": -status["excess"]}


def test_a_request_becomes_one_order_however_often_it_arrives(store_url: str, request_event: dict[str, Any]) -> None:
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        sent = desk.handle_many([(request_event, ("margin.calls.v1", 0, 7))])
        assert len(sent) == 1
        (leg,) = sent[0][1]["positions"]
        assert (leg["symbol"], leg["side"], leg["mark"]) == ("AAPL", "SELL", "LONG")
        assert sent[0][1]["cured"] is True
        assert desk.handle_many([(request_event, ("margin.calls.v1", 0, 7))]) == []
        again = request_event | {"attempt": 2, "event_id": "e2"}
        assert desk.handle_many([(again, ("margin.calls.v1", 0, 8))]) == []   # the first is still being worked


def test_no_order_is_made_on_a_stale_price(store_url: str, request_event: dict[str, Any]) -> None:
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        assert desk.handle_many([(request_event | {"stale_symbols": ["AAPL"]}, ("margin.calls.v1", 0, 7))]) == []
