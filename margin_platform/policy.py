"""Policy: every rate, threshold and time the platform acts on, as dated, versioned data read strictly.

A policy file is YAML with one section per concept. Loading refuses an unknown key, a missing key and a number out of
range, naming the file, the key and the value: a margin engine must not run on a guessed rate. Field names are those
of the rulebook in MARGIN_RULES, so that a margin clerk's override reads the same everywhere.
"""

from __future__ import annotations

import datetime as dt
import functools
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

POLICY_FOLDER = Path(__file__).parent / "policies"


class PolicyError(ValueError):
    """A policy that cannot be used; the message names the key and the value."""


def _number(value: Any) -> float:
    """A finite number; rulebooks write decimals as text ('0.25'), which is accepted, but never a boolean or blank."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


Number = Annotated[float, BeforeValidator(_number)]
Rate = Annotated[float, BeforeValidator(_number), Field(ge=0, le=10)]        # 0.25 is 25 percent
Share = Annotated[float, BeforeValidator(_number), Field(ge=0, le=1)]        # a part of a whole
Dollars = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Minutes = Annotated[float, BeforeValidator(_number), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(_number), Field(ge=0)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MaintenancePolicy(_Section):
    """FINRA 4210(c) maintenance, Regulation T initial (12 CFR 220.12), leveraged ETFs (RN 09-53), the house's price floor."""

    long_rate: Rate
    short_rate: Rate
    short_min_per_share: Dollars
    short_low_min: Dollars
    short_low_rate: Rate
    low_price: Dollars
    low_price_long_rate: Rate
    use_low_price_long: bool
    non_marginable_rate: Rate
    box_rate: Rate
    cap_long_at_mv: bool
    reg_t: Annotated[float, BeforeValidator(_number), Field(gt=0, le=1)]
    minimum_equity: Dollars


class ConcentrationPolicy(_Section):
    """House add-on for a position over `conc_threshold` of gross value. `conc_ramp_to` above the threshold slopes the cliff."""

    use_conc: bool
    conc_threshold: Share
    conc_addon: Rate
    conc_ramp_to: Share | None


class VolatilityPolicy(_Section):
    """House add-on by 30-day historical volatility, and how that volatility is measured (MARGIN_RULES 3.2, 9)."""

    use_vol: bool
    vol_tier1: Rate
    vol_addon1: Rate
    vol_tier2: Rate
    vol_addon2: Rate
    default_sigma: Rate
    vol_window: Annotated[int, Field(ge=2)]
    vol_min_observations: Annotated[int, Field(ge=2)]
    vol_max_missing: Annotated[int, Field(ge=0)]
    vol_sessions_per_year: Annotated[int, Field(ge=1)]
    vol_hysteresis: bool
    vol_leave_tier1: Rate
    vol_leave_tier2: Rate


class PortfolioMarginPolicy(_Section):
    """FINRA 4210(g) / OCC TIMS: default scan range, offsets by group, the per-contract minimum, eligibility."""

    pm_up: Rate
    pm_down: Rate
    product_offsets: dict[str, Share]
    portfolio_offsets: dict[str, Share]
    contract_minimum: Dollars
    pm_minimum_equity: Dollars
    house_grid: tuple[Number, ...]


class StressPolicy(_Section):
    """Beta-weighted SPY scenarios and the idiosyncratic one (MARGIN_RULES 5)."""

    scenarios: tuple[Number, ...]
    severe_move: Rate
    default_beta: Number
    idiosyncratic_shock: Share


class FirmPolicy(_Section):
    """Limits of the firm-wide alert (MARGIN_RULES 6)."""

    firm_exposure_limit: Dollars
    firm_loss_limit: Dollars
    firm_warning_share: Share


class LadderPolicy(_Section):
    """The enforcement ladder's thresholds and clocks (MARGIN_RULES 7)."""

    warn_frac: Share
    warn_hysteresis: Share
    amend_step: Annotated[float, BeforeValidator(_number), Field(gt=0, le=10)]
    close_only_after_minutes: Minutes
    severe_deficiency: Rate
    equity_floor: Number
    call_due_business_days: Annotated[int, Field(ge=0)]
    call_due_hour_et: Annotated[int, Field(ge=0, le=23)]
    stress_release_minutes: Minutes
    liquidation_retry_minutes: Minutes


class LiquidationPolicy(_Section):
    """How liquidation orders are sized (MARGIN_RULES 8)."""

    liquidation_buffer: Dollars
    liquidation_lot: Annotated[int, Field(ge=1)]
    liquidation_slippage: Share
    adv_cap: Share | None
    impact_coefficient: Dollars


class PricePolicy(_Section):
    """When a price may be acted upon."""

    max_price_age_seconds: Seconds
    max_jump: Rate
    split_tolerance: Rate
    max_future_seconds: Seconds


class BacktestPolicy(_Section):
    """What a backtest does with a flawed price history, and how its liquidation orders are assumed to fill.

    `stale`: the flawed price is set aside and the last good one goes on, marked stale, so enforcement of its holders is held.
    """

    on_missing_date: Literal["refuse", "skip"]
    on_hole: Literal["refuse", "stale"]
    on_bad_price: Literal["refuse", "stale"]
    on_duplicate: Literal["refuse", "last"]
    on_no_history: Literal["refuse", "stale"]
    on_split_shape: Literal["refuse", "keep", "adjust"]
    fill_at: Literal["close", "next"]
    fill_slippage: Share
    most_lots: Annotated[int, Field(ge=1)]
    beta_sessions: Annotated[int, Field(ge=2)]
    beta_min_observations: Annotated[int, Field(ge=2)]


_SECTIONS = (
    "maintenance", "concentration", "volatility", "portfolio_margin", "stress", "firm", "ladder", "liquidation", "prices", "backtest",
)


class Policy(_Section):
    """One complete, immutable policy. `version` goes on every result computed under it."""

    version: str
    effective_from: dt.date
    maintenance: MaintenancePolicy
    concentration: ConcentrationPolicy
    volatility: VolatilityPolicy
    portfolio_margin: PortfolioMarginPolicy
    stress: StressPolicy
    firm: FirmPolicy
    ladder: LadderPolicy
    liquidation: LiquidationPolicy
    prices: PricePolicy
    backtest: BacktestPolicy

    def override(self, changes: dict[str, Any]) -> Policy:
        """A policy with flat rulebook names replaced, e.g. {'long_rate': '0.30'}. PolicyError names an unknown key or bad value.

        The version gets a digest of the changes, so that results under different overrides are never taken for one policy's.
        """
        if not changes:
            return self
        sections = {name: getattr(self, name).model_dump() for name in _SECTIONS}
        for key, value in changes.items():
            owner = next((s for s in _SECTIONS if key in type(getattr(self, s)).model_fields), None)
            if owner is None:
                raise PolicyError(f"policy.{key}: unknown policy field, value {value!r}")
            sections[owner][key] = value
        return _validated(sections | {"version": f"{self.version}+{_digest(changes)}", "effective_from": self.effective_from}, "policy")


def _digest(changes: dict[str, Any]) -> str:
    import hashlib

    text = ",".join(f"{key}={changes[key]}" for key in sorted(changes))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _validated(data: Any, origin: str) -> Policy:
    if not isinstance(data, dict):
        raise PolicyError(f"{origin}: not a mapping of policy sections, value {data!r}")
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        loc = [str(part) for part in first["loc"]]
        where = ".".join(loc[1:] if origin == "policy" and len(loc) > 1 else loc)
        raise PolicyError(f"{origin}.{where}: {first['msg']}, value {first['input']!r}") from error


def load_policy_file(path: Path) -> Policy:
    """The policy in one YAML file. PolicyError names the file, the key and the value of the first thing wrong."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise PolicyError(f"{path.name}: cannot be read: {error}") from error
    return _validated(data, path.name)


@functools.cache
def shipped_policies() -> tuple[Policy, ...]:
    """Every policy of the package, oldest first."""
    return tuple(sorted((load_policy_file(p) for p in POLICY_FOLDER.glob("*.yaml")), key=lambda p: p.effective_from))


def policy_on(day: dt.date) -> Policy:
    """The shipped policy in force on a day. PolicyError where the day precedes the first."""
    in_force = [p for p in shipped_policies() if p.effective_from <= day]
    if not in_force:
        raise PolicyError(f"effective_from: no policy in force on {day.isoformat()}")
    return in_force[-1]


def current_policy() -> Policy:
    """The newest shipped policy: the default of every command."""
    return shipped_policies()[-1]
