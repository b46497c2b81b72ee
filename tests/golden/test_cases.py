"""Every worked case of the rulebook, put to the product. A case that shows what a wrong system answers is in test_traps.py."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("golden_calculations", HERE / "calculations.py")
assert _spec is not None
assert _spec.loader is not None
calculations = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(calculations)

CASES = {case["id"]: case for case in json.loads((HERE / "cases.json").read_text(encoding="utf-8"))["cases"]}
ELSEWHERE = {"teaching_ladder", "pm_teaching", "ladder", "liquidate", "impact", None}   # traps, and tests of their own modules
HERE_TESTED = [i for i, case in CASES.items() if case["calc"] not in ELSEWHERE]
IGNORED = {"F10": {"teaching_beta"}}   # what the wrong divisor would give


def _at(figures: Any, path: str) -> Any:
    """The figure at a dotted path; a scenario's own dot (client_pnl.-0.08) belongs to the last name."""
    parts = path.split(".")
    for position, part in enumerate(parts):
        if isinstance(figures, list):
            figures = figures[int(part)]
        elif part in figures:
            figures = figures[part]
        else:
            return figures[".".join(parts[position:])]
    return figures


@pytest.mark.parametrize("case_id", HERE_TESTED)
def test_the_worked_case_holds(case_id: str) -> None:
    case = CASES[case_id]
    figures = calculations.CALCULATIONS[case["calc"]](case["inputs"], case["params"])
    tolerance = 0.005 if case["tol"] is None else case["tol"]
    for path, expected in case["expected"].items():
        if path in IGNORED.get(case_id, set()):
            continue
        found = _at(figures, path)
        if isinstance(expected, bool | str):
            assert found == expected, (path, case["arithmetic"])
        else:
            assert float(found) == pytest.approx(expected, abs=tolerance), (path, case["arithmetic"])


def test_no_case_is_left_out() -> None:
    """Each kind is either computed here or named as another module's; a new kind must be placed."""
    assert {c["calc"] for c in CASES.values()} <= set(calculations.CALCULATIONS) | ELSEWHERE
