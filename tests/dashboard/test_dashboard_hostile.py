"""What comes from elsewhere in a shape that no contract has: events and sockets.

It is refused by name or shown, and stops nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from margin_platform.contracts.messages import BadEvent, decode, encode
from margin_platform.dashboard.server.app import Options, build
from margin_platform.dashboard.state.accounts import NewestRows
from margin_platform.dashboard.state.firm_now import firm_now
from margin_platform.policy.policy import current_policy

NOON = 1_584_028_800_000
STATUS = {"calc_id": "c", "timestamp": NOON, **dict.fromkeys(("equity", "gross_mv", "requirement", "excess"))}
STEP = {"correlation_id": "E", "timestamp": NOON}
FIRM = {"scenario": "-0.08", "firm_loss": 0.0, "firm_beta_weighted_exposure": 0.0}
NEEDED: dict[str, dict[str, Any]] = {
    "margin.calc.v1": {},
    "margin.status.v1": STATUS,
    "stress.beta_spy.v1": {},
    "firm.risk.v1": FIRM,
    "margin.calls.v1": {"call_id": "C", "action": "MARGIN_CALL", "deficiency": 1.0, **STEP},
    "restrictions.v1": {"action": "CLOSE_ONLY", **STEP},
    "liquidation.orders.v1": {"order_id": "O", "positions": [], **STEP},
    "notifications.v1": {},
}
FIELDS = (
    "account_id",
    "status",
    "band",
    "margin_type",
    "margin_method",
    "equity",
    "excess",
    "worst_stress",
    "timestamp",
    "calc_timestamp",
    "inputs",
    "positions",
    "stress",
    "scenario",
    "severe_underwater",
    "firm_loss",
    "firm_beta_weighted_exposure",
    "exposure_limit",
    "action",
    "due_at",
    "deficiency",
    "run_id",
    "correlation_id",
    "causation_id",
    "rung",
    "channel",
    "subject_id",
    "notification_id",
    "call_id",
    "calc_id",
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1e300,
    -(2**63),
    2**64 - 1,
    "",
    "text",
    "\u202e",
    "2020-03-18T15:00:00-04:00",
    [],
    [None],
    [{}],
    [[1]],
    {},
    {"a": []},
)


def refused_or(topic: str, event: dict[str, Any]) -> str | None:
    """The field for which an event is refused, None where it is taken."""
    try:
        decode(topic, encode(event))
    except BadEvent as refusal:
        return refusal.field
    return None


@given(
    topic=st.sampled_from(sorted(NEEDED)),
    told=st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(VALUES), max_size=8),
)
def test_an_event_of_any_shape_is_refused_by_name_or_shown(topic: str, told: dict[str, Any]) -> None:
    newest, event = NewestRows(lambda clock: clock - 3_600_000), {"account_id": "A", **NEEDED[topic], **told}
    newest.apply([("margin.calc.v1", 0, {"account_id": "A", "status": "ACTIVE", "timestamp": NOON})])
    if (field := refused_or(topic, event)) is not None:
        assert field in told
        return
    newest.apply([(topic, 0, decode(topic, encode(event)))])
    firm = newest.firm() or []
    rows = newest.rows(newest.changed(-1)[1])
    assert encode(
        {
            "rows": rows,
            "feed": newest.feed(-1),
            "summary": newest.summary(),
            "account": newest.account(str(event["account_id"])),
        }
    )
    assert encode({"firm": firm, "now": firm_now(firm, current_policy().firm)})


@pytest.mark.parametrize(
    ("topic", "field", "value"),
    [
        ("margin.calc.v1", "status", ["ACTIVE"]),
        ("margin.calc.v1", "excess", "12.5"),
        ("margin.status.v1", "positions", [None]),
        ("stress.beta_spy.v1", "scenario", {}),
        ("firm.risk.v1", "firm_loss", "much"),
        ("liquidation.orders.v1", "positions", {"a": 1}),
    ],
)
def test_a_published_field_of_the_wrong_kind_is_named(topic: str, field: str, value: Any) -> None:
    assert refused_or(topic, {"account_id": "A", **NEEDED[topic]}) is None
    assert refused_or(topic, {"account_id": "A", **NEEDED[topic], field: value}) == field


def until_closed(page: Any) -> None:
    """Reads what a socket still sends, and acknowledges each message twice."""
    for _ in range(100):
        page.receive_bytes()
        page.send_text("ack")
        page.send_text("ack")


@pytest.mark.parametrize(
    "said",
    [b"\x00", b"not JSON", b"[]", b'{"epoch": null}'],
    ids=["bytes", "text", "list", "acknowledges twice"],
)
def test_a_socket_that_does_not_speak_as_our_page_is_closed(said: bytes) -> None:
    app = build(Options("127.0.0.1:1"))
    with (
        TestClient(app, base_url="http://127.0.0.1") as client,
        client.websocket_connect("/live", headers={"host": "127.0.0.1"}) as page,
    ):
        if said == b"\x00":
            page.send_bytes(said)
        else:
            page.send_text(said.decode())
        with pytest.raises(WebSocketDisconnect):
            until_closed(page)
