"""Packages by concept: the pure ones load no framework, none is too full, each says what it is, each
concept has one name.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from bench.floor_plan import circles

ROOT = Path(__file__).parents[2]
FOLDERS = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
    "contracts"
]
PURE: list[str] = next(c["source_modules"] for c in CONTRACTS if c["name"].startswith("pure packages"))
FRAMEWORKS = {
    "kafka",
    "confluent_kafka",
    "dagster",
    "pyspark",
    "sqlalchemy",
    "starlette",
    "uvicorn",
    "httpx",
    "boto3",
    "typer",
    "rich",
}
MOST_MODULES = 12
PACKAGES = sorted(
    folder
    for top in FOLDERS
    for folder in (ROOT / top, *(p for p in (ROOT / top).rglob("*") if p.is_dir()))
    if any(folder.glob("*.py")) and "migrations" not in folder.parts
)
# Files of jobs, sensors, assets and spark that serve every concept begin with one of these.
SHARED = (
    "topic",
    "run_",
    "table_",
    "stream",
    "keys",
    "earlier_runs",
    "end_of_day",
    "driver",
    "session",
    "kafka_source",
    "checkpoint",
    "metrics",
    "progress",
    "python_workers",
)


def _modules_of(package: str) -> list[str]:
    folder = ROOT / package.replace(".", "/")
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sorted(folder.rglob("*.py"))]


# One process a package, each forked from one that has what takes half of the time to import and is allowed.
_IMPORTED = """
import importlib, json, os, sys
import numba, pandas
for package, modules in json.loads(sys.argv[1]).items():
    if os.fork() == 0:
        for module in modules:
            importlib.import_module(module)
        print(json.dumps([package, list(sys.modules)]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, package
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """By pure package: what a process has loaded that imported all of it."""
    modules = {package: [m.removesuffix(".__init__") for m in _modules_of(package)] for package in PURE}
    command = [sys.executable, "-c", _IMPORTED, json.dumps(modules)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return {package: set(names) for package, names in map(json.loads, run.stdout.splitlines())}


@pytest.mark.parametrize("package", PURE)
def test_a_pure_package_loads_no_framework(package: str, loaded: dict[str, set[str]]) -> None:
    """Every worker process pays for what the kernel and its neighbors import."""
    assert package in loaded[package]
    assert loaded[package] & FRAMEWORKS == set()


def test_the_list_of_frameworks_is_the_linters() -> None:
    forbidden = next(c["forbidden_modules"] for c in CONTRACTS if c["name"].startswith("pure packages"))
    assert set(forbidden) == FRAMEWORKS


def test_no_package_holds_more_than_a_dozen_modules() -> None:
    """A reader takes in a dozen names at a glance. `cli` is a list of commands, one a file."""
    counts = {p: sum(m.name != "__init__.py" for m in p.glob("*.py")) for p in PACKAGES if p.name != "cli"}
    assert {str(p.relative_to(ROOT)): n for p, n in counts.items() if n > MOST_MODULES} == {}


def test_each_package_opens_with_one_sentence() -> None:
    silent = []
    for package in PACKAGES:
        face = package / "__init__.py"
        text = ast.get_docstring(ast.parse(face.read_text(encoding="utf-8"))) if face.is_file() else None
        if not (text or "").split("\n", maxsplit=1)[0].strip().endswith("."):
            silent.append(str(package.relative_to(ROOT)))
    assert silent == []


def _concepts() -> list[list[str]]:
    """The rows of the concept table: a list of cells, each with its names."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("## Where a concept lives")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row] for row in rows]


def test_every_name_of_the_concept_table_exists() -> None:
    places = ("margin_platform", "margin_platform", "spark", "assets", "jobs", "sensors")
    for row in _concepts():
        for folder, cell in zip(places, row[1:-1], strict=True):
            for name in re.findall(r"`([\w/]+)`", cell):
                path = ROOT / folder / name
                assert path.is_dir() if name.endswith("/") else path.with_suffix(".py").is_file(), (
                    f"{row[0]}: {folder}/{name}"
                )


@pytest.mark.parametrize("folder", ["spark", "assets", "jobs", "sensors"])
def test_every_file_of_a_program_belongs_to_a_concept(folder: str) -> None:
    """A new sensor, job, asset or stream takes the name of its concept in docs/architecture.md."""
    known = {name for row in _concepts() for cell in row[1:-1] for name in re.findall(r"`(\w+)`", cell)}
    files = {p.stem for p in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert {name for name in files if name not in known and not name.startswith(SHARED)} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions count: a circle hidden there is one still."""
    sources = [path for top in FOLDERS for path in (ROOT / top).rglob("*.py")]
    trees = {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in sources}
    assert circles(trees) == 0
