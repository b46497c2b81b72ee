"""Every kind of notice as a customer reads it, in text, text message and HTML: files that a person reads in
review. `python -m tests.notification.test_golden_notices` writes them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from margin_platform.contracts.events.vocabulary import CallKind
from margin_platform.contracts.messages import (
    LIQUIDATION_ORDERS,
    MARGIN_CALLS,
    RESTRICTIONS,
    Event,
    decode,
    encode,
)
from margin_platform.ladder.call_kind import call_kind
from margin_platform.notification.message import SUBJECTS, Notice, notice_of
from margin_platform.notification.wording import DISCLOSURES, Letterhead
from margin_platform.policy.policy import current_policy

GOLDEN = Path(__file__).parent / "golden"
HEAD = Letterhead("Example Securities LLC", "Margin Department", "1-212-555-0100")
CALLED = 1_582_300_000_000  # Friday, Feb. 21, 2020, 10:46 a.m. in New York
DUE = 1_582_920_000_000  # a week later, 3:00 p.m.
SHARED: Event = {
    "account_id": "ACC-12345678",
    "correlation_id": "c1",
    "timestamp": CALLED,
    "policy_version": "house",
}
FIGURES: Event = {
    "equity": 30_000.0,
    "requirement": 32_500.0,
    "excess": -2_500.0,
    "components": {"base_requirement": 23_214.29, "concentration_addon": 9_285.71},
    "figures_at_ms": CALLED,
    "margin_type": "REG_T",
    "applied_method": "REG_T",
}
CALL: Event = (
    SHARED
    | FIGURES
    | {
        "call_id": "c1",
        "deficiency": 2_500.0,
        "due_at_ms": DUE,
        "opened_at_ms": CALLED,
        "explanation": "Equity $30,000.00 is $2,500.00 below the requirement of $32,500.00",
        "cures": [
            {"action": "DEPOSIT_CASH", "amount": 2_500.0},
            {"action": "SELL", "amount": 7_150.0, "symbol": "AAPL", "qty": 77.0},
        ],
        "holdings": [{"symbol": "AAPL", "qty": 1_000.0, "price": 92.857, "price_timestamp": CALLED - 1000}],
    }
)
MORE: Event = {
    "deficiency": 3_125.0,
    "explanation": "Call increased from $2,500.00 to $3,125.00; due date unchanged",
}
LESS: Event = {
    "deficiency": 1_000.0,
    "explanation": "Call reduced from $2,500.00 to $1,000.00: a price was withdrawn; due date unchanged",
}
LEGS: list[Event] = [
    {"symbol": symbol, "side": side, "qty": qty}
    for symbol, side, qty in (
        ("AAPL", "SELL", 77.0),
        ("AMD", "BUY_TO_COVER", 1_200.0),
        ("XOM", "SELL", 5.0),
        ("T", "SELL", 9.0),
    )
]
KINDS: dict[str, tuple[str, Event]] = {
    "warning": (
        MARGIN_CALLS,
        SHARED
        | FIGURES
        | {
            "action": "WARNING",
            "call_id": "c1",
            "deficiency": 1_750.0,
            "explanation": "Excess $1,750.00 is below 5.0% of gross value $95,000.00",
        },
    ),
    "call": (MARGIN_CALLS, CALL | {"action": "MARGIN_CALL"}),
    "call-increased": (MARGIN_CALLS, CALL | MORE | {"action": "AMENDED", "decision": "CALL_INCREASED"}),
    "call-reduced": (MARGIN_CALLS, CALL | LESS | {"action": "AMENDED", "decision": "CALL_RESTATED"}),
    "call-met": (
        MARGIN_CALLS,
        CALL | {"action": "MET", "explanation": "Excess is $11,365.00: the call of $2,500.00 is met"},
    ),
    "call-past-due": (
        MARGIN_CALLS,
        CALL | {"action": "EXPIRED", "explanation": "Not met when due, Friday, Feb. 28, 2020, 3:00 p.m. ET"},
    ),
    "call-withdrawn": (
        MARGIN_CALLS,
        CALL | {"action": "RESCINDED", "explanation": "The call was made on a price that was withdrawn"},
    ),
    "recovered": (
        MARGIN_CALLS,
        SHARED
        | FIGURES
        | {
            "action": "RECOVERED",
            "call_id": "c1",
            "deficiency": 9_000.0,
            "explanation": "Excess is $9,000.00",
        },
    ),
    "close-only-by-call": (
        RESTRICTIONS,
        SHARED
        | {
            "action": "CLOSE_ONLY",
            "decision": "CLOSE_ONLY",
            "reason": "The call of $2,500.00 has been open for 30 minutes of trading",
        },
    ),
    "close-only-by-stress": (
        RESTRICTIONS,
        SHARED | {"action": "CLOSE_ONLY", "decision": "STRESS_RESTRICTION", "reason": "Fails SPY ±6% stress"},
    ),
    "restriction-lifted": (RESTRICTIONS, SHARED | {"action": "LIFTED", "reason": "No restriction is left"}),
    "liquidation": (
        LIQUIDATION_ORDERS,
        SHARED
        | {
            "order_id": "o1",
            "positions": LEGS,
            "deficiency": 2_500.0,
            "reason": "Past due: $2,500.00 outstanding",
        },
    ),
    "buy-in": (
        LIQUIDATION_ORDERS,
        SHARED
        | {"order_id": "o1", "positions": LEGS[1:2], "reason": "Severe deficiency: $2,500.00 outstanding"},
    ),
}


def notice(kind: str) -> Notice:
    topic, event = KINDS[kind]
    made = notice_of(topic, decode(topic, encode(event)), current_policy(), HEAD, "Jane Q. Customer")
    assert made is not None
    return made


def forms(kind: str) -> dict[str, str]:
    made = notice(kind)
    return {
        f"{kind}.txt": made.text + "\n",
        f"{kind}.sms.txt": made.sms + "\n",
        f"{kind}.html": made.html + "\n",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_notice_reads_as_reviewed(kind: str) -> None:
    for name, text in forms(kind).items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8"), name


def test_every_kind_of_notice_and_no_other_has_its_files() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {name for kind in KINDS for name in forms(kind)}
    made = {(topic, event.get("action", "NEW")) for topic, event in KINDS.values()}
    assert made == set(SUBJECTS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_notice_names_customer_firm_phone_and_times_as_a_letter_writes_them(kind: str) -> None:
    made = notice(kind)
    for text in (made.text, made.html):
        assert "Jane Q. Customer" in text
        assert "Example Securities LLC" in text
        assert "Margin Department, 1-212-555-0100" in text
        assert "Friday, Feb. 21, 2020, 10:46 a.m. ET" in text
    assert "Example Securities LLC" in made.sms
    assert "1-212-555-0100" in made.sms
    assert "ACC-12345678" not in made.text + made.html + made.sms + made.subject
    assert len(made.sms) < 320  # two segments
    # an amount of money always has its sign of dollars; quantities have no cents
    assert not re.findall(r"(?<![\d$,.])\d[\d,]*\.\d\d(?!\d|%)", made.text)
    assert "-$" not in made.text


@pytest.mark.parametrize("kind", ["call", "call-increased", "call-past-due", "liquidation"])
def test_a_notice_that_asks_for_money_or_sells_makes_the_points_of_finra_2264(kind: str) -> None:
    made = notice(kind)
    for point in DISCLOSURES:
        assert point in made.text
        assert point in made.html
    said = " ".join(DISCLOSURES)
    for fact in (
        "lose more than you deposit",
        "liable for any deficit",
        "without contacting you",
        "choose which",
        "raise its house requirements",
        "extension of time",
    ):
        assert fact in said


def test_a_call_says_how_to_pay_and_until_when_and_a_past_due_one_does_not_offer_what_is_gone() -> None:
    call, late = notice("call").text, notice("call-past-due").text
    assert "by wire, ACH or transfer of securities" in call
    assert "by the due time" in call
    assert "Any one of these meets it" in call
    assert "Positions are being sold" in late
    assert "Any one of these meets it" not in late
    assert "by the due time" not in late
    assert call.count("$2,500.00") < 7
    assert "Deficiency" not in call  # the amount of the call, once under one name


def test_the_text_of_a_liquidation_names_symbols_and_sides() -> None:
    assert "sell 77 AAPL, buy in 1,200 AMD, sell 5 XOM and 1 more" in notice("liquidation").sms
    assert notice("liquidation").subject.startswith("Positions are being closed")
    assert notice("buy-in").subject.startswith("Short positions are being bought in")


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"equity": 30_000.0}, CallKind.HOUSE),
        ({"equity": 23_214.29}, CallKind.HOUSE),  # exactly the requirement without add-ons
        ({"equity": 23_214.28}, CallKind.EXCHANGE),
        ({"equity": None}, CallKind.HOUSE),
        ({"components": None}, CallKind.HOUSE),
        ({"margin_type": "PORTFOLIO", "applied_method": "PORTFOLIO"}, CallKind.PORTFOLIO),
        ({"margin_type": "PORTFOLIO", "applied_method": "REG_T"}, CallKind.PORTFOLIO_MINIMUM),
    ],
)
def test_a_call_is_of_the_kind_that_its_figures_say(more: dict[str, Any], kind: CallKind) -> None:
    assert call_kind(CALL | more) == kind


if __name__ == "__main__":
    for kind in KINDS:
        for name, text in forms(kind).items():
            (GOLDEN / name).write_text(text, encoding="utf-8")


def test_a_portfolio_margin_call_does_not_list_the_parts_of_the_other_requirement() -> None:
    """TIMS of 28,000.00 is no sum of the rules' 32,500.00: the letter would not foot."""
    figures = {"margin_type": "PORTFOLIO", "applied_method": "PORTFOLIO", "requirement": 28_000.0}
    made = notice_of(MARGIN_CALLS, {"action": "MARGIN_CALL"} | CALL | figures, current_policy())
    assert made is not None
    assert "$28,000.00" in made.text
    for form in (made.text, made.html):
        assert "made up of" not in form
        assert "Maintenance requirement" not in form
