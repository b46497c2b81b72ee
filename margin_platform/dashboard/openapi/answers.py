"""The answers about many accounts, the order gate and the desk, as declared shapes.

Money is dollars, times are epoch milliseconds UTC.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType


class Error(Struct, forbid_unknown_fields=True):
    """What was asked about is not there, or the store does not answer."""

    error: str
    account_id: str | UnsetType = UNSET


class Refusal(Struct, forbid_unknown_fields=True):
    """A value that cannot be used, by field."""

    error: str
    field: str
    reason: str


class GateRefusal(Refusal, forbid_unknown_fields=True):
    """A request to the order gate that cannot be judged."""

    value: str


class GateUnavailable(Struct, forbid_unknown_fields=True):
    """The store does not answer, so nothing is allowed."""

    error: str
    allow: Annotated[bool, Meta(description="always false")]


class Released(Struct, forbid_unknown_fields=True):
    """Whether there was such a reservation."""

    released: bool


class Found(Struct, forbid_unknown_fields=True):
    """Accounts by their row numbers."""

    epoch: Annotated[str, Meta(description="this server's life; numbers mean nothing in another one")]
    numbers: list[int]


class Holders(Found, forbid_unknown_fields=True):
    """The accounts that hold a symbol."""

    ready: Annotated[bool, Meta(description="whether the book is read to its end")]


class Symbols(Struct, forbid_unknown_fields=True):
    """The symbols that some account holds, and every sector."""

    symbols: list[str]
    sectors: list[str]


class Group(Struct, forbid_unknown_fields=True):
    """Market value in one symbol, issuer or sector."""

    long: float
    short: float
    gross: float
    net: float
    share: float | None
    holders: int
    symbol: str | UnsetType = UNSET
    issuer: str | UnsetType = UNSET
    sector: str | UnsetType = UNSET


class Concentration(Struct, forbid_unknown_fields=True):
    """The largest symbols, issuers and sectors of the book, by gross value."""

    ready: bool
    accounts: int
    unpriced_positions: int
    gross: float
    symbols: list[Group]
    issuers: list[Group]
    sectors: list[Group]


class Change(Struct, forbid_unknown_fields=True):
    """Dollars before and after a shock."""

    before: float
    after: float
    change: float


class CallCount(Struct, forbid_unknown_fields=True):
    """Accounts short of margin before and after a shock."""

    before: int
    after: int
    new: int


class WorstAccount(Struct, forbid_unknown_fields=True):
    """An account whose deficiency a shock makes grow."""

    account_id: str
    excess_before: float
    excess_after: float
    equity_after: float


class ShockEffect(Struct, forbid_unknown_fields=True):
    """What a shock does to the whole book; only `ready` before the book is read to its end."""

    ready: bool
    timestamp: int | UnsetType = UNSET
    accounts: int | UnsetType = UNSET
    accounts_stale: int | UnsetType = UNSET
    clients_pnl: float | UnsetType = UNSET
    calls: CallCount | UnsetType = UNSET
    requirement: Change | UnsetType = UNSET
    deficiency: Change | UnsetType = UNSET
    unsecured: Change | UnsetType = UNSET
    worst: list[WorstAccount] | UnsetType = UNSET


class Reason(Struct, forbid_unknown_fields=True):
    """Why the figures are not those of now."""

    code: str
    text: str
    since: int


class Due(Struct, forbid_unknown_fields=True):
    """The open call that falls due next."""

    account_id: str
    due_at: str


class Unsecured(Struct, forbid_unknown_fields=True):
    """Accounts that owe with nothing left to sell."""

    accounts: int
    amount: float


class Summary(Struct, forbid_unknown_fields=True):
    """The header's figures."""

    accounts: int
    colors: dict[str, int]
    event_clock: int | None
    cutoff: Annotated[int | None, Meta(description="figures of before are old")]
    calls_open: int
    next_due: Due | None
    past_due: int
    restricted: int
    unsecured: Unsecured
    oldest_price: int | None
    bad_events: int


class Health(Struct, forbid_unknown_fields=True):
    """Whether the figures are those of now; the status is 503 where they are not."""

    live: bool
    reasons: list[Reason]
    lag: int | None
    written_at: int | None
    now: int
    replay_ended: int | None
    summary: Summary


class Way(Struct, forbid_unknown_fields=True):
    """One channel of a notice and how far it came."""

    channel: str | None
    status: str | None


class OpenCall(Struct, forbid_unknown_fields=True):
    """A row of the worklist."""

    account_id: str
    customer: str
    representative: str
    call_id: str
    type: str
    opened_at: int | None
    issued: float | None
    outstanding: float | None
    due_at: float | None
    hours_left: float | None
    delivery: list[Way]
    owner: str | None
    acknowledged: str | None
    notes: list[str]
    promise: str | None
    extension: str | None


class Worklist(Struct, forbid_unknown_fields=True):
    """The open calls, the one that is longest past due first."""

    calls: list[OpenCall]
    may_act: bool
    clock: int | None


class Letter(Struct, forbid_unknown_fields=True):
    """A notice: to whom, by which way, and to what effect."""

    notification_id: str
    account_id: str | None
    episode: str | None
    channel: str
    subject: str | None
    status: str
    attempts: int
    receipt: str | None
    error: str | None
    created_at: int
    to: str | None
    resendable: bool


class Letters(Struct, forbid_unknown_fields=True):
    """An account's letters, newest first. why: the store cannot be read."""

    letters: list[Letter]
    may_act: bool
    why: str | None


class ActDone(Struct, forbid_unknown_fields=True):
    """An act that was recorded."""

    who: str
    act: str


class Resent(Struct, forbid_unknown_fields=True):
    """The notices that are due again."""

    due: list[str]
