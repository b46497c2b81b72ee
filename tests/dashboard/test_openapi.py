"""The OpenAPI document against the server: its routes, what it accepts, what it answers; and the clients of
examples/ on the same server.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
from sqlalchemy import insert
from starlette.routing import BaseRoute, Mount, Route

from margin_platform.contracts.json_object import Json
from margin_platform.contracts.messages import Event, encode
from margin_platform.dashboard.desk import users
from margin_platform.dashboard.openapi.document import OPENAPI_FILE, document, text
from margin_platform.dashboard.server.app import Options, build
from margin_platform.dashboard.server.order_gate import BadOrder, parse_order, parse_release
from margin_platform.kafka.bus import Bus
from margin_platform.store.store import Store
from margin_platform.store.tables import calls, ladder_states, notifications
from tests.support.waiting import wait_for

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
DOCUMENT = document()
NO_JSON = {"/", "/static", "/live", "/api/openapi.json"}


def test_the_document_is_what_the_declarations_say() -> None:
    assert OPENAPI_FILE.read_text(encoding="utf-8") == text()


def test_the_document_is_valid_by_the_published_schema_of_openapi() -> None:
    """`make lint` installs that schema with npm."""
    rules = ROOT / "node_modules" / "@apidevtools" / "openapi-schemas" / "schemas" / "v3.1" / "schema.json"
    jsonschema.Draft202012Validator(json.loads(rules.read_text("utf-8"))).validate(DOCUMENT)


def _paths(routes: list[BaseRoute], below: str = "") -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount) and hasattr(route.app, "routes"):
            yield from _paths(route.app.routes, below + route.path)
        elif isinstance(route, Route):
            yield below + route.path, "post" if "POST" in (route.methods or ()) else "get"


def test_every_route_of_the_server_is_in_the_document_and_no_other() -> None:
    served: Any = build(Options("127.0.0.1:1"))
    routes = {(path, method) for path, method in _paths(served._app.routes) if path not in NO_JSON}
    documented = {(path, method) for path, found in DOCUMENT["paths"].items() for method in found}
    assert routes == documented


WRONG = (None, "", " ", 0, -1, 1.5, True, [], {}, "BUY", "HOLD", "a\0b"[:1] * 257, 1e13, "x")
ORDER = {"account_id": "A", "symbol": "X", "side": "SELL", "qty": 60, "order_id": "o"}
RELEASE = {"account_id": "A", "reservation_id": "r"}


@pytest.mark.parametrize(
    ("path", "good", "parse"),
    [("/gate/orders/check", ORDER, parse_order), ("/gate/orders/release", RELEASE, parse_release)],
)
def test_a_request_is_refused_by_gate_and_document_alike(path: str, good: Json, parse: Any) -> None:
    schema = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    accepted = jsonschema.Draft202012Validator(schema)
    cases = [good | {name: value} for name in (*good, "unknown") for value in WRONG]
    cases += [{k: v for k, v in good.items() if k != name} for name in good]
    for case in cases:
        try:
            parse(json.dumps(case).encode())
            by_gate = True
        except BadOrder:
            by_gate = False
        assert accepted.is_valid(case) == by_gate, case


def conforms(path: str, answer: httpx.Response) -> Json:
    """Fail where an answer is not one that the document names for its path; return it."""
    method = answer.request.method.lower()
    content = DOCUMENT["paths"][path][method]["responses"][str(answer.status_code)]["content"]
    (kind,) = content
    assert answer.headers["content-type"].startswith(kind)
    if kind == "text/html":
        return {}
    schema = content[kind]["schema"] | {"components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json())
    found: Json = answer.json()
    return found


@pytest.fixture
def desk(bus: Bus, firm: Any, start: Any, tmp_path: Path) -> tuple[str, str]:
    """The address of a dashboard whose LEVERED-4 has a call, an order and a letter; a desk user's token."""
    firm.publish(bus, firm.open())
    fallen = firm.publish(bus, firm.tick(SPY=230.0))
    firm.ladder(bus)
    levered = next(event for event in fallen.status if event["account_id"] == "LEVERED-4")
    address = f"sqlite:///{tmp_path / 'store.db'}"
    _record(address, levered)
    token = users.add(tmp_path / "users.json", "jane")
    server = start(MARGIN_STORE=address, MARGIN_DESK_USERS=str(tmp_path / "users.json"))
    wait_for(
        lambda: server.get("/desk/calls")["calls"] and server.get("/api/concentration")["ready"],
        "the open call and the book",
    )
    return server.url, token


def _record(address: str, event: Event) -> None:
    """Record LEVERED-4's newest event, that it is close-only, its call and its letter."""
    account = {"account_id": "LEVERED-4"}
    standing = {"restricted": True, "last_event": event}
    chain = {"state": {}, "status": "CLOSE_ONLY", "audit_count": 0, "audit_hash": ""}
    owed = {"opened_at": 1, "due_at": 2, "issued": 5.0, "outstanding": 5.0, "calc_id": "C", "evidence": {}}
    letter = {"notification_id": "N-1", "episode": "EP-1", "rung": "r", "channel": "email", "subject": "s"}
    sent = {"recipient": "a@x.example", "body": "b", "status": "DELIVERED", "attempts": 1, "created_at": 1}
    with Store(address) as store, store.write() as connection:
        connection.execute(insert(ladder_states).values(**account, **standing, **chain))
        connection.execute(insert(calls).values(**account, **owed, call_id="MC-1", status="OPEN"))
        connection.execute(insert(notifications).values(**account, **letter, **sent))


ASKED: tuple[tuple[str, dict[str, str], int], ...] = (
    ("/api/health", {}, 200),
    ("/api/holders", {"symbol": "aapl"}, 200),
    ("/api/failing", {"scenario": "-0.06"}, 200),
    ("/api/failing", {"scenario": "much"}, 400),
    ("/api/symbols", {}, 200),
    ("/api/concentration", {}, 200),
    ("/api/shock", {"symbol": "SPY", "move": "-0.3", "tier": "up"}, 200),
    ("/api/shock", {"move": "-2"}, 400),
    ("/api/account", {"id": "LEVERED-4"}, 200),
    ("/api/account", {"id": "GREEN-1"}, 200),
    ("/api/account", {"id": "NO-SUCH"}, 404),
    ("/api/whatif", {"id": "LEVERED-4", "trade": "AAPL:-100", "cash": "5"}, 200),
    ("/api/whatif", {"id": "LEVERED-4", "trade": "many"}, 400),
    ("/api/whatif", {"id": "NO-SUCH"}, 404),
    ("/api/history", {"id": "LEVERED-4", "span": "month"}, 200),
    ("/api/history", {"id": "LEVERED-4", "span": "year"}, 400),
    ("/api/history", {"id": "NO-SUCH"}, 404),
    ("/api/arithmetic", {"id": "LEVERED-4"}, 200),
    ("/api/arithmetic", {"id": "NO-SUCH"}, 404),
    ("/desk/calls", {}, 200),
    ("/desk/letters", {"account": "LEVERED-4"}, 200),
    ("/desk/letter", {"id": "N-1"}, 200),
    ("/desk/letter", {"id": "N-2"}, 404),
)
NOTE = {"act": "note", "call_id": "MC-1", "text": "spoke with the customer"}
ACTED: tuple[tuple[str, Json, int], ...] = (
    ("/gate/orders/check", ORDER | {"account_id": "LEVERED-4", "symbol": "AAPL"}, 200),
    ("/gate/orders/check", ORDER | {"qty": "many"}, 422),
    ("/gate/orders/release", RELEASE, 200),
    ("/desk/acts", NOTE, 200),
    ("/desk/acts", NOTE | {"call_id": "MC-2"}, 422),
    ("/desk/acts/resend", {"notification_id": "N-1"}, 422),
)


@pytest.mark.kafka
def test_a_server_answers_as_the_document_says_and_the_clients_of_the_examples_work(
    desk: tuple[str, str], bus: Bus
) -> None:
    url, token = desk
    answers = {}
    with httpx.Client(base_url=url, timeout=30, headers={"x-desk-token": token}) as client:
        for path, asked, status in ASKED:
            answer = client.get(path, params=asked)
            assert answer.status_code == status, (path, asked, answer.text)
            answers[path, status] = conforms(path, answer)
        for path, body, status in ACTED:
            answer = client.post(path, json=body)
            assert answer.status_code == status, (path, body, answer.text)
            answers[path, status] = conforms(path, answer)
        stranger = client.post("/desk/acts", json=NOTE, headers={"x-desk-token": "a guess"})
        assert stranger.status_code == 401
        assert conforms("/desk/acts", stranger) == {"error": "not a desk user's token"}
        assert client.get("/api/openapi.json").json() == DOCUMENT
    assert {path for path, _ in answers} == set(DOCUMENT["paths"])
    _clients_work(url, bus)


def _client(name: str, *arguments: str, given: bytes = b"") -> str:
    """Run a client of examples/ as its reader does; return what it prints."""
    ran = subprocess.run(
        [sys.executable, str(CLIENTS / name), *arguments], input=given, capture_output=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode()


def _clients_work(url: str, bus: Bus) -> None:
    asked = _client("ask_order_gate.py", url, "LEVERED-4", "AAPL", "SELL", "24940")
    assert asked == "send: CLOSE_ONLY_REDUCES: the order reduces a position of +25,000 shares to +60\n"
    first, *cures = _client("show_account.py", url, "LEVERED-4").splitlines()
    assert first.startswith("LEVERED-4 MARGIN_CALL excess -")
    assert cures[0].split()[0] in ("DEPOSIT_CASH", "SELL")
    called = _client("follow_margin_calls.py", bus.bootstrap, "1")
    assert called == "LEVERED-4 MARGIN_CALL 201650.0 2020-03-18T15:00:00-04:00\n"
    _client("send_price.py", bus.bootstrap, "XOM", "36.5")
    assert b"36.5" in b"".join(record.value or b"" for record in bus.read_all("prices.v1"))
    event = encode({"symbol": "XOM", "price": 36.5, "timestamp": 1_584_019_800_000})
    assert _client("check_event.py", "docs/api/asyncapi.json", "prices.v1", given=event) == "valid\n"


@pytest.mark.parametrize("path", sorted(CLIENTS.glob("*.py")), ids=lambda path: path.stem)
def test_a_client_has_at_most_ten_lines_and_none_of_the_platform(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines()[1:] if line.strip()]
    assert len(lines) <= 10
    assert "margin_platform" not in path.read_text(encoding="utf-8")
