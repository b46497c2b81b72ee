"""docs/rules.md and the tests agree: every rule has a test that names it, and no test names a rule that
does not exist.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PREFIXES = "LDG|MNT|RGT|CON|VOL|BTA|PM|STR|FRM|STA|POL|IMD|CUR|CAL|OPT|LIQ"


def _stated() -> list[str]:
    return re.findall(
        rf"^\| ((?:{PREFIXES})-\d{{3}}) \|",
        (ROOT / "docs" / "rules.md").read_text(encoding="utf-8"),
        re.MULTILINE,
    )


def _named() -> set[str]:
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        if path == Path(__file__):
            continue
        text = path.read_text(encoding="utf-8")
        found |= set(re.findall(rf"\b(?:{PREFIXES})-\d{{3}}\b", text))
        for name in re.findall(r"def test_(\w+)", text):
            found |= {
                f"{p.upper()}-{n}" for p, n in re.findall(rf"(?:^|_)({PREFIXES.lower()})_(\d{{3}})", name)
            }
    return found


def test_every_rule_is_stated_once_and_has_a_test_that_names_it() -> None:
    stated = _stated()
    assert len(stated) > 50
    assert len(set(stated)) == len(stated)
    assert sorted(set(stated) - _named()) == []


def test_no_test_names_a_rule_that_is_not_stated() -> None:
    assert sorted(_named() - set(_stated())) == []
