"""The published JSON Schemas and the code's own checks are one contract:
they accept and refuse the same messages.
"""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from margin_platform.contracts import messages
from margin_platform.contracts.dead_letters import dead_letter
from margin_platform.contracts.events.figure_names import MONEY_FIGURES
from margin_platform.contracts.published import asyncapi, page, schemas

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "margin_platform" / "contracts" / "schemas"
T = 1_582_232_400_000
GOOD = {
    messages.FILLS: {
        "fill_id": "f",
        "account_id": "a",
        "symbol": "S",
        "qty": -1.5,
        "price": 10.01,
        "timestamp": T,
        "fee": 0.0,
    },
    messages.CASH: {"transfer_id": "t", "account_id": "a", "amount": -5, "timestamp": T},
    messages.ACCOUNTS: {
        "account_id": "a",
        "margin_type": "REG_T",
        "timestamp": T,
        "contact": {"email": "a@b.example", "name": "A"},
    },
    messages.PRICES: {
        "symbol": "S",
        "price": 1,
        "timestamp": T,
        "sequence": 0,
        "confirmed": True,
        "correction": False,
        "corrects_timestamp": T,
    },
    messages.BETAS: {"symbol": "S", "beta": -0.5, "timestamp": T},
    messages.CORPORATE_ACTIONS: {
        "action_id": "x",
        "symbol": "S",
        "kind": "SPLIT",
        "ratio": 2,
        "post_price": 50.5,
        "ex_date": "2020-08-31",
        "timestamp": T,
    },
    messages.VOLATILITY: {"symbol": "S", "volatility_annual": 0.3, "timestamp": T},
    messages.FIRM_PARTIALS: {
        "shard": 1,
        "shards": 2,
        "tick": T,
        "accounts": 3,
        "sums": [-5, 0, 2**53],
        "top": {"0": [[7, "a"], [5, "b"]], "12": []},
        "policy_version": "p",
        "timestamp": T,
    },
    messages.AUDIT: {
        "account_id": "firm/anchors",
        "event_id": "0a",
        "decision": "ANCHOR",
        "timestamp": T,
        "hash": "0a" * 32,
        "anchor": 1,
        "statement": "{}",
        "signature": "0b" * 64,
        "public_key": "0c" * 32,
    },
}
WRONG = (
    None,
    "",
    " ",
    "text",
    0,
    -1,
    1.5,
    True,
    float("nan"),
    float("inf"),
    [],
    {},
    10**15,
    2**63,
    "2020-02-30",
    "20200831",
    "SPLIT",
    "a\0b",
    "x" * 257,
    {"email": 5},
    {"phone": "+12025550100", "email": None},
)
CALL = {
    "call_id": "c",
    "account_id": "a",
    "action": "MARGIN_CALL",
    "deficiency": 2.5,
    "due_at": None,
    "explanation": "e",
    "correlation_id": "c",
    "causation_id": "x",
    "run_id": None,
    "timestamp": T,
}
RESTRICTION = {
    "account_id": "a",
    "action": "CLOSE_ONLY",
    "reason": "r",
    "correlation_id": "c",
    "run_id": None,
    "timestamp": T,
}
ORDER = {
    "account_id": "a",
    "order_id": "o",
    "positions": [{"symbol": "S", "side": "SELL", "qty": 1}],
    "reason": "r",
    "deficiency": 2.5,
    "excess_after": 0.0,
    "correlation_id": "c",
    "run_id": None,
    "timestamp": T,
}
FIRM = {
    "scenario": "-0.06",
    "firm_beta_weighted_exposure": 1.0,
    "firm_total_mv": 1.0,
    "num_accounts": 1,
    "firm_delta_pnl": 0.0,
    "firm_loss": 0.0,
    "calls_expected": 0,
    "breach": False,
}


def _schema(topic: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{topic}.json").read_text()))


def _refused_field(topic: str, message: messages.Event) -> str | None:
    try:
        messages.check_fields(messages.TOPICS[topic], message)
    except messages.BadEvent as refused:
        return refused.field
    return None


def test_every_topic_has_a_schema_and_every_schema_a_topic() -> None:
    assert {p.stem for p in SCHEMAS.glob("*.json")} == set(messages.TOPICS)


@pytest.mark.parametrize("topic", messages.TOPICS)
def test_the_code_requires_only_what_the_schema_requires(topic: str) -> None:
    schema = _schema(topic).schema
    assert set(messages.TOPICS[topic].required) <= set(schema["required"])
    assert messages.TOPICS[topic].key in schema["required"]


@pytest.mark.parametrize("topic", GOOD)
def test_a_good_message_passes_both(topic: str) -> None:
    _schema(topic).validate(GOOD[topic])
    assert messages.decode(topic, messages.encode(GOOD[topic])) == GOOD[topic]


@pytest.mark.parametrize("topic", GOOD)
def test_a_missing_field_is_refused_by_both_and_named(topic: str) -> None:
    for name in messages.TOPICS[topic].required:
        message = {k: v for k, v in GOOD[topic].items() if k != name}
        assert not _schema(topic).is_valid(message)
        with pytest.raises(messages.BadEvent) as refused:
            messages.decode(topic, messages.encode(message))
        assert (refused.value.field, refused.value.value) == (name, None)


@pytest.mark.parametrize("topic", GOOD)
def test_a_wrong_value_is_refused_by_both_or_by_neither(topic: str) -> None:
    """NaN, infinities and impossible dates cannot be said in JSON Schema;
    there the code is the stricter of the two.
    """
    for name in GOOD[topic]:
        if topic == messages.CORPORATE_ACTIONS and name in ("kind", "ratio"):
            continue  # which of ratio and amount is needed depends on kind: tested below
        for value in WRONG:
            message = GOOD[topic] | {name: value}
            accepted = _refused_field(topic, message) is None
            assert _refused_field(topic, message) in (None, name)
            by_schema = _schema(topic).is_valid(message)
            beyond_schema = value == "2020-02-30" or (isinstance(value, float) and value != 1.5)
            assert accepted == by_schema or (beyond_schema and not accepted), (name, value)


@pytest.mark.parametrize(("kind", "needed"), [("SPLIT", "ratio"), ("DIVIDEND", "amount")])
def test_a_corporate_action_without_its_figure_is_refused(kind: str, needed: str) -> None:
    message = {k: v for k, v in GOOD[messages.CORPORATE_ACTIONS].items() if k != "ratio"} | {"kind": kind}
    with pytest.raises(messages.BadEvent, match=needed):
        messages.decode(messages.CORPORATE_ACTIONS, messages.encode(message))


@pytest.mark.parametrize(
    ("topic", "message", "field", "value"),
    [
        (messages.MARGIN_CALLS, CALL, "correlation_id", ""),
        (messages.MARGIN_CALLS, CALL, "deficiency", "much"),
        (messages.RESTRICTIONS, RESTRICTION, "timestamp", "noon"),
        (messages.RESTRICTIONS, RESTRICTION, "correlation_id", None),
        (messages.LIQUIDATION_ORDERS, ORDER, "positions", [1]),
        (messages.LIQUIDATION_ORDERS, ORDER, "positions", [{"symbol": "S"}]),
        (messages.LIQUIDATION_ORDERS, ORDER, "positions", [{"symbol": "S", "side": "SELL", "qty": 0}]),
        (messages.LIQUIDATION_ORDERS, ORDER, "not_before", "noon"),
        (messages.FIRM_RISK, FIRM, "firm_loss", "much"),
    ],
)
def test_a_decision_nobody_could_act_on_is_refused_by_both(
    topic: str, message: messages.Event, field: str, value: object
) -> None:
    """What makes a notice or a fill must be there:
    one such message would otherwise end the run that reads it, with all others of it.
    """
    _schema(topic).validate(message)
    assert _refused_field(topic, message) is None
    assert not _schema(topic).is_valid(message | {field: value})
    assert _refused_field(topic, message | {field: value}) == field


@pytest.mark.parametrize("raw", [None, b"", b"{", b"[1]", b'{"price": NaN}', b"\xff"])
def test_what_is_not_a_json_object_is_refused(raw: bytes | None) -> None:
    with pytest.raises(messages.BadEvent):
        messages.decode(messages.PRICES, raw)


def test_a_dead_letter_says_where_and_what() -> None:
    with pytest.raises(messages.BadEvent) as refused:
        messages.decode(messages.PRICES, b'{"symbol": "S", "price": -3, "timestamp": 1}')
    letter = dead_letter(messages.PRICES, 2, 17, b"raw", refused.value, T)
    _schema(messages.DEAD_LETTER).validate(letter)
    assert (letter["field"], letter["value"], letter["reason"], letter["offset"]) == (
        "price",
        "-3",
        "not above zero",
        17,
    )


@pytest.mark.parametrize("topic", messages.TOPICS)
def test_the_schema_of_a_topic_is_what_its_declaration_says(topic: str) -> None:
    assert (SCHEMAS / f"{topic}.json").read_text(encoding="utf-8") == schemas.text_of(messages.TOPICS[topic])


def test_the_page_of_contracts_is_what_the_declarations_say() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page()


def test_the_money_figures_are_the_fields_of_a_calculation_that_hold_dollars() -> None:
    fields = messages.TOPICS[messages.MARGIN_CALC].check.fields
    assert tuple(field.name for field in fields if field.kind.words == "dollars, cents") == MONEY_FIGURES


def test_the_asyncapi_document_is_what_the_declarations_say() -> None:
    assert asyncapi.ASYNCAPI_FILE.read_text(encoding="utf-8") == asyncapi.text()


def test_the_asyncapi_document_is_valid_by_the_published_schema_of_asyncapi() -> None:
    """`make lint` installs that schema with npm."""
    rules = ROOT / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
    jsonschema.Draft7Validator(json.loads(rules.read_text("utf-8"))).validate(asyncapi.document())


REQUEST = CALL | {"action": "LIQUIDATE", "event_id": "e", "attempt": 1, "positions": []}


@pytest.mark.parametrize(
    ("topic", "message", "field"),
    [
        (messages.MARGIN_CALLS, REQUEST, "positions"),
        (messages.MARGIN_CALLS, REQUEST, "event_id"),
        (messages.MARGIN_CALLS, CALL, "deficiency"),
        (messages.RESTRICTIONS, RESTRICTION, "timestamp"),
        (messages.LIQUIDATION_ORDERS, ORDER, "positions"),
    ],
)
def test_what_an_action_carries_beyond_its_topic_is_in_the_asyncapi_document_too(
    topic: str, message: messages.Event, field: str
) -> None:
    payload = asyncapi.document()["components"]["messages"][topic]["payload"]
    accepted = jsonschema.Draft202012Validator(payload)
    accepted.validate(message)
    assert _refused_field(topic, message) is None
    assert not accepted.is_valid(message | {field: None})
    assert _refused_field(topic, message | {field: None}) == field
