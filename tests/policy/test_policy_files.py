"""Policy files are read strictly: whatever is wrong stops the load and names the file, the field and the
value.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from margin_platform.policy import policy as policy_module
from margin_platform.policy.policy import (
    POLICY_FOLDER,
    PolicyError,
    current_policy,
    load_policy_file,
    load_policy_folder,
)
from margin_platform.rulebook.reg_t import day_call
from margin_platform.volatility.beta import beta, estimated

SHIPPED = next(POLICY_FOLDER.glob("*.yaml"))


def _written(folder: Path, change: Callable[[dict[str, Any]], None], name: str = "house.yaml") -> Path:
    data = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    change(data)
    path = folder / name
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    return path


def _set(where: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        *sections, key = where.split(".")
        for section in sections:
            data = data[section]
        if value is KeyError:
            del data[key]
        else:
            data[key] = value

    return change


MALFORMED = [
    (
        "maintenance.long_rat",
        0.25,
        "maintenance.long_rat: unknown field, did you mean long_rate?, value 0.25",
    ),
    ("house_rules", {}, "house_rules: unknown field, not one of version, effective_from,"),
    (
        "maintenance.long_rate",
        -0.25,
        "maintenance.long_rate: Input should be greater than or equal to 0, value -0.25",
    ),
    (
        "maintenance.long_rate",
        float("nan"),
        "maintenance.long_rate: Value error, not a finite number, value nan",
    ),
    (
        "maintenance.short_rate",
        float("inf"),
        "maintenance.short_rate: Value error, not a finite number, value inf",
    ),
    ("maintenance.long_rate", "0.25", "maintenance.long_rate: Value error, not a number, value '0.25'"),
    ("maintenance.long_rate", "25%", "maintenance.long_rate: Value error, not a number, value '25%'"),
    ("maintenance.long_rate", True, "maintenance.long_rate: Value error, not a number, value True"),
    ("maintenance.long_rate", None, "maintenance.long_rate: Value error, not a number, value None"),
    (
        "maintenance.long_rate",
        25,
        "maintenance.long_rate: Input should be less than or equal to 10, value 25",
    ),
    ("concentration.use_conc", "off", "concentration.use_conc: Input should be a valid boolean"),
    (
        "maintenance.use_low_price_long",
        "sometimes",
        "maintenance.use_low_price_long: Input should be a valid boolean",
    ),
    ("volatility.vol_window", 30.5, "volatility.vol_window: Value error, not a whole number, value 30.5"),
    ("volatility.vol_window", True, "volatility.vol_window: Value error, not a whole number, value True"),
    (
        "volatility.vol_window",
        1,
        "volatility.vol_window: Input should be greater than or equal to 2, value 1",
    ),
    ("volatility.vol_tier2", 0.35, "volatility.vol_tier2: not above vol_tier1 0.4, value 0.35"),
    ("volatility.vol_tier2", 0.40, "volatility.vol_tier2: not above vol_tier1 0.4, value 0.4"),
    ("volatility.vol_addon2", 0.04, "volatility.vol_addon2: not above vol_addon1 0.05, value 0.04"),
    (
        "volatility.vol_min_observations",
        31,
        "volatility.vol_window: not above vol_min_observations 31, value 30",
    ),
    (
        "concentration.conc_ramp_to",
        0.30,
        "concentration.conc_ramp_to: not above conc_threshold 0.3, value 0.3",
    ),
    (
        "concentration.conc_threshold",
        1.5,
        "concentration.conc_threshold: Input should be less than or equal to 1, value 1.5",
    ),
    ("beta.beta_min_observations", 300, "beta.beta_sessions: not above beta_min_observations 300, value 252"),
    ("stress.scenarios", [0.02, -0.08], "stress.scenarios: not ascending, value [0.02, -0.08]"),
    ("stress.scenarios", [-0.08, -0.08], "stress.scenarios: not ascending, value [-0.08, -0.08]"),
    ("stress.scenarios", [-0.08, "deep"], "stress.scenarios.1: Value error, not a number, value 'deep'"),
    (
        "portfolio_margin.house_grid",
        [0.15, -0.15],
        "portfolio_margin.house_grid: not ascending, value [0.15, -0.15]",
    ),
    (
        "portfolio_margin.product_offsets",
        {"HICAP": 1.2},
        "portfolio_margin.product_offsets.HICAP: Input should be less than or equal to 1",
    ),
    (
        "ladder.call_due_hour_et",
        24,
        "ladder.call_due_hour_et: Input should be less than or equal to 23, value 24",
    ),
    ("concentration", KeyError, "concentration: Field required"),
    ("maintenance.long_rate", KeyError, "maintenance.long_rate: Field required"),
    ("maintenance", [0.25], "maintenance: Input should be a valid dictionary"),
    ("effective_from", "June", "effective_from: Input should be a valid date or datetime"),
    ("effective_from", "2026-13-01", "effective_from: Input should be a valid date or datetime"),
    ("effective_from", KeyError, "effective_from: Field required"),
    ("version", "", "version: String should have at least 1 character, value ''"),
    ("version", 2026, "version: Input should be a valid string, value 2026"),
]


@pytest.mark.parametrize(
    ("where", "value", "message"), MALFORMED, ids=[f"{w} = {v!r}" for w, v, _ in MALFORMED]
)
def test_pol_001_a_malformed_file_stops_the_load_and_names_the_field_and_the_value(
    tmp_path: Path, where: str, value: Any, message: str
) -> None:
    with pytest.raises(PolicyError, match=re.escape(f"house.yaml.{message}")):
        load_policy_file(_written(tmp_path, _set(where, value)))


@pytest.mark.parametrize(
    "rung",
    [
        "warn_frac",
        "close_only_after_minutes",
        "severe_deficiency",
        "call_due_business_days",
        "liquidation_retry_minutes",
    ],
)
def test_a_policy_without_a_rung_of_the_ladder_is_not_loaded_and_the_rung_is_named(
    tmp_path: Path, rung: str
) -> None:
    with pytest.raises(PolicyError, match=re.escape(f"house.yaml.ladder.{rung}: Field required")):
        load_policy_file(_written(tmp_path, _set(f"ladder.{rung}", KeyError)))


def test_levels_of_leaving_must_lie_below_those_of_entering_where_hysteresis_is_on(tmp_path: Path) -> None:
    def too_high(data: dict[str, Any]) -> None:
        data["volatility"] |= {"vol_hysteresis": True, "vol_leave_tier1": 0.45}

    with pytest.raises(
        PolicyError, match=r"volatility\.vol_tier1: not above vol_leave_tier1 0\.45, value 0\.4"
    ):
        load_policy_file(_written(tmp_path, too_high))


def test_a_key_given_twice_is_refused_and_not_silently_the_last(tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    text = SHIPPED.read_text(encoding="utf-8")
    path.write_text(
        text.replace("  long_rate: 0.25", "  long_rate: 0.25\n  long_rate: 0.15"), encoding="utf-8"
    )
    with pytest.raises(
        PolicyError, match=r"house\.yaml\.long_rate: given twice, again on line \d+, value '0\.15'"
    ):
        load_policy_file(path)


@pytest.mark.parametrize("text", ["", "- 1\n", "version: [", "maintenance:\n\t- x"])
def test_a_file_that_is_no_policy_at_all_names_itself(tmp_path: Path, text: str) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"^house\.yaml"):
        load_policy_file(path)


def test_a_file_that_is_not_there_names_itself(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"nowhere\.yaml: cannot be read"):
        load_policy_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("field", ["version", "effective_from"])
def test_two_files_of_one_version_or_one_day_are_refused(tmp_path: Path, field: str) -> None:
    other = {"version": "effective_from", "effective_from": "version"}[field]
    _written(tmp_path, _set("version", "house-a"), "a.yaml")
    _written(tmp_path, _set(other, {"effective_from": "2027-01-01", "version": "house-b"}[other]), "b.yaml")
    if field == "version":
        _written(tmp_path, lambda d: d.update(version="house-a", effective_from="2027-01-01"), "b.yaml")
    with pytest.raises(PolicyError, match=rf"^b\.yaml\.{field}: already in a\.yaml, value '"):
        load_policy_folder(tmp_path)


def test_a_sound_file_is_read_back_as_the_shipped_policy(tmp_path: Path) -> None:
    assert load_policy_file(_written(tmp_path, lambda _: None)) == current_policy()


def test_every_policy_field_that_the_rules_name_exists() -> None:
    rules = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    named = {field for group in re.findall(r"\[([a-z_0-9, ]+)\]", rules) for field in group.split(", ")}
    known = {
        field
        for section in current_policy().model_dump().values()
        if isinstance(section, dict)
        for field in section
    }
    assert len(named) > 40
    assert sorted(named - known) == []


def test_rgt_002_the_amount_that_need_not_be_called_is_policy() -> None:
    rules = current_policy().maintenance
    assert (day_call(0, 1000, rules).action_required, day_call(0, 1000.01, rules).action_required) == (
        False,
        True,
    )
    assert day_call(0, 1000, current_policy().override({"reg_t_de_minimis": 500}).maintenance).action_required


def test_bta_001_a_beta_needs_its_policys_observations_and_carries_its_weight() -> None:
    generator = np.random.default_rng(3)
    market = generator.normal(0, 0.01, 60)
    stock = 1.8 * market + generator.normal(0, 0.001, 60)
    rules = current_policy().beta
    assert estimated(market, stock, rules) == pytest.approx(beta(market, stock))
    missing = np.where(np.arange(60) == 7, np.nan, stock)
    assert np.isnan(estimated(market, missing, rules))  # 59 on common dates
    halfway = current_policy().override({"beta_weight": 0.5}).beta
    assert estimated(market, stock, halfway) == pytest.approx((beta(market, stock) + 1) / 2)


def test_pol_002_a_policy_waits_for_its_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two policies, of 4 June 2026 and of 1 January 2027:
    the later one is in force on its day and not on the day before.
    """
    first = current_policy()
    later = first.model_copy(update={"version": "later", "effective_from": dt.date(2027, 1, 1)})
    monkeypatch.setattr(policy_module, "house_policies", lambda: (first, later))
    assert current_policy(dt.date(2026, 12, 31)) is first
    assert current_policy(dt.date(2027, 1, 1)) is later
    assert current_policy(dt.date(1990, 1, 2)) is first  # history is replayed under the first there is


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 5_000, "nested too deeply"),
        ("version: " + "9" * 5_000, "digits"),
        ("? [1, {a: b}]\n: 1\n", "unhashable"),
        ("{a: 1}: 2\n", "unhashable"),
        ("effective_from: 9999-99-99\n", "month must be in 1..12"),
        ("a: !!float x\n", "could not convert"),
        ("!!timestamp x\n", "cannot be read"),
        ("a: [1\nb: 2\n", "expected"),
    ],
    ids=["depth", "digits", "list as key", "mapping as key", "date", "tag", "time", "syntax"],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(text: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "house.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=reason) as refused:
        load_policy_file(path)
    assert str(refused.value).startswith("house.yaml: cannot be read: ")
    assert "\n" not in str(refused.value)
