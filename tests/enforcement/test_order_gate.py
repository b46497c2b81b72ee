"""The order gate: the close-only rule, and its answers over real HTTP on what the store holds."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert

from margin_platform.dashboard.server.order_gate import endpoint
from margin_platform.enforcement.order_gate import allow
from margin_platform.store.store import Store
from margin_platform.store.tables import contacts, ladder_states, orders

SHARES = st.integers(-5_000, 5_000)
Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.mark.parametrize(
    ("position", "order", "expected"),
    [
        (2000, -2000, True),
        (2000, -2001, False),
        (-2000, 2000, True),
        (-2000, 2001, False),
        (0, 1, False),
        (5, 1, False),
        (-5, -1, False),
    ],
)
def test_a_close_only_account_may_reduce_to_flat_and_not_through_it(
    position: float, order: float, expected: bool
) -> None:
    assert allow(restricted=True, position=position, quantity=order).allow is expected  # D10


@given(SHARES, SHARES.filter(bool), SHARES)
def test_no_allowed_order_leaves_a_larger_or_an_opposite_position(
    position: int, order: int, working: int
) -> None:
    verdict = allow(restricted=True, position=position, quantity=order, working=working)
    closing = working if position * working < 0 else 0
    closing = max(-abs(position), min(abs(position), closing))
    left = position + closing + order
    assert verdict.allow == (position * order < 0 and left * position >= 0)
    assert allow(restricted=False, position=position, quantity=order).allow


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Asks the gate of a real server on a real store:
    A is close-only with 100 X long, 40 of them being sold, and 50 Y short.
    """
    positions = [{"symbol": "X", "qty": 100.0}, {"symbol": "Y", "qty": -50.0}]
    fixed = {"state": {}, "status": "CLOSE_ONLY", "audit_count": 0, "audit_hash": ""}
    leg = {"symbol": "X", "side": "SELL", "qty": 40.0, "estimated_proceeds": 1.0}
    sent = {"held_before": {"X": 100.0, "Y": -50.0}, "positions": [leg], "order_id": "o"}
    folder: Path = tmp_path_factory.mktemp("gate")
    with Store(f"sqlite:///{folder / 'store.db'}") as store:
        with store.write() as connection:
            for account_id, restricted, event in (
                ("A", True, {"positions": positions}),
                ("Ångström-1", True, {"positions": []}),
                ("FREE", False, None),
                ("BLIND", True, None),
            ):
                connection.execute(
                    insert(ladder_states).values(
                        account_id=account_id, restricted=restricted, last_event=event, **fixed
                    )
                )
            connection.execute(
                insert(orders).values(
                    order_id="o",
                    account_id="A",
                    call_id="c",
                    attempt=1,
                    status="SENT",
                    created_at=0,
                    event=sent,
                )
            )
            connection.execute(insert(contacts).values(account_id="ANNOUNCED", contact={}, updated_at=1))
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(endpoint(store, known={"IN_THE_BOOK"}.__contains__), log_level="warning")
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()

        def post(body: bytes, what: str = "check") -> tuple[int, dict[str, Any]]:
            connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=10)
            connection.request("POST", f"/orders/{what}", body)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

        yield post
        server.should_exit = True
        thread.join(timeout=10)


def _order(**changes: Any) -> bytes:
    return json.dumps({"account_id": "A", "symbol": "X", "side": "SELL", "qty": 60} | changes).encode()


@pytest.mark.parametrize(
    ("changes", "allowed", "rule"),
    [
        ({}, True, "CLOSE_ONLY_REDUCES"),
        ({"qty": 61}, False, "CLOSE_ONLY_THROUGH_ZERO"),
        ({"side": "BUY"}, False, "CLOSE_ONLY_OPENS"),
        ({"symbol": "Y", "side": "BUY_TO_COVER", "qty": 50}, True, "CLOSE_ONLY_REDUCES"),
        ({"symbol": "Y", "side": "BUY", "qty": 50.5}, False, "CLOSE_ONLY_THROUGH_ZERO"),
        ({"symbol": "Z", "side": "SELL_SHORT"}, False, "CLOSE_ONLY_OPENS"),
        ({"account_id": "FREE", "side": "BUY", "qty": 1e6}, True, "NOT_RESTRICTED"),
        ({"account_id": "NEVER_SEEN", "side": "BUY"}, False, "UNKNOWN_ACCOUNT"),
        ({"account_id": "A ", "side": "BUY"}, False, "UNKNOWN_ACCOUNT"),
        ({"account_id": "a", "side": "BUY"}, False, "UNKNOWN_ACCOUNT"),
        ({"account_id": unicodedata.normalize("NFD", "Ångström-1"), "side": "BUY"}, False, "UNKNOWN_ACCOUNT"),
        ({"account_id": "Ångström-1", "side": "BUY"}, False, "CLOSE_ONLY_OPENS"),
        ({"account_id": "ANNOUNCED", "side": "BUY"}, True, "NOT_RESTRICTED"),
        ({"account_id": "IN_THE_BOOK", "side": "BUY"}, True, "NOT_RESTRICTED"),
        ({"account_id": "BLIND"}, False, "CLOSE_ONLY_POSITIONS_UNKNOWN"),
    ],
)
def test_the_endpoint_answers_with_the_rule(
    ask: Ask, changes: dict[str, Any], allowed: bool, rule: str
) -> None:
    status, answer = ask(_order(**changes))
    assert (status, answer["allow"], answer["rule"]) == (200, allowed, rule)
    assert answer["reason"]
    if answer["reservation_id"]:
        release = {"account_id": "A", "reservation_id": answer["reservation_id"]}
        assert ask(json.dumps(release).encode(), "release") == (200, {"released": True})
        assert ask(json.dumps(release).encode(), "release") == (200, {"released": False})


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"[]", 400, "body"),
        (b"\xff", 400, "body"),
        (b"[" * 1000 + b"]" * 1000, 400, "body"),
        (b'{"qty": NaN}', 400, "body"),
        (b"x" * 70_000, 413, "body"),
        (_order(account_id=None), 422, "account_id"),
        (_order(symbol=" "), 422, "symbol"),
        (_order(side="HOLD"), 422, "side"),
        (_order(side=["SELL"]), 422, "side"),
        (_order(qty=0), 422, "qty"),
        (_order(qty=-5), 422, "qty"),
        (_order(qty="60"), 422, "qty"),
        (_order(qty=True), 422, "qty"),
        (_order(price=5), 422, "price"),
        (_order(order_id=5), 422, "order_id"),
        (_order(order_id="x" * 65), 422, "order_id"),
        (_order(account_id="A\0"), 422, "account_id"),
        (b'{"account_id": "A", ' + _order(account_id="FREE")[1:], 422, "account_id"),
        (_order(symbol="DEEP").replace(b'"DEEP"', b"[" * 1000 + b"]" * 1000), 422, "value"),
    ],
)
def test_a_request_that_cannot_be_judged_names_the_field(
    ask: Ask, body: bytes, status: int, field: str
) -> None:
    found, answer = ask(body)
    assert (found, answer["field"]) == (status, field)
    assert "allow" not in answer


def _post(app: Any, body: bytes) -> httpx.Response:
    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gate") as client:
            return await client.post("/orders/check", content=body)

    return asyncio.run(post())


def test_a_gate_whose_store_is_missing_creates_none_and_allows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARGIN_STORE", f"sqlite:///{tmp_path / 'elsewhere' / 'store.db'}")
    answer = _post(endpoint(), _order())
    assert (answer.status_code, answer.json()["allow"]) == (503, False)
    assert list(tmp_path.iterdir()) == []


def test_without_its_store_the_gate_allows_nothing(tmp_path: Path) -> None:
    def broken() -> Store:
        return Store(f"sqlite:///{tmp_path}")  # a folder is no database

    answer = _post(endpoint(broken), _order())
    assert answer.status_code == 503
    assert answer.json()["allow"] is False


def _restricted(file: Path, *, restricted: bool) -> None:
    fixed = {"state": {}, "status": "X", "audit_count": 0, "audit_hash": "", "last_event": None}
    with Store(f"sqlite:///{file}") as store, store.write() as connection:
        connection.execute(insert(ladder_states).values(account_id="A", restricted=restricted, **fixed))


def test_a_store_that_is_replaced_or_removed_under_the_gate_is_not_read_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a backup is put back: the open file would show the restrictions of before."""
    here, backup = tmp_path / "store.db", tmp_path / "backup.db"
    _restricted(here, restricted=False)
    _restricted(backup, restricted=True)
    monkeypatch.setenv("MARGIN_STORE", f"sqlite:///{here}")
    gate = endpoint()
    assert _post(gate, _order()).json()["allow"] is True
    backup.replace(here)
    assert _post(gate, _order()).json()["rule"] == "CLOSE_ONLY_POSITIONS_UNKNOWN"
    here.unlink()
    answer = _post(gate, _order())
    assert (answer.status_code, answer.json()["allow"], here.exists()) == (503, False, False)
