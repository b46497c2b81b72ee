"""The liquidation desk: one order a request, none on a stale price, the next only when the last one is done."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert, select

from margin_platform import open_orders
from margin_platform.events import FILLS, MARGIN_CALLS, PRICES
from margin_platform.liquidation_desk import LiquidationDesk
from margin_platform.policy import current_policy
from margin_platform.store import Store
from margin_platform.store.tables import ladder_states, orders

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


def _stands(store: Store, status: dict[str, Any]) -> None:
    """The account's newest figures are these."""
    row = {"account_id": "A1", "state": {}, "status": "LIQUIDATION", "restricted": True, "audit_count": 0, "audit_hash": ""}
    with store.write() as connection:
        connection.execute(delete(ladder_states))
        connection.execute(insert(ladder_states).values(**row, last_event=status))


def _statuses(price: float) -> Any:
    """An account as in `request_event`, whose fills and prices follow one another: a function from (shares sold, minute) to its status."""
    feed, sold = status_events.Desk(), 0
    feed.open("A1", -70_000.0, 100.0, 1_000.0)
    feed.price(85.0, 1.0)

    def after(qty: float, minute: int) -> dict[str, Any]:
        nonlocal sold
        sold += 1
        at = status_events.MORNING + minute * 60_000
        fill = {"fill_id": f"f{sold}", "account_id": "A1", "symbol": "AAPL", "qty": -qty, "price": price, "timestamp": at}
        quote = {"symbol": "AAPL", "price": price, "timestamp": at}
        (status,) = [s for s in feed.say((FILLS, fill), (PRICES, quote)) if s["account_id"] == "A1"]
        return dict(status)

    return after


def test_shares_an_order_still_works_on_are_not_asked_for_again_until_it_is_done(store_url: str, request_event: dict[str, Any]) -> None:
    after = _statuses(84.0)
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        ((_, first),) = desk.handle_many([(request_event, (MARGIN_CALLS, 0, 7))])
        ordered = first["positions"][0]["qty"]
        _stands(store, after(ordered - 1, 2))   # all but one share is traded, at a worse price
        for attempt in (2, 3):
            again = request_event | {"attempt": attempt, "event_id": f"e{attempt}"}
            assert desk.handle_many([(again, (MARGIN_CALLS, 0, 6 + attempt))]) == []
        whole = after(1, 3)
        _stands(store, whole)
        assert whole["excess"] < 0
        ((_, second),) = desk.handle_many([(request_event | {"attempt": 4, "event_id": "e4"}, (MARGIN_CALLS, 0, 10))])
        assert second["order_id"] != first["order_id"]
        assert second["excess_before"] == whole["excess"]   # sized on what stands after the fills
        assert second["held_before"]["AAPL"] == 1_000 - ordered
        with store.read() as connection:
            found = connection.execute(select(orders.c.attempt, orders.c.status).order_by(orders.c.attempt)).all()
        assert [tuple(row) for row in found] == [(1, "FILLED"), (4, "SENT")]


def test_a_cure_cancels_what_is_left_of_a_partly_filled_order(store_url: str, request_event: dict[str, Any]) -> None:
    after = _statuses(85.0)
    with Store(store_url) as store:
        ((_, order),) = LiquidationDesk(store, current_policy()).handle_many([(request_event, (MARGIN_CALLS, 0, 7))])
        ordered = order["positions"][0]["qty"]
        newer = after(10, 2)
        with store.write() as connection:
            (event,) = open_orders.cancel(connection, "c1", newer["positions"], "whole again", newer["timestamp"], "run-2")
            assert open_orders.cancel(connection, "c1", newer["positions"], "whole again", newer["timestamp"], "run-3") == []
        assert (event["action"], event["order_id"], event["positions"][0]["qty"]) == ("CANCEL", order["order_id"], ordered - 10)


def test_no_order_is_made_on_a_stale_price(store_url: str, request_event: dict[str, Any]) -> None:
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        assert desk.handle_many([(request_event | {"stale_symbols": ["AAPL"]}, ("margin.calls.v1", 0, 7))]) == []
