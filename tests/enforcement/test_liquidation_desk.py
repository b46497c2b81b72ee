"""The liquidation desk: one order a request, none on a stale price, the next only when the last one is
done.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from margin_platform.contracts.messages import FILLS, LIQUIDATION_ORDERS, MARGIN_CALLS, PRICES
from margin_platform.enforcement import liquidation_desk, open_orders
from margin_platform.enforcement.liquidation_desk import LiquidationDesk, not_before
from margin_platform.liquidation.highest_beta import propose
from margin_platform.liquidation.workbench import Proposal
from margin_platform.policy.policy import current_policy
from margin_platform.store import audit_chain
from margin_platform.store.store import Store
from margin_platform.store.tables import audit as audit_table
from margin_platform.store.tables import ladder_states, orders
from tests.support import second_writer, status_events


@pytest.fixture
def request_event() -> dict[str, Any]:
    """A request for orders as the ladder sends it:
    1,000 AAPL bought at 100, now 85, with a debit of 70,000.
    """
    feed = status_events.StatusFeed()
    feed.open("A1", -70_000.0, 100.0, 1_000.0)
    (status,) = [s for s in feed.price(85.0, 1.0) if s["account_id"] == "A1"]
    return status | {
        "call_id": "c1",
        "attempt": 1,
        "event_id": "e1",
        "explanation": "past due",
        "deficiency": -status["excess"],
    }


def _ordered(desk: LiquidationDesk, *requests: tuple[dict[str, Any], int]) -> list[dict[str, Any]]:
    """The orders made of requests at these offsets; what else was said is for the audit trail."""
    told = desk.handle_many(
        [(event, (MARGIN_CALLS, 0, offset)) for event, offset in requests], run_id="run-1"
    )
    return [event for topic, event in told if topic == LIQUIDATION_ORDERS]


def _audited(store: Store) -> list[tuple[str, str]]:
    """Decisions of the account's audit chain with their reasons; the chain holds."""
    assert audit_chain.verify(store)[1] == []
    with store.read() as connection:
        rows = connection.execute(select(audit_table.c.entry).order_by(audit_table.c.number)).scalars()
        return [(entry["decision"], entry["reason"]) for entry in rows]


def test_a_request_becomes_one_order_however_often_it_arrives(
    store_url: str, request_event: dict[str, Any]
) -> None:
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        (sent,) = _ordered(desk, (request_event, 7), (request_event, 7))
        (leg,) = sent["positions"]
        assert (leg["symbol"], leg["side"], leg["mark"]) == ("AAPL", "SELL", "LONG")
        assert sent["cured"] is True
        assert desk.handle_many([(request_event, (MARGIN_CALLS, 0, 7))]) == []
        again = request_event | {"attempt": 2, "event_id": "e2"}
        assert _ordered(desk, (again, 8)) == []
        assert _audited(store) == [
            ("ORDER", sent["certificate"]["statement"]),
            ("NO_ORDER", "prior order still working"),
        ]


@pytest.mark.parametrize("read", [7, None], ids=["named", "of an older version"])
def test_an_order_names_the_fills_that_its_figures_know(
    store_url: str, request_event: dict[str, Any], read: int | None
) -> None:
    request_event.pop("fills_read", None)
    known = {} if read is None else {"fills_read": read}
    with Store(store_url) as store:
        (sent,) = _ordered(LiquidationDesk(store, current_policy()), (request_event | known, 7))
    assert {name: sent[name] for name in ("fills_read",) if name in sent} == known


def test_no_order_is_sized_while_the_store_is_written(
    tmp_path: Path, request_event: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer gets its turn at each one of them."""
    sized = []
    with Store(f"sqlite:///{tmp_path / 'store.db'}") as store:

        def while_another_writes(*given: Any) -> Proposal:
            second_writer.takes_its_turn(store)
            sized.append(given[0].account_ids)
            return propose(*given)

        monkeypatch.setattr(liquidation_desk, "propose", while_another_writes)
        other = request_event | {"account_id": "A2", "call_id": "c2", "event_id": "e2"}
        desk = LiquidationDesk(store, current_policy())
        assert len(_ordered(desk, (request_event, 7), (other, 8), (request_event, 9))) == 2
    assert sized == [("A1",), ("A2",)]


def _stands(store: Store, status: dict[str, Any]) -> None:
    """The account's newest figures are these."""
    with store.write() as connection:
        connection.execute(
            update(ladder_states).where(ladder_states.c.account_id == "A1").values(last_event=status)
        )


def _statuses(price: float) -> Any:
    """An account as in `request_event`, whose fills and prices follow one another:
    a function from (shares sold, minute) to its status.
    """
    feed, sold = status_events.StatusFeed(), 0
    feed.open("A1", -70_000.0, 100.0, 1_000.0)
    feed.price(85.0, 1.0)

    def after(qty: float, minute: int, order_id: str | None = None) -> dict[str, Any]:
        nonlocal sold
        sold += 1
        at = status_events.MORNING + minute * 60_000
        fill = {
            "fill_id": f"f{sold}",
            "account_id": "A1",
            "symbol": "AAPL",
            "qty": -qty,
            "price": price,
            "timestamp": at,
        }
        fill |= {} if order_id is None else {"order_id": order_id}
        quote = {"symbol": "AAPL", "price": price, "timestamp": at}
        (status,) = [s for s in feed.say((FILLS, fill), (PRICES, quote)) if s["account_id"] == "A1"]
        return dict(status)

    return after


def test_shares_an_order_still_works_on_are_not_asked_for_again_until_it_is_done(
    store_url: str, request_event: dict[str, Any]
) -> None:
    after = _statuses(84.0)
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        (first,) = _ordered(desk, (request_event, 7))
        ordered = first["positions"][0]["qty"]
        # all but one share is traded, at a worse price
        _stands(store, after(ordered - 1, 2, first["order_id"]))
        for attempt in (2, 3):
            again = request_event | {"attempt": attempt, "event_id": f"e{attempt}"}
            assert _ordered(desk, (again, 6 + attempt)) == []
        whole = after(1, 3, first["order_id"])
        _stands(store, whole)
        assert whole["excess"] < 0
        (second,) = _ordered(desk, (request_event | {"attempt": 4, "event_id": "e4"}, 10))
        assert second["order_id"] != first["order_id"]
        assert second["excess_before"] == whole["excess"]  # sized on what stands after the fills
        assert second["held_before"]["AAPL"] == 1_000 - ordered
        with store.read() as connection:
            found = connection.execute(
                select(orders.c.attempt, orders.c.status).order_by(orders.c.attempt)
            ).all()
        assert [tuple(row) for row in found] == [(1, "FILLED"), (4, "SENT")]


def test_a_request_published_twice_has_one_order_and_stops_no_other_account(
    store_url: str, request_event: dict[str, Any]
) -> None:
    """The sender died between publishing and marking:
    the request stands at a second offset, read after its order was filled.
    """
    after = _statuses(84.0)
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        (first,) = _ordered(desk, (request_event, 7))
        # at a worse price: still deficient
        _stands(store, after(first["positions"][0]["qty"], 2, first["order_id"]))
        other = request_event | {"account_id": "A2", "call_id": "c2", "event_id": "e2"}
        (made,) = _ordered(desk, (request_event, 8), (other, 9))
        assert (made["account_id"], made["call_id"]) == ("A2", "c2")
        assert ("NO_ORDER", "this request has its order already") in _audited(store)
        with store.read() as connection:
            found = connection.execute(
                select(orders.c.call_id, orders.c.attempt).order_by(orders.c.call_id)
            ).all()
        assert [tuple(row) for row in found] == [("c1", 1), ("c2", 1)]


def test_a_cure_cancels_what_is_left_of_a_partly_filled_order(
    store_url: str, request_event: dict[str, Any]
) -> None:
    after = _statuses(85.0)
    with Store(store_url) as store:
        (order,) = _ordered(LiquidationDesk(store, current_policy()), (request_event, 7))
        ordered = order["positions"][0]["qty"]
        newer = after(10, 2, order["order_id"])
        with store.write() as connection:
            (event,) = open_orders.cancel(connection, "c1", newer, "whole again", newer["timestamp"], "run-2")
            assert (
                open_orders.cancel(connection, "c1", newer, "whole again", newer["timestamp"], "run-3") == []
            )
        assert (event["action"], event["order_id"], event["positions"][0]["qty"]) == (
            "CANCEL",
            order["order_id"],
            ordered - 10,
        )


def test_no_order_is_made_on_a_stale_price(store_url: str, request_event: dict[str, Any]) -> None:
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        assert _ordered(desk, (request_event | {"stale_symbols": ["AAPL"]}, 7)) == []
        assert _audited(store) == [("NO_ORDER", "held: the price of AAPL is too old to act upon")]


def test_no_order_is_made_on_a_price_that_grew_old_in_silence(
    store_url: str, request_event: dict[str, Any]
) -> None:
    """The feed stopped in the morning; the call falls due two hours later.

    A price of yesterday's close is young at the open.
    """
    late = request_event | {"timestamp": request_event["timestamp"] + 7_200_000}
    printed = status_events.MORNING + 6 * 3_600_000  # Friday 15:30
    at_the_open = request_event | {
        "call_id": "c2",
        "timestamp": status_events.MORNING + 3 * 86_400_000,  # Monday 09:30
        "positions": [row | {"price_timestamp": printed} for row in request_event["positions"]],
    }
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy())
        assert _ordered(desk, (late, 7)) == []
        assert len(_ordered(desk, (at_the_open, 8))) == 1
        assert _audited(store)[0] == ("NO_ORDER", "held: the price of AAPL is too old to act upon")


def test_a_call_past_due_is_worked_although_the_accounts_own_figures_are_of_long_ago(
    store_url: str, request_event: dict[str, Any]
) -> None:
    """A band that does not change publishes no newer figures;
    the market's newest price says that its prices are alive.
    """
    late = request_event | {"timestamp": request_event["timestamp"] + 7_200_000}
    with Store(store_url) as store:
        desk = LiquidationDesk(store, current_policy(), newest_price=late["timestamp"] - 1000)
        assert len(_ordered(desk, (late, 7))) == 1


@pytest.mark.parametrize(
    ("made_at", "trades_at"),
    [
        ("2020-02-21T12:00-05:00", "2020-02-21T12:00-05:00"),  # in market hours: now
        ("2020-02-21T16:00-05:00", "2020-02-24T09:30-05:00"),  # at Friday's close: Monday's opening
        ("2020-11-27T13:00-05:00", "2020-11-30T09:30-05:00"),  # the day after Thanksgiving closes at 13:00
        ("2020-11-26T12:00-05:00", "2020-11-27T09:30-05:00"),  # Thanksgiving
        ("2020-03-06T17:00-05:00", "2020-03-09T09:30-04:00"),  # summer time began on the Sunday
    ],
)
def test_an_order_waits_for_the_market(made_at: str, trades_at: str) -> None:
    made, trades = (int(dt.datetime.fromisoformat(text).timestamp() * 1000) for text in (made_at, trades_at))
    assert not_before(made) == trades
