"""Policy: every rate, threshold and time the platform acts on, as dated, versioned data read strictly.

A policy file is YAML with one section per concept (`sections`). Loading refuses an unknown, missing or repeated key, a
number out of range or written as text, and levels out of order, naming the file, the key and the value: a margin engine must
not run on a guessed rate.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Hashable
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from margin_platform.policy.sections import (
    FROM_FILE,
    BacktestPolicy,
    BetaPolicy,
    ConcentrationPolicy,
    EmissionPolicy,
    FirmPolicy,
    IntradayPolicy,
    LadderPolicy,
    LiquidationPolicy,
    MaintenancePolicy,
    OptionPolicy,
    PortfolioMarginPolicy,
    PricePolicy,
    Section,
    StressPolicy,
    VolatilityPolicy,
)
from margin_platform.trading_time.new_york import NEW_YORK

POLICY_FOLDER = Path(__file__).parent / "shipped"
# Fields of which the first may not be above the second; where `strict`, they may not be equal either.
_ASCENDING = (
    ("volatility", "vol_tier1", "vol_tier2", True),
    ("volatility", "vol_addon1", "vol_addon2", False),
    ("volatility", "vol_min_observations", "vol_window", False),
    ("concentration", "conc_threshold", "conc_ramp_to", True),
    ("beta", "beta_min_observations", "beta_sessions", False),
)
_ASCENDING_WITH_HYSTERESIS = (   # without it nothing is left late, and these levels mean nothing
    ("volatility", "vol_leave_tier1", "vol_tier1", False),
    ("volatility", "vol_leave_tier2", "vol_tier2", False),
    ("volatility", "vol_leave_tier1", "vol_leave_tier2", False),
)


class PolicyError(ValueError):
    """A policy that cannot be used; the message names the key and the value."""


_SECTIONS = (
    "maintenance", "concentration", "volatility", "portfolio_margin", "intraday", "options", "beta", "stress", "firm", "ladder",
    "liquidation", "prices", "emission", "backtest",
)


class Policy(Section):
    """One complete, immutable policy. `version` goes on every result computed under it."""

    version: Annotated[str, Field(min_length=1)]
    effective_from: dt.date
    maintenance: MaintenancePolicy
    concentration: ConcentrationPolicy
    volatility: VolatilityPolicy
    portfolio_margin: PortfolioMarginPolicy
    intraday: IntradayPolicy
    options: OptionPolicy
    beta: BetaPolicy
    stress: StressPolicy
    firm: FirmPolicy
    ladder: LadderPolicy
    liquidation: LiquidationPolicy
    prices: PricePolicy
    emission: EmissionPolicy
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
    text = ",".join(f"{key}={changes[key]}" for key in sorted(changes))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def _validated(data: Any, origin: str) -> Policy:
    if not isinstance(data, dict):
        raise PolicyError(f"{origin}: not a mapping of policy sections, value {data!r}")
    try:
        policy = Policy.model_validate(data, context={FROM_FILE: origin != "policy"})
    except ValidationError as error:
        first = error.errors()[0]
        loc = [str(part) for part in first["loc"]]
        where = ".".join(loc[1:] if origin == "policy" and len(loc) > 1 else loc)
        given = "" if first["type"] == "missing" else f", value {first['input']!r}"
        raise PolicyError(f"{origin}.{where}: {first['msg']}{given}") from error
    _check_order(policy, origin)
    return policy


def _check_order(policy: Policy, origin: str) -> None:
    """PolicyError where one level lies beyond the level it must stay under."""
    pairs = _ASCENDING + (_ASCENDING_WITH_HYSTERESIS if policy.volatility.vol_hysteresis else ())
    for section, low, high, strict in pairs:
        values = getattr(policy, section)
        below, above = getattr(values, low), getattr(values, high)
        if above is not None and (below > above or (strict and below == above)):
            where = f"{origin}.{high}" if origin == "policy" else f"{origin}.{section}.{high}"
            raise PolicyError(f"{where}: not above {low} {below!r}, value {above!r}")
    for section, name in (("stress", "scenarios"), ("portfolio_margin", "house_grid")):
        moves = getattr(getattr(policy, section), name)
        if origin != "policy" and list(moves) != sorted(set(moves)):
            raise PolicyError(f"{origin}.{section}.{name}: not ascending, value {list(moves)!r}")


class _UniqueKeys(yaml.SafeLoader):
    """YAML without a mapping that gives one key twice, of which the first would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, value_node in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                raise PolicyError(f"{key}: given twice, value {getattr(value_node, 'value', None)!r}, line {key_node.start_mark.line + 1}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_policy_file(path: Path) -> Policy:
    """The policy in one YAML file. PolicyError names the file, the key and the value of the first thing wrong."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except PolicyError as error:
        raise PolicyError(f"{path.name}.{error}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise PolicyError(f"{path.name}: cannot be read: {error}") from error
    return _validated(data, path.name)


def load_policy_folder(folder: Path) -> tuple[Policy, ...]:
    """Every policy of a folder, oldest first. PolicyError where two files give one version, or one day two policies."""
    policies = {path.name: load_policy_file(path) for path in sorted(folder.glob("*.yaml"))}
    for field in ("version", "effective_from"):
        first: dict[Any, str] = {}
        for name, policy in policies.items():
            value = getattr(policy, field)
            if first.setdefault(value, name) != name:
                raise PolicyError(f"{name}.{field}: already in {first[value]}, value {str(value)!r}")
    return tuple(sorted(policies.values(), key=lambda p: p.effective_from))


@functools.cache
def shipped_policies() -> tuple[Policy, ...]:
    """Every policy of the package, oldest first."""
    return load_policy_folder(POLICY_FOLDER)


def current_policy(day: dt.date | None = None) -> Policy:
    """The shipped policy in force on a day, today in New York if none is given: the default of every command.

    One that takes effect later waits for its day; before the day of the first, the first counts.
    """
    at = dt.datetime.now(NEW_YORK).date() if day is None else day
    shipped = shipped_policies()
    return next((policy for policy in reversed(shipped) if policy.effective_from <= at), shipped[0])
