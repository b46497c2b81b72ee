"""The sections of a policy: what each field is called, in which unit, and which values it may take.

Field names are those of the rulebook in MARGIN_RULES, so that a margin clerk's override reads the same
everywhere.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, ValidationInfo

_LARGEST_WHOLE = 1_000_000_000
# validation context: the value was written in a policy file, where a number is written as one
FROM_FILE = "from_file"


def _number(value: object, given: ValidationInfo) -> float:
    """Return a finite number; a rulebook's override may write decimals as text ('0.25'), a policy file may
    not, and nothing a boolean.
    """
    if isinstance(value, bool) or not isinstance(
        value, int | float if _from_file(given) else int | float | str
    ):
        raise ValueError("not a number")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("not a number") from None
    except OverflowError:  # a whole number of hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _whole(value: object) -> int:
    """Return a whole number; 3.5, '3' and true are refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not a whole number")
    if abs(value) > _LARGEST_WHOLE:
        raise ValueError(f"beyond {_LARGEST_WHOLE}")
    return value


def _from_file(given: ValidationInfo) -> bool:
    return bool(given.context and given.context.get(FROM_FILE))


Number = Annotated[float, BeforeValidator(_number)]
Rate = Annotated[float, BeforeValidator(_number), Field(ge=0, le=10)]  # 0.25 is 25 percent
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]  # a part of a whole
Dollars = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Minutes = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(_number), Field(ge=0)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MaintenancePolicy(Section):
    """FINRA 4210(c) maintenance, Regulation T initial (12 CFR 220.12), leveraged ETFs (RN 09-53),
    the house's price floor.
    """

    long_rate: Rate
    short_rate: Rate
    short_min_per_share: Dollars
    short_low_min: Dollars
    short_low_rate: Rate
    low_price: Dollars
    low_price_long_rate: Rate
    use_low_price_long: StrictBool
    non_marginable_rate: Rate
    box_rate: Rate
    cap_long_at_mv: StrictBool
    reg_t: Annotated[float, BeforeValidator(_number), Field(gt=0, le=1)]
    reg_t_non_marginable: Annotated[float, BeforeValidator(_number), Field(gt=0, le=1)]
    minimum_equity: Dollars
    reg_t_de_minimis: Dollars


class ConcentrationPolicy(Section):
    """House add-on for a position over `conc_threshold` of gross value.

    `conc_ramp_to` above the threshold slopes the cliff.
    """

    use_conc: StrictBool
    conc_threshold: Share
    conc_addon: Rate
    conc_ramp_to: Share | None

    @property
    def ramp(self) -> float:
        """Over how much weight above the threshold the add-on grows to its full rate; 0 is the cliff."""
        return 0.0 if self.conc_ramp_to is None else self.conc_ramp_to - self.conc_threshold


class VolatilityPolicy(Section):
    """House add-on by 30-day historical volatility,
    and how that volatility is measured (MARGIN_RULES 3.2, 9).
    """

    use_vol: StrictBool
    vol_tier1: Rate
    vol_addon1: Rate
    vol_tier2: Rate
    vol_addon2: Rate
    default_sigma: Rate
    vol_window: Annotated[int, BeforeValidator(_whole), Field(ge=2)]
    vol_min_observations: Annotated[int, BeforeValidator(_whole), Field(ge=2)]
    vol_max_missing: Annotated[int, BeforeValidator(_whole), Field(ge=0)]
    vol_sessions_per_year: Annotated[int, BeforeValidator(_whole), Field(ge=1)]
    vol_hysteresis: StrictBool
    vol_leave_tier1: Rate
    vol_leave_tier2: Rate


class PortfolioMarginPolicy(Section):
    """FINRA 4210(g) / OCC TIMS: default scan range, offsets by group, the per-contract minimum,
    eligibility.
    """

    pm_up: Rate
    pm_down: Rate
    product_offsets: dict[str, Share]
    portfolio_offsets: dict[str, Share]
    contract_minimum: Dollars
    pm_minimum_equity: Dollars
    house_grid: Annotated[tuple[Number, ...], Field(min_length=1)]


class IntradayPolicy(Section):
    """Intraday margin deficits too small to count toward a practice (4210(d)(2), RN 26-10):
    the lesser of the two.
    """

    imd_minor_share: Share
    imd_minor_dollars: Dollars


class OptionPolicy(Section):
    """Strategy-based rates of an uncovered short equity option (4210(f)(2)(E))."""

    option_underlying_rate: Rate
    option_floor_rate: Rate


class BetaPolicy(Section):
    """How a beta is estimated (MARGIN_RULES 5.3):
    sessions looked back, least observations, weight of the estimate against 1.
    """

    beta_sessions: Annotated[int, BeforeValidator(_whole), Field(ge=2)]
    beta_min_observations: Annotated[int, BeforeValidator(_whole), Field(ge=2)]
    beta_weight: Share


class StressPolicy(Section):
    """Beta-weighted SPY scenarios and the idiosyncratic one (MARGIN_RULES 5)."""

    scenarios: tuple[Number, ...]
    severe_move: Rate
    default_beta: Number
    idiosyncratic_shock: Share


class FirmPolicy(Section):
    """Limits of the firm-wide alert (MARGIN_RULES 6)."""

    firm_exposure_limit: Dollars
    firm_loss_limit: Dollars
    firm_warning_share: Share
    firm_hysteresis: Share = 0.0  # policies written before it have none


class LadderPolicy(Section):
    """The enforcement ladder's thresholds and clocks (MARGIN_RULES 7).

    small_deficiency: a deficiency of no more than this counts as an excess of zero: no call is made,
    restricted or notified for it, today or in a severe scenario. `margin evaluate` adds up what is passed
    over; 0 passes over nothing.
    """

    warn_frac: Share
    warn_hysteresis: Share
    amend_step: Annotated[float, BeforeValidator(_number), Field(gt=0, le=10)]
    close_only_after_minutes: Minutes
    severe_deficiency: Rate
    equity_floor: Number
    call_due_business_days: Annotated[int, BeforeValidator(_whole), Field(ge=0)]
    call_due_hour_et: Annotated[int, BeforeValidator(_whole), Field(ge=0, le=23)]
    stress_release_minutes: Minutes
    liquidation_retry_minutes: Minutes
    small_deficiency: Dollars = 0.0  # policies written before it have none


class LiquidationPolicy(Section):
    """How liquidation orders are sized (MARGIN_RULES 8)."""

    liquidation_buffer: Dollars
    liquidation_lot: Annotated[int, BeforeValidator(_whole), Field(ge=1)]
    liquidation_slippage: Share
    adv_cap: Share | None
    impact_coefficient: Dollars


class GatePolicy(Section):
    """The order gate: how long an allowed order is taken to work, and from when on it warns that its figures
    are old.

    gate_figures_seconds: of trading time between the account's figures and now. Policies written before it
    have these values.
    """

    gate_reservation_minutes: Annotated[float, BeforeValidator(_number), Field(gt=0)] = 390.0
    gate_figures_seconds: Seconds = 3600.0


class NoticePolicy(Section):
    """How hard a notice is tried, and how mail travels. Policies written before it have these values.

    notice_retry_hours: from a notice's record to its last attempt; notice_longest_wait_minutes: between two
    attempts, which grow up to it; notice_alarm_minutes: from when on a person must know that a customer is
    not reached yet; smtp_tls: `required` sends over TLS with a checked certificate or not at all,
    `opportunistic` where the server offers it, `off` never.
    """

    notice_retry_hours: Annotated[float, BeforeValidator(_number), Field(gt=0)] = 96.0
    notice_longest_wait_minutes: Annotated[float, BeforeValidator(_number), Field(gt=0)] = 15.0
    notice_alarm_minutes: Minutes = 5.0
    smtp_tls: Literal["required", "opportunistic", "off"] = "required"


class RecordsPolicy(Section):
    """How long records of decisions are kept, and how long fills can be corrected. Policies written before it
    have these values.

    retention_years: at least the six of SEC 17a-4(a); correction_days: from the time of a fill, transfer or
    corporate action to its production, beyond which it is refused. Older fills are kept as opening positions.
    """

    retention_years: Annotated[int, BeforeValidator(_whole), Field(ge=6, le=99)] = 6
    correction_days: Annotated[int, BeforeValidator(_whole), Field(ge=1, le=36_500)] = 400


class PricePolicy(Section):
    """When a price may be acted upon.

    large_dividend: a dividend above this part of the price must show in the first print of its ex-date.
    """

    max_price_age_seconds: Seconds
    max_jump: Rate
    split_tolerance: Rate
    max_future_seconds: Seconds
    large_dividend: Share = 0.1  # policies written before it leave it out


class EmissionPolicy(Section):
    """Which figures are published when. Decisions (margin.status.v1) are always published immediately.

    material_share: an equity or requirement that moved by more than this part of gross value is published
    with its batch; calc_per_batch: most margin.calc.v1 events of one batch, besides accounts that traded or
    changed their band; heartbeat_seconds: how often those that wait are published; stress_step: the move of
    the worst stressed excess, as a part of gross value, at which stress.beta_spy.v1 follows.
    """

    material_share: Share
    calc_per_batch: Annotated[int, BeforeValidator(_whole), Field(ge=1)]
    heartbeat_seconds: Seconds
    stress_step: Share


class BacktestPolicy(Section):
    """What a backtest does with a flawed price history, and how its liquidation orders are assumed to fill.

    `stale`: the flawed price is set aside and the last good one goes on, marked stale, so enforcement of its
    holders is held.
    """

    on_missing_date: Literal["refuse", "skip"]
    on_no_session: Literal["refuse", "skip"] = "refuse"  # policies written before it leave it out
    on_hole: Literal["refuse", "stale"]
    on_bad_price: Literal["refuse", "stale"]
    on_duplicate: Literal["refuse", "last"]
    on_no_history: Literal["refuse", "stale"]
    on_split_shape: Literal["refuse", "keep", "adjust"]
    on_jump: Literal["refuse", "keep"] = "refuse"  # another move beyond `max_jump`
    fill_at: Literal["close", "next"]
    fill_slippage: Share
    most_lots: Annotated[int, BeforeValidator(_whole), Field(ge=1)]
