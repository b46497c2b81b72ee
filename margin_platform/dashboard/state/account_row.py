"""One account as the grid shows it: which fields of margin.calc.v1 travel to the page, in which order, and
its color.

Money is dollars with cents as published, None where unknown; times are epoch milliseconds UTC of the event
clock.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Final

from margin_platform.contracts.messages import Event

# The order is the protocol between `accounts` and the page; `i` is the account's number for the life of this
# server.
COLUMNS: Final = (
    "i",
    "account_id",
    "status",
    "band",
    "margin_type",
    "method",
    "equity",
    "requirement",
    "excess",
    "excess_pct",
    "reg_t",
    "tims",
    "saving",
    "worst_stress",
    "beta_exposure",
    "gross_mv",
    "timestamp",
    "oldest_price",
    "flags",
    "applied_method",
    "customer",
    "representative",
    "color",
)
TIMESTAMP: Final = COLUMNS.index("timestamp")
OLDEST_PRICE: Final = COLUMNS.index("oldest_price")
FLAGS: Final = COLUMNS.index("flags")
STATUS: Final = COLUMNS.index("status")
BAND: Final = COLUMNS.index("band")
COLOR: Final = COLUMNS.index("color")
CUSTOMER: Final = COLUMNS.index("customer")
GROSS_MV: Final = COLUMNS.index("gross_mv")
EXCESS: Final = COLUMNS.index("excess")
EQUITY: Final = COLUMNS.index("equity")
_LATEST: Final = 253_402_300_799_999  # the end of the year 9999, epoch milliseconds


Person = tuple[str, str]  # the customer and the registered representative, as accounts.v1 names them
UNNAMED: Final[Person] = ("", "")


def person_of(terms: Event) -> Person:
    """Return whose an account is and who looks after it; the contact's name where there is no other."""
    contact = terms.get("contact") or {}
    name = terms.get("customer_name") or contact.get("name") or ""
    return str(name), str(terms.get("representative") or "")


class RowFlag(IntEnum):
    """Bits of `flags`: what is under way on the account besides its margin status."""

    CALL_OPEN = 1
    CLOSE_ONLY = 2
    LIQUIDATING = 4
    STRESSED = 8
    PAST_DUE = 16
    UNSECURED = 32
    BELOW_MINIMUM = 64


FROM_FIGURES: Final = int(RowFlag.UNSECURED | RowFlag.BELOW_MINIMUM)  # see `figure_flags`


class Color(IntEnum):
    """The color of a row; a worse one is larger, and gray stands for an account without figures to judge."""

    GREEN = 0
    YELLOW = 1
    RED = 2
    GRAY = 3


COLORS: Final = tuple(color.name.lower() for color in Color)
# Plain numbers: a color is worked out for every row of every frame.
_GREEN, _YELLOW, _RED, _GRAY = (color.value for color in Color)
_SEVERE: Final = int(RowFlag.CLOSE_ONLY | RowFlag.LIQUIDATING | RowFlag.UNSECURED)
_STRESSED: Final = int(RowFlag.STRESSED)
_BY_STATUS: Final = {"ACTIVE": _GREEN, "WARNING": _YELLOW, "MARGIN_CALL": _RED}


def row_of(number: int, event: Event, flags: int, person: Person = UNNAMED) -> list[object]:
    """Return the wire row of a margin.calc.v1 or margin.status.v1 event, its color still open; figures the
    event does not carry stay None.
    """
    get = event.get
    return [
        number,
        event["account_id"],
        get("status"),
        get("band"),
        get("margin_type"),
        get("margin_method"),
        get("equity"),
        get("requirement"),
        get("excess"),
        get("excess_pct"),
        get("reg_t_margin"),
        get("portfolio_margin_req"),
        get("margin_savings"),
        get("worst_stress"),
        get("beta_weighted_exposure"),
        get("gross_mv"),
        event_time(event),
        oldest_price(event),
        flags | figure_flags(event),
        get("applied_method"),
        *person,
        _GRAY,
    ]


def figure_flags(event: Event) -> int:
    """Return the flags that follow from the published figures alone.

    UNSECURED: nothing is left to sell, and the customer still owes. BELOW_MINIMUM: a portfolio account that
    the kernel holds to the rules-based requirement, because its equity is below the minimum (PM-008).
    """
    equity = event.get("equity")
    sold_out = equity is not None and equity < 0 and event.get("gross_mv") == 0
    below = event.get("margin_type") == "PORTFOLIO" and event.get("applied_method") == "REG_T"
    return (RowFlag.UNSECURED if sold_out else 0) | (RowFlag.BELOW_MINIMUM if below else 0)


def event_time(event: Event) -> int | None:
    """Return the event time of a calculation, epoch milliseconds."""
    return _moment(event.get("timestamp") or event.get("calc_timestamp"))


def oldest_price(event: Event) -> int | None:
    """Return the event time of the oldest price a calculation used, where it names one."""
    inputs = event.get("inputs")
    return _moment(inputs.get("oldest_price")) if isinstance(inputs, dict) else None


def _moment(stamp: object) -> int | None:
    return stamp if isinstance(stamp, int) and not isinstance(stamp, bool) and 0 < stamp <= _LATEST else None


def color_of(row: list[Any]) -> int:
    """Return green, yellow or red by the published status; an unknown or STALE one is gray.

    A liquidation or close-only is red, a severe stress scenario under water at least yellow: the track that
    is worse decides (MARGIN_RULES 7.2).
    """
    color = _BY_STATUS.get(row[STATUS], _GRAY)
    if color == _GRAY:
        return _GRAY
    flags = row[FLAGS]
    if flags & _SEVERE:
        return _RED
    return max(color, _YELLOW) if flags & _STRESSED else color
