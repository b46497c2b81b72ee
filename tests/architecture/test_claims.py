"""Each claim of what stays single, and each attack, names a test that exists:
a claim without one is a hope.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first line has this beginning."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    table = text[text.index(heading) :].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def defined(path: str, name: str) -> bool:
    file = ROOT / path
    return file.is_file() and f"def {name}(" in file.read_text(encoding="utf-8")


def test_each_claim_of_what_keeps_it_single_has_an_id_and_a_fault_test_that_exists() -> None:
    claims = rows("concepts/store-and-audit.md", "| id | what repeats or breaks |")
    assert [claim[0] for claim in claims] == [f"SNG-{n:02}" for n in range(1, len(claims) + 1)]
    unproven = [claim[0] for claim in claims if not NAMED.findall(claim[3])]
    missing = [
        f"{c[0]} {path}::{name}"
        for c in claims
        for path, name in NAMED.findall(c[3])
        if not defined(path, name)
    ]
    assert (unproven, missing) == ([], [])


CLAIM = re.compile(
    r"exactly once|(?:decided?|filled|booked|sent) (?:nothing )?twice|never start two|One driver a checkpoint"
)


def test_each_claim_elsewhere_in_the_documents_names_its_id_or_its_test() -> None:
    """A paragraph that claims it, with the one below it where it is a heading."""
    known = {row[0] for row in rows("concepts/store-and-audit.md", "| id | what repeats or breaks |")}
    unproven = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        parts = page.read_text(encoding="utf-8").split("\n\n")
        for number, part in enumerate(parts):
            shown = part + (parts[number + 1] if part.startswith("#") else "")
            ids = set(re.findall(r"SNG-\d\d", shown))
            if CLAIM.search(" ".join(part.split())) and not (ids or "`tests/" in shown):
                unproven.append(f"{page.name}: {part[:80]}")
            assert ids <= known, f"{page.name}: {ids - known}"
    assert unproven == []


def test_each_attack_held_or_was_fixed_and_names_the_file_that_repeats_it() -> None:
    attacks = rows("security.md", "| attack | result |")
    assert len(attacks) > 40
    assert {attack[1] for attack in attacks} == {"held", "fixed"}
    unproven = [
        a[0]
        for a in attacks
        if not all((ROOT / p).is_file() for p in re.findall(r"`(tests/[\w/]+\.py)", a[2]) or ["-"])
    ]
    assert unproven == []
    missing = [
        f"{path}: {name}"
        for attack in attacks
        for path, name in re.findall(r"`(tests/[\w/]+\.py)` \(`(test_\w+)", attack[2])
        if f"def {name}" not in (ROOT / path).read_text(encoding="utf-8")
    ]
    assert missing == []
