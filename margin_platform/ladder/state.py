"""What the ladder remembers of an account, and what it may decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypedDict

MS_PER_MINUTE = 60_000

if TYPE_CHECKING:  # the type checker knows the names and types of a dataclass's changes
    from dataclasses import replace
else:

    def replace(value: object, **changes: object) -> object:
        """Return a copy of one of these plain dataclasses with changes.

        A crash changes the state of an account four times an event. `dataclasses.replace` calls the
        constructor, which sets each of twenty fields on its own.
        """
        copy = object.__new__(type(value))
        vars(copy).update(vars(value), **changes)
        return copy


class DecisionKind(StrEnum):
    """What the ladder may decide about an account."""

    WARNING = "WARNING"
    RECOVERED = "RECOVERED"
    CALL = "CALL"
    CALL_INCREASED = "CALL_INCREASED"
    CALL_RESTATED = "CALL_RESTATED"
    CALL_EXPIRED = "CALL_EXPIRED"
    CALL_CURED = "CALL_CURED"
    RESCINDED = "RESCINDED"
    CLOSE_ONLY = "CLOSE_ONLY"
    LIFTED = "LIFTED"
    STRESS_RESTRICTION = "STRESS_RESTRICTION"
    STRESS_RELEASED = "STRESS_RELEASED"
    LIQUIDATE = "LIQUIDATE"
    HELD = "HELD"
    RELEASED = "RELEASED"
    ORDER = "ORDER"  # a request for a liquidation is answered: by an order, or by none
    NO_ORDER = "NO_ORDER"


# The account is whole: what is left of its orders is cancelled.
CLOSES = (DecisionKind.CALL_CURED, DecisionKind.RESCINDED)


class Rung(StrEnum):
    """Where an account stands on the ladder."""

    ACTIVE = "ACTIVE"
    WARNING = "WARNING"
    MARGIN_CALL = "MARGIN_CALL"
    CLOSE_ONLY = "CLOSE_ONLY"
    LIQUIDATION = "LIQUIDATION"


class CallFigures(TypedDict, total=False):
    """The call's fields of a decision; meanings as in `Decision`."""

    call_id: str
    opened_at: int
    due_at: int
    issued: float


class DecisionFigures(CallFigures, total=False):
    """The fields of only some decisions."""

    amount: float
    attempt: int
    began_at: int | None


@dataclass(frozen=True)
class Call:
    """An open margin call.

    issued: the amount last notified, at issued_at; outstanding: the deficiency now; due_at never moves.
    """

    call_id: str
    opened_at: int
    due_at: int
    issued: float
    outstanding: float
    issued_at: int = 0

    def as_fields(self) -> CallFigures:
        """Return the fields of the call that a decision carries."""
        return {
            "call_id": self.call_id,
            "opened_at": self.opened_at,
            "due_at": self.due_at,
            "issued": self.issued,
        }


@dataclass(frozen=True)
class LadderState:
    """All the ladder remembers of an account. JSON-able through `to_dict`."""

    account_id: str
    warned: bool = False
    call: Call | None = None
    close_only: bool = False  # by the margin track
    stress_restricted: bool = False  # by the stress track
    stress_clear_since: int | None = None
    severe: bool = False  # by the newest figures
    expired: bool = False
    liquidations: int = 0  # liquidation decisions of this episode
    liquidated_at: int | None = None
    # no order stands for the last of them: the clock asks without waiting for newer figures
    asks_again: bool = False
    awaits_session: bool = False  # a liquidation is due that the market's hours keep waiting
    held: str | None = None
    last_time: int = 0
    last_calc_id: str = ""
    called_at: int = -1  # when the newest call was opened
    calls_then: int = 0  # calls opened at that very millisecond
    warned_at: int | None = None  # when the newest warning, stress restriction and hold began: their episodes
    stressed_at: int | None = None
    held_at: int | None = None

    @property
    def restricted(self) -> bool:
        """Close-only by either track: the most severe wins."""
        return self.close_only or self.stress_restricted

    @property
    def status(self) -> Rung:
        """The rung the account stands on."""
        if self.liquidations:
            return Rung.LIQUIDATION
        if self.restricted:
            return Rung.CLOSE_ONLY
        return Rung.MARGIN_CALL if self.call else Rung.WARNING if self.warned else Rung.ACTIVE

    def to_dict(self) -> dict[str, object]:
        """Return the fields by name, the call's among them: all are plain values, which need no copies."""
        return vars(self) | {"call": None if self.call is None else dict(vars(self.call))}

    @staticmethod
    def from_dict(data: dict[str, Any]) -> LadderState:
        return LadderState(**(data | {"call": Call(**data["call"]) if data.get("call") else None}))


@dataclass(frozen=True)
class Decision:
    """One thing decided about an account, with its reason in words. amount: dollars the decision is about.

    call_id, due_at, opened_at and issued are of its call; where there is none, began_at says when what it
    ends began.
    """

    kind: DecisionKind
    account_id: str
    timestamp: int
    reason: str
    amount: float = 0.0
    call_id: str | None = None
    due_at: int | None = None
    attempt: int = 0
    opened_at: int | None = None
    issued: float | None = None
    began_at: int | None = None
