"""The answers about one account, as declared shapes. Money is dollars, times are epoch milliseconds UTC."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from margin_platform.contracts.json_object import Json
from margin_platform.dashboard.openapi.events import Call, Figures, Status, StressRow

_Point = Annotated[list[float | None], Meta(min_length=4, max_length=4)]
_EVALUATED = "one account of `margin evaluate --json`"


class Delivery(Struct, forbid_unknown_fields=True):
    """How one notice of a step went out."""

    channel: str | None
    status: str | None
    attempt: int | None
    attempts: int | None
    timestamp: int | None
    error: str | None


class Step(Struct, forbid_unknown_fields=True):
    """One step of enforcement: a call, a restriction, an order or a notice."""

    n: int
    kind: str
    account_id: str
    action: str
    text: str
    reduced: bool
    deficiency: float | None
    severe: bool
    excess_after: float | None
    due_at: str | None
    timestamp: int | None
    produced_at: int | None
    run_id: str | None
    call_id: str | None
    order_id: str | None
    positions: list[Json]
    channel: str | None
    notifies: bool
    delivery: list[Delivery]


class Day(Struct, forbid_unknown_fields=True):
    """The change of equity since the session's opening, less deposits."""

    since: int
    opening_equity: float
    deposits: float
    pnl: float


class Cure(Struct, forbid_unknown_fields=True):
    """One way to cure a deficiency on its own."""

    action: str
    amount: float
    symbol: str | UnsetType = UNSET
    qty: float | UnsetType = UNSET
    rate: float | UnsetType = UNSET
    excess_after: float | UnsetType = UNSET


class Account(Struct, forbid_unknown_fields=True):
    """Everything about an account at one moment: that of `basis`, whose row `row` is."""

    account_id: str
    epoch: Annotated[str, Meta(description="this server's life; row numbers mean nothing in another one")]
    calc: Annotated[Figures | None, Meta(description="the newest published figures")]
    status: Annotated[Status | None, Meta(description="the newest change of status")]
    stress: list[StressRow | None]
    flags: Annotated[
        int,
        Meta(
            description="bits: call open 1, close-only 2, liquidating 4, stressed 8, past due 16, "
            "unsecured 32, below the portfolio minimum 64"
        ),
    ]
    person: Annotated[
        list[str], Meta(min_length=2, max_length=2, description="customer, registered representative")
    ]
    call: Annotated[Call | None, Meta(description="the open call")]
    timeline: list[Step]
    basis: Annotated[Json | None, Meta(description="the event whose positions explain the account")]
    explained: Annotated[Json | None, Meta(description="the kernel's figures, add-ons and distances")]
    cures: Annotated[list[Cure], Meta(description="least dollars first")]
    row: Annotated[Json | None, Meta(description="the account's row of the grid, by column")]
    day: Day | None
    unexplained: Annotated[str | UnsetType, Meta(description="why `explained` is missing")] = UNSET


class WhatIf(Struct, forbid_unknown_fields=True):
    """An account's margin before and after trades at the mark and a cash transfer."""

    before: Annotated[Json, Meta(description=_EVALUATED)]
    after: Annotated[Json, Meta(description=_EVALUATED)]
    book: Annotated[Json, Meta(description="the changed book, as `margin evaluate` reads it")]
    policy_version: str
    timestamp: int | None


class History(Struct, forbid_unknown_fields=True):
    """Published figures over a day or a month, oldest first, thinned to what a chart can show."""

    since: int
    upto: int
    points: Annotated[list[_Point], Meta(description="time, equity, requirement, excess")]
    steps: list[Step]
    why: Annotated[str | UnsetType, Meta(description="why there are no points")] = UNSET


class Arithmetic(Struct, forbid_unknown_fields=True):
    """What `margin explain` prints."""

    text: str
    matches: Annotated[bool | None, Meta(description="whether the kernel gives the recorded figures again")]
