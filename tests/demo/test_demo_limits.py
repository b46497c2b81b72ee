"""A demo's firm limits: of its own book, crossed on the way, one policy for every process of its stack."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from margin_platform.backtest import runs
from margin_platform.backtest.books.generated import AccountRow, generate, usual_counts
from margin_platform.backtest.engine.engine import Run
from margin_platform.contracts.messages import Event
from margin_platform.demo import limits, seed
from margin_platform.demo.run import EVE, LAST
from margin_platform.firm.limits import START, alerts_of
from margin_platform.firm.risk import firm_risk
from margin_platform.kernel.evaluate import evaluate
from margin_platform.policy.policy import Policy, current_policy
from margin_platform.stack import components


def _book(accounts: int) -> list[AccountRow]:
    return generate(usual_counts(accounts), seed.closes_on(EVE))


def _policy(accounts: int) -> Policy:
    return limits.policy_of(_book(accounts), seed.closes_on(EVE), seed.betas_on(EVE))


def _levels(policy: Policy, accounts: int) -> list[dict[str, str]]:
    """The levels of the firm's figures at each close of the demo's days, by a backtest of the demo's book."""
    given = runs.keeping_jumps(runs.generated_book(_book(accounts), policy))
    history = replace(runs.sample_history(), adjusted=True)
    run = Run(runs.prepare(history, [], given, first=EVE, last=LAST)[0])
    levels, seen = dict(START), []
    while run.state.bar < len(run.job.path):
        run.bar()
        margin = evaluate(run.book, run.job.path.at(run.state.bar), run.job.policy)
        _, levels = alerts_of([_event(firm_risk(run.book, margin))], levels, policy.firm)
        seen.append(levels)
        run.state.bar += 1
    return seen


def _event(risk: dict[str, Any]) -> Event:
    worst = max(risk["stress"], key=lambda row: row["firm_loss"])
    exposure = risk["beta_weighted_exposure"]
    return {"worst": True, "firm_beta_weighted_exposure": exposure} | worst


def test_no_limit_is_breached_at_the_start_and_the_loss_is_before_the_end() -> None:
    levels = _levels(_policy(200), 200)
    assert levels[0] == {"exposure": "WARNING", "loss": "CLEAR"}
    assert {day["loss"] for day in levels} == {"CLEAR", "WARNING", "BREACH"}
    assert levels[-1]["exposure"] == "CLEAR"  # what was sold no longer counts


def test_the_limits_of_a_thousand_accounts_are_round_and_only_they_differ_from_the_house_policy() -> None:
    policy, house = _policy(1000), current_policy()
    assert policy.firm.firm_exposure_limit == 280_000_000
    assert policy.firm.firm_loss_limit == 200_000
    assert policy.version.startswith(f"{house.version}+")
    assert policy.model_copy(update={"version": house.version, "firm": house.firm}) == house


def test_every_process_of_the_folder_reads_the_written_policy(tmp_path: Path) -> None:
    policy = _policy(10)
    limits.write(tmp_path, policy)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MARGIN_")} | {
        "MARGIN_DATA": str(tmp_path)
    }
    script = (
        "from margin_platform.policy.policy import current_policy; print(current_policy().model_dump_json())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=variables, capture_output=True, text=True, cwd=components.ROOT
    )
    assert Policy.model_validate_json(done.stdout) == policy


def test_another_folder_keeps_to_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARGIN_DATA", str(tmp_path))
    monkeypatch.delenv("MARGIN_POLICIES", raising=False)
    assert current_policy().firm.firm_loss_limit == 1_000_000
    limits.write(tmp_path, _policy(10))
    assert current_policy().firm.firm_loss_limit < 1_000_000
