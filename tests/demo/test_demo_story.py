"""What the demo tells at its end, on its screen and in a log, from events alone."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from margin_platform.cli import demo_screen
from margin_platform.contracts.messages import FILLS, MARGIN_CALC, MARGIN_CALLS, TOPICS
from margin_platform.demo.story import Story

AT = 1_582_900_200_000  # 2020-02-28 09:30 EST


def _story() -> Story:
    story = Story()
    for account, equity, excess in (("A", 100.0, -50.0), ("B", -10.5, -700.25), ("C", 9.0, 1.0)):
        story.take(MARGIN_CALC, {"account_id": account, "equity": equity, "excess": excess})
    story.take(MARGIN_CALC, {"account_id": "C", "equity": None, "excess": None})
    for account, action in (
        ("C", "WARNING"),
        ("A", "MARGIN_CALL"),
        ("B", "MARGIN_CALL"),
        ("A", "MET"),
        ("B", "EXPIRED"),
    ):
        step = {"account_id": account, "action": action, "deficiency": 50.0, "timestamp": AT}
        story.take(MARGIN_CALLS, step)
    story.take(FILLS, {"account_id": "B", "qty": -10.0, "price": 12.345, "venue": "SIMULATED"})
    story.take(FILLS, {"account_id": "A", "qty": 10.0, "price": 99.0})  # a customer's own
    return story


def test_the_story_names_the_first_call_the_worst_account_and_what_was_sold() -> None:
    told = _story().summary()
    assert told["first_call"] == {"account_id": "A", "deficiency": 50.0, "at": "2020-02-28 09:30 EST"}
    assert told["worst_account"] == {"account_id": "B", "excess": -700.25, "equity": -10.5}
    assert told["calls_by_last_step"] == {"MET": 1, "EXPIRED": 1}
    assert (told["traded_to_close"], told["accounts_traded"]) == (123.45, 1)
    assert (told["unsecured"], told["accounts_unsecured"]) == (10.5, 1)
    assert [row["account_id"] for row in told["accounts_to_open"]] == ["A", "B"]
    empty = Story().summary()
    assert (empty["first_call"], empty["worst_account"], empty["accounts_to_open"]) == (None, None, [])


def _figures() -> dict[str, Any]:
    return {
        "event_clock": AT,
        "done": 0.5,
        "events": dict.fromkeys(TOPICS, 1234567),
        "accounts_by_status": {"ACTIVE": 907, "MARGIN_CALL": 93},
        "calls": {"MARGIN_CALL": 93, "AMENDED": 12},
        "restrictions": {"CLOSE_ONLY": 40},
        "liquidation_orders": 36,
        "simulated_fills": 44,
        "notifications": {"DELIVERED": 288},
        "dead_letters": 0,
        "firm_beta_weighted_exposure": 105_537_389.86,
        "firm_loss_worst": 4_604_224.72,
        "lag_event_seconds": 1800.0,
        "seconds_to_first_margin_call": 12.5,
        "waiting_for_decisions": 1234,
        "urls": {
            "dashboard": "http://127.0.0.1:8050",
            "dagster-webserver": "http://127.0.0.1:3000",
            "kafka": "127.0.0.1:9092",
        },
        "data": "/d",
        "limits": {"firm_exposure_limit": 280_000_000.0, "firm_loss_limit": 200_000.0},
        "story": _story().summary(),
    }


def test_the_screen_fits_80_columns_and_24_lines_and_shows_where_to_look() -> None:
    shown = io.StringIO()
    Console(file=shown, width=80, height=24).print(demo_screen.screen_of(_figures()))
    lines = shown.getvalue().splitlines()
    assert len(lines) <= 24
    assert "…" not in shown.getvalue()
    for text in (
        "2020-02-28 09:30 EST",
        "replay waits: 1,234 events to decide",
        "http://127.0.0.1:8050",
        "http://127.0.0.1:3000",
        "$105,537,389.86 of $280,000,000",
        "open A: the first margin call",
        "open B: the largest sale",
        "notifications.v1 1,234,567",
    ):
        assert text in " ".join(shown.getvalue().split()), text


def test_a_log_line_and_the_summary_are_for_people() -> None:
    said: list[str] = []
    demo_screen.lines(said.append)(_figures())
    demo_screen.summary(_figures(), said.append)
    text = "\n".join(said)
    assert (
        "2020-02-28 09:30 EST   50%  accounts: 907 active, 93 margin call; calls: 12 amended, 93 margin call"
        in text
    )
    assert "First margin call: A, $50.00, 2020-02-28 09:30 EST." in text
    assert "Worst account: B, excess -$700.25." in text
    assert "Accounts called: 2, by last step: 1 expired, 1 met." in text
    assert "Traded to close: $123.45 in 1 accounts, by 36 orders." in text
    assert "MARGIN_DATA=/d margin explain A  (the first margin call)" in text
    assert "{" not in text
