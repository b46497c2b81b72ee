"""The page's own sources stay short, and the lint tools behind them name no registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "margin_platform" / "dashboard" / "static"
MOST_LINES = 150
MOST_COLUMNS = 110
SUFFIXES = {".js", ".css", ".html"}
NAMED = re.compile(r'(?:\bfrom |\bimport |\bsrc=|\bhref=)"([^"]+)"')


def _sources() -> list[Path]:
    """Return our own sources, relative to the page's folder; third-party files are under vendor/."""
    found = [path.relative_to(STATIC) for path in sorted(STATIC.rglob("*")) if path.suffix in SUFFIXES]
    assert {Path("main.js"), Path("index.html")} <= set(found)
    return [path for path in found if path.parts[0] != "vendor"]


def _lines(source: Path) -> list[str]:
    return (STATIC / source).read_text(encoding="utf-8").splitlines()


def _named_by(source: Path) -> set[Path]:
    """Return the files that a source imports or links."""
    names = NAMED.findall((STATIC / source).read_text(encoding="utf-8"))
    local = [name.removeprefix("/static/") for name in names if name.startswith("/static/")]
    relative = [(STATIC / source).parent / name for name in names if name.startswith(".")]
    return {Path(name) for name in local} | {path.resolve().relative_to(STATIC) for path in relative}


def test_no_source_of_the_page_is_long() -> None:
    long = {str(source): count for source in _sources() if (count := len(_lines(source))) > MOST_LINES}
    assert long == {}


def test_no_line_of_the_page_is_wide() -> None:
    wide = [
        f"{source}:{number} has {len(line)} columns"
        for source in _sources()
        for number, line in enumerate(_lines(source), 1)
        if len(line) > MOST_COLUMNS
    ]
    assert wide == []


def test_every_source_of_the_page_is_used_and_every_import_is_there() -> None:
    named = set().union(*(_named_by(source) for source in _sources()))
    assert set(_sources()) - named == {Path("index.html")}
    assert [str(path) for path in named if not (STATIC / path).is_file()] == []


def test_the_locked_page_tools_are_exact_and_name_no_registry() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    wanted = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["devDependencies"]
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert wanted == {name: packages[f"node_modules/{name}"]["version"] for name in wanted}
    assert [name for name, entry in packages.items() if "integrity" not in entry] == []
    assert [name for name, entry in packages.items() if "resolved" in entry] == []
