"""What can be asked over HTTP: each operation with its parameters, body and answers."""

from __future__ import annotations

from dataclasses import dataclass

from margin_platform.contracts.bounds import LONGEST_ID
from margin_platform.contracts.events.row_types import LONGEST_KEY
from margin_platform.contracts.json_object import Json
from margin_platform.dashboard.openapi import account_answers, answers
from margin_platform.dashboard.server.order_gate import MOST_SHARES, ORDER_FIELDS, RELEASE_FIELDS, SIDES
from margin_platform.enforcement.order_gate import Verdict
from margin_platform.recordkeeping.call_acts import LONGEST, CallAct


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query."""

    name: str
    about: str
    schema: Json
    required: bool = False
    repeats: bool = False


@dataclass(frozen=True)
class Operation:
    """One question or act.

    answers: the shape of the JSON by status, `str` for an HTML document. of_a_desk_user: it takes that user's
    token.
    """

    path: str
    name: str
    about: str
    answers: dict[int, type]
    parameters: tuple[Parameter, ...] = ()
    body: Json | None = None
    of_a_desk_user: bool = False

    @property
    def method(self) -> str:
        return "get" if self.body is None else "post"


def _text(longest: int) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": longest, "pattern": r"\S"}


def _body(required: tuple[str, ...], fields: Json) -> Json:
    return {"type": "object", "required": list(required), "properties": fields, "additionalProperties": False}


_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_OPTIONAL_KEY: Json = {"anyOf": [_text(LONGEST_KEY), {"type": "null"}]}
_ORDER = _body(
    ORDER_FIELDS[:4],
    {
        "account_id": _text(LONGEST_ID),
        "symbol": _text(LONGEST_ID),
        "side": {"enum": [*SIDES]},
        "qty": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_SHARES},
        "order_id": _OPTIONAL_KEY | {"description": "the sender's own: the same one again is the same order"},
    },
)
_RELEASE = _body(RELEASE_FIELDS, {"account_id": _text(LONGEST_ID), "reservation_id": _text(LONGEST_KEY)})
_ACT = {
    "type": "object",
    "required": ["act", "call_id"],
    "properties": {
        "act": {"enum": [name.lower() for name in CallAct.__members__]},
        "call_id": _TEXT,
        "text": _TEXT | {"maxLength": LONGEST, "description": "the owner's name, or a note"},
        "amount": {"type": ["number", "null"], "description": "dollars of a promise"},
        "until": _TEXT | {"description": "the New York date of a promise or an extension, YYYY-MM-DD"},
    },
}
_RESEND = {"type": "object", "required": ["notification_id"], "properties": {"notification_id": _TEXT}}
_ID = Parameter("id", "account id", _TEXT, required=True)
_REFUSED: dict[int, type] = {400: answers.Refusal}
_GATE_FAILURES: dict[int, type] = {
    400: answers.GateRefusal,
    408: answers.GateRefusal,
    413: answers.GateRefusal,
    422: answers.GateRefusal,
    503: answers.GateUnavailable,
}
_DESK_FAILURES: dict[int, type] = {401: answers.Error, 422: answers.Refusal, 503: answers.Error}

OF_THE_BOOK = (
    Operation(
        "/api/health",
        "health",
        "Report whether the figures are those of now, and the header's figures.",
        {200: answers.Health, 503: answers.Health},
    ),
    Operation(
        "/api/holders",
        "holders",
        "Find the accounts that hold a symbol.",
        {200: answers.Holders},
        (Parameter("symbol", "in any case", _TEXT, required=True),),
    ),
    Operation(
        "/api/failing",
        "failing",
        "Find the accounts that are short of margin under a move of SPY.",
        {200: answers.Found, **_REFUSED},
        (Parameter("scenario", "the move as a fraction, e.g. -0.06", _NUMBER, required=True),),
    ),
    Operation("/api/symbols", "symbols", "List symbols held and sectors.", {200: answers.Symbols}),
    Operation(
        "/api/concentration",
        "concentration",
        "Rank the book's symbols, issuers and sectors by market value.",
        {200: answers.Concentration},
    ),
    Operation(
        "/api/shock",
        "shock",
        "Revalue the whole book after a move of prices or of volatility.",
        {200: answers.ShockEffect, **_REFUSED},
        (
            Parameter("symbol", "the name that moves; neither symbol nor sector: every name", _TEXT),
            Parameter("sector", "the sector that moves", _TEXT),
            Parameter("move", "of the price as a fraction, e.g. -0.3", _NUMBER),
            Parameter("tier", "`up`: volatility enters the next tier of the add-on", {"enum": ["", "up"]}),
        ),
    ),
)
OF_AN_ACCOUNT = (
    Operation(
        "/api/account",
        "account",
        "Show one account at one moment.",
        {200: account_answers.Account, 404: answers.Error},
        (_ID,),
    ),
    Operation(
        "/api/whatif",
        "whatif",
        "Compute an account's margin after trades that have not happened.",
        {200: account_answers.WhatIf, 404: answers.Error, **_REFUSED},
        (
            _ID,
            Parameter("trade", "SYMBOL:SHARES, negative for a sale", _TEXT, repeats=True),
            Parameter("cash", "dollars, deposits positive", _NUMBER),
        ),
    ),
    Operation(
        "/api/history",
        "history",
        "Show an account's figures over a day or a month.",
        {200: account_answers.History, 404: answers.Error, **_REFUSED},
        (_ID, Parameter("span", "day where it is missing", {"enum": ["day", "month"]})),
    ),
    Operation(
        "/api/arithmetic",
        "arithmetic",
        "Explain an account's status, or one of its calls, as `margin explain` does.",
        {200: account_answers.Arithmetic, 404: answers.Error},
        (_ID, Parameter("call", "id of a call", _TEXT)),
    ),
)
OF_THE_GATE = (
    Operation(
        "/gate/orders/check",
        "check_order",
        "Ask whether an order may be sent. What a close-only account may still close is reserved for it.",
        {200: Verdict, **_GATE_FAILURES},
        body=_ORDER,
    ),
    Operation(
        "/gate/orders/release",
        "release_order",
        "Give back a reservation: its order was canceled or rejected.",
        {200: answers.Released, **_GATE_FAILURES},
        body=_RELEASE,
    ),
)
OF_THE_DESK = (
    Operation("/desk/calls", "calls", "List the open calls as work.", {200: answers.Worklist}),
    Operation(
        "/desk/letters",
        "letters",
        "List an account's letters, or one of them.",
        {200: answers.Letters},
        (Parameter("account", "account id", _TEXT), Parameter("id", "id of a notice", _TEXT)),
    ),
    Operation(
        "/desk/letter",
        "letter",
        "Show a letter as the customer sees it.",
        {200: str, 404: answers.Error, 503: answers.Error},
        (Parameter("id", "id of a notice", _TEXT, required=True),),
    ),
    Operation(
        "/desk/acts",
        "act_on_call",
        "Record what a desk user did about an open call. No act changes a rung.",
        {200: answers.ActDone, **_DESK_FAILURES},
        body=_ACT,
        of_a_desk_user=True,
    ),
    Operation(
        "/desk/acts/resend",
        "resend_letter",
        "Send a notice again that reached no one.",
        {200: answers.Resent, **_DESK_FAILURES},
        body=_RESEND,
        of_a_desk_user=True,
    ),
)
BY_TAG = {"book": OF_THE_BOOK, "account": OF_AN_ACCOUNT, "order gate": OF_THE_GATE, "desk": OF_THE_DESK}
