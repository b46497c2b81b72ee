"""Policy: every rate, threshold and time the platform acts on, as dated, versioned data read strictly.

A policy file is YAML with one section per concept (`sections`). Loading refuses an unknown, missing or
repeated key, a number out of range or written as text, and levels out of order, naming the file, the key and
the value: a margin engine must not run on a guessed rate.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Hashable, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, ValidationError

from margin_platform.contracts.refusals import NO_VALUE, Refused, unknown_field
from margin_platform.policy.sections import (
    FROM_FILE,
    BacktestPolicy,
    BetaPolicy,
    ConcentrationPolicy,
    EmissionPolicy,
    FirmPolicy,
    GatePolicy,
    IntradayPolicy,
    LadderPolicy,
    LiquidationPolicy,
    MaintenancePolicy,
    NoticePolicy,
    OptionPolicy,
    PortfolioMarginPolicy,
    PricePolicy,
    RecordsPolicy,
    Section,
    StressPolicy,
    VolatilityPolicy,
)
from margin_platform.settings import settings
from margin_platform.trading_time.new_york import NEW_YORK

POLICY_FOLDER = Path(__file__).parent / "shipped"
# Pairs of fields: the first may not be above the second; where `strict`, they may not be equal either.
_ASCENDING = (
    ("volatility", "vol_tier1", "vol_tier2", True),
    ("volatility", "vol_addon1", "vol_addon2", False),
    ("volatility", "vol_min_observations", "vol_window", False),
    ("concentration", "conc_threshold", "conc_ramp_to", True),
    ("beta", "beta_min_observations", "beta_sessions", False),
)
_ASCENDING_WITH_HYSTERESIS = (  # without it nothing is left late, and these levels mean nothing
    ("volatility", "vol_leave_tier1", "vol_tier1", False),
    ("volatility", "vol_leave_tier2", "vol_tier2", False),
    ("volatility", "vol_leave_tier1", "vol_leave_tier2", False),
)


class PolicyError(Refused):
    """A policy that cannot be used."""


# the path of a field, as its reader knows it, from its section and name
Where = Callable[[tuple[str, ...]], str]


_SECTIONS = (
    "maintenance",
    "concentration",
    "volatility",
    "portfolio_margin",
    "intraday",
    "options",
    "beta",
    "stress",
    "firm",
    "ladder",
    "liquidation",
    "prices",
    "emission",
    "backtest",
    "gate",
    "notices",
    "records",
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
    gate: GatePolicy = GatePolicy()
    notices: NoticePolicy = NoticePolicy()
    records: RecordsPolicy = RecordsPolicy()

    def override(self, changes: Mapping[str, object]) -> Policy:
        """Return a policy with flat rulebook names replaced, e.g.

        PolicyError names an unknown key or bad value.

        The version gets a digest of the changes, so that results under different overrides are never taken
        for one policy's.
        """
        if not changes:
            return self
        sections = {name: getattr(self, name).model_dump() for name in _SECTIONS}
        for key, value in changes.items():
            owner = next((s for s in _SECTIONS if key in type(getattr(self, s)).model_fields), None)
            if owner is None:
                raise PolicyError(
                    f"policy.{key}",
                    value,
                    unknown_field(key, self._flat_names()).replace("field", "policy field", 1),
                )
            sections[owner][key] = value
        changed = sections | {
            "version": f"{self.version}+{_digest(changes)}",
            "effective_from": self.effective_from,
        }
        policy = _validated(changed, _in_override, from_file=False)
        _check_order(policy, _in_override)
        return policy

    def _flat_names(self) -> list[str]:
        return [name for section in _SECTIONS for name in type(getattr(self, section)).model_fields]


def _digest(changes: Mapping[str, object]) -> str:
    text = ",".join(f"{key}={changes[key]}" for key in sorted(changes))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]


def _in_override(path: tuple[str, ...]) -> str:
    """Name a field as an override does: without its section."""
    return ".".join(("policy", *(path[1:] or path)))


def _validated(data: object, where: Where, *, from_file: bool) -> Policy:
    if not isinstance(data, dict):
        raise PolicyError(where(()), data, "not a mapping of policy sections")
    try:
        return Policy.model_validate(data, context={FROM_FILE: from_file})
    except ValidationError as error:
        first = error.errors()[0]
        path = tuple(str(part) for part in first["loc"])
        reason = _unknown(path) if first["type"] == "extra_forbidden" else first["msg"]
        raise PolicyError(
            where(path), NO_VALUE if first["type"] == "missing" else first["input"], reason
        ) from error


def _unknown(path: tuple[str, ...]) -> str:
    """Return why a section or a field that no policy has is refused."""
    section = Policy if len(path) == 1 else Policy.model_fields[path[0]].annotation
    return unknown_field(path[-1], section.model_fields if section else ())


def _check_order(policy: Policy, where: Where) -> None:
    """Raise PolicyError where one level lies beyond the level it must stay under."""
    pairs = _ASCENDING + (_ASCENDING_WITH_HYSTERESIS if policy.volatility.vol_hysteresis else ())
    for section, low, high, strict in pairs:
        values = getattr(policy, section)
        below, above = getattr(values, low), getattr(values, high)
        if above is not None and (below > above or (strict and below == above)):
            raise PolicyError(where((section, high)), above, f"not above {low} {below!r}")


def _check_ascending(policy: Policy, where: Where) -> None:
    """Raise PolicyError where a file's list of moves does not ascend;
    an override may list them in any order.
    """
    for section, name in (("stress", "scenarios"), ("portfolio_margin", "house_grid")):
        moves = getattr(getattr(policy, section), name)
        if list(moves) != sorted(set(moves)):
            raise PolicyError(where((section, name)), list(moves), "not ascending")


class _UniqueKeys(yaml.SafeLoader):
    """YAML without a mapping that gives one key twice: the first value would be lost in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen = set()
        for key_node, value_node in node.value:
            key = self.construct_object(key_node)
            if key in seen:
                given = getattr(value_node, "value", None)
                raise PolicyError(
                    str(key), given, f"given twice, again on line {key_node.start_mark.line + 1}"
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def load_policy_file(path: Path) -> Policy:
    """Load the policy in one YAML file.

    PolicyError names the file, the key and the value of the first thing wrong.
    """
    data = _read(path)

    def where(field: tuple[str, ...]) -> str:
        return ".".join((path.name, *field))

    policy = _validated(data, where, from_file=True)
    _check_order(policy, where)
    _check_ascending(policy, where)
    return policy


def _read(path: Path) -> object:
    """Read what a YAML file holds.

    Raise PolicyError, one line, where it cannot be read. PyYAML lets through the errors of the parts it
    calls: a date or a number that is none, a key that cannot be one.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except PolicyError as error:
        raise PolicyError(f"{path.name}.{error.field}", error.value, error.reason) from error
    except RecursionError as error:
        raise PolicyError(path.name, NO_VALUE, "cannot be read: nested too deeply") from error
    except (OSError, yaml.YAMLError, ValueError, TypeError, AttributeError) as error:
        raise PolicyError(path.name, NO_VALUE, f"cannot be read: {' '.join(str(error).split())}") from error


def load_policy_folder(folder: Path) -> tuple[Policy, ...]:
    """Load every policy of a folder, oldest first.

    PolicyError where there is none, two files give one version, or one day two policies.
    """
    policies = {path.name: load_policy_file(path) for path in sorted(folder.glob("*.yaml"))}
    if not policies:
        raise PolicyError("policies", str(folder), "not a folder with policy files (*.yaml)")
    for field in ("version", "effective_from"):
        first: dict[object, str] = {}
        for name, policy in policies.items():
            value = getattr(policy, field)
            if first.setdefault(value, name) != name:
                raise PolicyError(f"{name}.{field}", str(value), f"already in {first[value]}")
    return tuple(sorted(policies.values(), key=lambda p: p.effective_from))


@functools.cache
def policies_of(folder: Path) -> tuple[Policy, ...]:
    """Return every policy of a folder, oldest first, read once in a process."""
    return load_policy_folder(folder)


def house_policies() -> tuple[Policy, ...]:
    """Return every policy of the firm, oldest first: those of MARGIN_POLICIES, else those of the package."""
    return policies_of(settings().policies or POLICY_FOLDER)


def current_policy(day: dt.date | None = None) -> Policy:
    """Return the firm's policy in force on a day, today in New York if none is given: the default of every
    command.

    One that takes effect later waits for its day; before the day of the first, the first counts.
    """
    at = dt.datetime.now(NEW_YORK).date() if day is None else day
    policies = house_policies()
    return next((policy for policy in reversed(policies) if policy.effective_from <= at), policies[0])
