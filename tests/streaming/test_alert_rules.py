"""The Prometheus alert rules: each is in the runbook, and fires on series made up for it (where promtool
is installed).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

DOCS = Path(__file__).parents[2] / "docs"
RULES = yaml.safe_load((DOCS / "prometheus-alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
PROMTOOL = shutil.which("promtool")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_a_line_of_the_runbook(rule: dict) -> None:
    runbook = (DOCS / "operations.md").read_text(encoding="utf-8")
    assert rule["annotations"]["runbook"] == "docs/operations.md#alarms"
    assert "\n## Alarms\n" in runbook
    assert any(line.startswith("|") and rule["alert"] in line.split("|")[1] for line in runbook.splitlines())
    assert rule["labels"]["severity"] in ("page", "ticket")


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")
def test_each_rule_fires_on_its_own_series_and_none_on_healthy_ones() -> None:
    done = subprocess.run(
        [str(PROMTOOL), "test", "rules", str(Path(__file__).parent / "alert_rules.yaml")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
