"""The columns of the kernel: what the compiled phases read and write, by name.

Every tuple here is a NamedTuple, which Numba takes as it is. A further input of the kernel is one more field.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from margin_platform.kernel.market import Codes, Floats
from margin_platform.kernel.sweep.compiled import inlined


class Status(IntEnum):
    """Where an account stands, on figures rounded to cents."""

    ACTIVE = 0
    WARNING = 1
    MARGIN_CALL = 2
    STALE = 3


class Share(IntEnum):
    """Columns of a share row: dollars a share of one side of an instrument, slopes along the SPY moves."""

    PRICE = 0
    BETA_PRICE = 1
    NEED = 2
    NEED_SLOPE = 3
    BASE = 4
    VOLATILITY = 5
    REG_T = 6
    TIMS = 7


class Flag(IntFlag):
    """Why an instrument needs more than its row. Compiled code reads a member's `value`."""

    STALE = 1
    GROUPED = 2
    SHARED_ISSUER = 4
    CURVED = 8
    FLOORED = 16
    CHARGED = 32
    EXTRAS = 64
    TWIN = 128


class Positions(NamedTuple):
    """The book. Account a holds the positions offsets[a]:offsets[a + 1]; quantities are signed shares."""

    cash: Floats
    margin_type: NDArray[np.int8]
    offsets: NDArray[np.int64]
    symbol: Codes
    quantity: Floats


class Shares(NamedTuple):
    """Dollars a share without regard to the rest of the account.

    rows: (2 x instruments, Share), row 2 x code is the long side, 2 x code + 1 the short; flags: (2 x
    instruments,); need_long, need_short: (instruments, lanes), read only where an instrument is CURVED.
    """

    rows: Floats
    flags: NDArray[np.uint8]
    need_long: Floats
    need_short: Floats


class Schedule(NamedTuple):
    """Dollars per share by instrument and price lane, shape (instruments, lanes); lane 0 is today's price.

    price: the lane's price; long_base, short_base: maintenance before add-ons; volatility:
    the volatility add-on; beta, htb, scan_up, scan_down (times the fund's leverage): (instruments,).
    """

    price: Floats
    long_base: Floats
    short_base: Floats
    volatility: Floats
    htb: Floats
    beta: Floats
    scan_up: Floats
    scan_down: Floats


class Groups(NamedTuple):
    """Who belongs together, by instrument, and each group's offset. Code -1 stands alone.

    security: a code by symbol, for boxes; issuer: for concentration; minimum_charge: dollars a unit of
    quantity.
    """

    security: Codes
    issuer: Codes
    minimum_charge: Floats
    class_group: Codes
    product_group: Codes
    portfolio_group: Codes
    product_offset: Floats
    portfolio_offset: Floats


class Rules(NamedTuple):
    """What the policy sets for whole accounts. moves: SPY moves by lane; lane 0 is today (0.0)."""

    moves: Floats
    use_concentration: bool
    concentration_threshold: float
    concentration_addon: float
    concentration_ramp: float
    cap_long: bool
    box_rate: float
    warn_frac: float
    portfolio_minimum_equity: float
    idiosyncratic_shock: float


class Priced(NamedTuple):
    """All that a market and a policy set, independent of the accounts."""

    shares: Shares
    schedule: Schedule
    groups: Groups
    rules: Rules


class Figures(NamedTuple):
    """The figures of one account, in dollars, not rounded."""

    equity: float
    long_mv: float
    short_mv: float
    base_requirement: float
    concentration_addon: float
    volatility_addon: float
    htb_addon: float
    cap_adjustment: float
    reg_t_requirement: float
    portfolio_margin_req: float
    requirement: float
    beta_weighted_exposure: float
    worst_stress: float
    idiosyncratic_pnl: float


class Outputs(NamedTuple):
    """Where the sweep writes; row r is the account accounts[r].

    figures: (Figures, rows); status, largest_position: (rows,); pnl: (rows, scenarios), empty where no price
    is floored; recomputed: (rows, scenarios), empty without stress; position_requirement, group_requirement:
    (positions,), empty without detail.
    """

    figures: Floats
    status: NDArray[np.int8]
    largest_position: NDArray[np.int32]
    pnl: Floats
    recomputed: Floats
    position_requirement: Floats
    group_requirement: Floats


class PositionSpan(NamedTuple):
    """The positions first:last of one account."""

    first: int
    last: int


class Reach(NamedTuple):
    """The lowest and the highest of some SPY moves: what is linear is extreme at one of the two."""

    low: float
    high: float


class Totals(NamedTuple):
    """Sums over one account's positions, today and along the moves.

    need, need_slope: requirement without concentration; most: the largest value of a position in any lane;
    seen: flags of all positions; bent: how many positions are CURVED; boxed: whether an instrument is held on
    both sides.
    """

    long_mv: float
    short_mv: float
    exposure: float
    gross_slope: float
    need: float
    need_slope: float
    base: float
    volatility: float
    reg_t: float
    tims: float
    most: float
    largest: float
    largest_at: int
    seen: int
    bent: int
    boxed: bool


class Extras(NamedTuple):
    """A second look at an account.

    grouped, shared, twins: positions that may depend on another one by group, by issuer or by symbol; borrow:
    charges for hard-to-borrow shares; cap: what the cap takes off single positions (negative).
    """

    grouped: int
    shared: int
    twins: int
    borrow: float
    cap: float


class Requirement(NamedTuple):
    """A fixed-percentage requirement and its parts; the cap is negative."""

    need: float
    base: float
    concentration: float
    volatility: float
    htb: float
    cap: float


class Room(NamedTuple):
    """Working space of one thread.

    need: the account's requirement by lane, lane 0 today; bends: the CURVED positions; peaks: each position's
    largest value in any lane; nothing: an empty column, for phases that need not write.
    """

    need: Floats
    bends: NDArray[np.int64]
    peaks: Floats
    nothing: Floats


@inlined
def row_of(book: Positions, k: int | np.uint64) -> int:
    """Return the row of `Shares.rows` for position k: its instrument's long or short side."""
    row: int = 2 * book.symbol[k] + (0 if book.quantity[k] > 0.0 else 1)
    return row
