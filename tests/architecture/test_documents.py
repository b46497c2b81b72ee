"""The documents keep their promises: links lead somewhere, lines fit, decisions have their parts, words
are plain.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.house_words import HOUSE_WORDS

ROOT = Path(__file__).parents[2]
WIDTH = 120
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# A path inside backticks: below a folder at the top, or below a concept's folder of margin_platform, which
# then ends with a slash or a suffix (`kafka/topic` is a tag of a run).
TOP = (
    "margin_platform",
    "spark",
    "assets",
    "jobs",
    "sensors",
    "resources",
    "tests",
    "bench",
    "docs",
    "examples",
    "scripts",
)
INSIDE = (
    "contracts",
    "trading_time",
    "policy",
    "kernel",
    "ledger",
    "market",
    "volatility",
    "snapshots",
    "firm",
    "ladder",
    "liquidation",
    "rulebook",
    "kafka",
    "store",
    "audit",
    "recordkeeping",
    "enforcement",
    "notification",
    "backtest",
    "dashboard",
    "orchestration",
    "jars",
    "stack",
    "demo",
    "cli",
)
PATH = re.compile(rf"(?:{'|'.join(TOP)})/[\w./*-]*|(?:{'|'.join(INSIDE)})/(?:[\w/*-]*\.[\w.*]+|(?:[\w-]+/)*)")


def _documents() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    return [ROOT / name for name in listed.splitlines() if not name.startswith(".github/")]


DOCUMENTS = _documents()
DECISIONS = sorted((ROOT / "docs" / "adr").glob("*.md"))
CLERK = sorted((ROOT / "docs" / "clerk").glob("*.md"))
CAPABILITIES = sorted((ROOT / "docs" / "capabilities").glob("*.md"))
each_document = pytest.mark.parametrize("page", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))


def _lines(page: Path) -> Iterator[tuple[int, str]]:
    """Lines outside code blocks, numbered from 1."""
    code = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code:
            yield number, line


def _anchors(page: Path) -> set[str]:
    """The anchors that a host makes of a page's headings."""
    headings = [line.lstrip("#").strip() for _, line in _lines(page) if re.match(r"#{1,6} ", line)]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_document
def test_every_relative_link_leads_to_a_file_and_to_a_heading_of_it(page: Path) -> None:
    broken = []
    for number, line in _lines(page):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists() or (anchor and anchor not in _anchors(file)):
                broken.append(f"{number}: {target}")
    assert broken == []


@each_document
def test_every_path_named_in_the_text_exists(page: Path) -> None:
    """A module that moved takes the documents with it."""
    gone = []
    for number, line in _lines(page):
        for span in re.findall(r"`([^`]+)`", line):
            if not PATH.fullmatch(span) or "NAME" in span:
                continue
            if not any(
                list(base.glob(span.rstrip("/"))) for base in (ROOT, ROOT / "margin_platform", page.parent)
            ):
                gone.append(f"{number}: {span}")
    assert gone == []


@each_document
def test_prose_fits_the_width(page: Path) -> None:
    """Tables, pictures and code may be longer, and so may a line that is one word, such as an address."""
    long = [
        f"{number}: {len(line)} columns"
        for number, line in _lines(page)
        if len(line) > WIDTH and not line.startswith(("|", "![")) and " " in line.strip()
    ]
    assert long == []


@each_document
def test_the_words_are_those_of_the_field(page: Path) -> None:
    """Words of a private idiom cost every reader who did not grow up with it.

    CONTRIBUTING.md lists them as code.
    """
    found = [
        f"{number}: {word}"
        for number, line in _lines(page)
        for word in HOUSE_WORDS.findall(re.sub(r"`[^`]*`", "", line))
    ]
    assert found == []


@pytest.mark.parametrize("page", DECISIONS, ids=lambda p: p.stem)
def test_a_decision_has_status_context_decision_and_consequences(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    number = int(page.name[:4])
    assert text.startswith(f"# {number}. ")
    assert re.search(
        r"^Status: (?:accepted|proposed|rejected|superseded by ADR \d+), \d{4}-\d\d-\d\d\.",
        text,
        re.MULTILINE,
    )
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings[:3] == ["Context", "Decision", "Consequences"]


def test_decisions_are_numbered_without_a_gap_and_listed_with_their_status() -> None:
    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in DECISIONS:
        status = re.search(r"^Status: (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        row = next(line for line in index.splitlines() if f"(adr/{page.name})" in line)
        assert status is not None
        assert row.split("|")[3].strip().startswith(status[1])


def test_every_page_is_reached_from_the_index() -> None:
    """A page that no other page names is a page without readers."""
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / target.partition("#")[0]).resolve()
        for target in LINK.findall(index.read_text("utf-8"))
    }
    pages = {page for page in DOCUMENTS if page.is_relative_to(ROOT / "docs")} - {index}
    assert sorted(str(page.relative_to(ROOT)) for page in pages - linked) == []


def test_the_layers_of_the_page_are_those_that_the_linter_checks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    layers = next(c["layers"] for c in contracts if c.get("containers") == ["margin_platform"])
    page = (
        (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("### The twelve layers", 1)[1]
    )
    rows = re.findall(r"^\| \d+ \| (.+) \|$", page.split("\n## ", 1)[0], re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [
        set(re.findall(r"\w+", layer)) for layer in layers
    ]


@pytest.mark.parametrize("page", CLERK, ids=lambda p: p.stem)
def test_a_clerks_page_has_the_screen_what_to_do_a_command_and_its_tests(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.match(r"# .+\?\n\n!\[[^\]]+\]\(\.\./images/dashboard-\w+\.png\)\n", text)
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert headings == ["What to do", "From the command line", "Held by"]
    _, steps, command, tests = text.split("\n## ")
    assert "\n1. " in steps
    assert "\n$ margin " in command
    named = re.findall(r"`(tests/\w+/test_\w+\.py)`", tests)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", CAPABILITIES, ids=lambda p: p.stem)
def test_a_capability_begins_with_its_screen_and_what_to_do(page: Path) -> None:
    _, screen, to_do = page.read_text(encoding="utf-8").split("\n\n")[:3]
    assert re.match(r"!?\[[^\]]+\]\(\.\./images/(?:dashboard-\w+|backtest-report)\.png\)", screen)
    assert to_do.startswith("What to do")
