"""The names of Dagster that are not public stand in one module, and an upgrade that removes one fails here
by that name.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from margin_platform.orchestration import dagster_internals

ROOT = Path(__file__).parents[2]
PACKAGES = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")
ONE_PLACE = Path(str(dagster_internals.__file__))
NAMES = [
    *((module, name) for name, module in sorted(dagster_internals.MODULES.items())),
    *dagster_internals.STORAGE.values(),
    ("dagster_webserver.cli", dagster_internals.BUILD_WEBSERVER),
]
_PRIVATE = re.compile(r"\bdagster(_\w+)?\._\w+")


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            yield file, ast.parse(file.read_text(encoding="utf-8"))


def named_in(tree: ast.Module) -> Iterator[str]:
    """Each private module of Dagster that is imported, or named in a text that is a whole dotted name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from _PRIVATE.findall(str(node.module)) and [str(node.module)]
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if _PRIVATE.match(a.name))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from (
                [node.value] if re.fullmatch(r"[\w.]+", node.value) and _PRIVATE.match(node.value) else []
            )


def test_no_other_module_names_what_is_not_public() -> None:
    elsewhere = [f"{file.relative_to(ROOT)}: {name}" for file, tree in trees() for name in named_in(tree)]
    here = str(ONE_PLACE.relative_to(ROOT))
    assert [found for found in elsewhere if not found.startswith(here)] == []
    assert any(found.startswith(here) for found in elsewhere)  # the search finds something


def test_attributes_with_an_underscore_are_the_listed_ones() -> None:
    """`self._x` in a class that defines no `_x` itself is an attribute of the library's class above it."""
    listed = set(dagster_internals.ATTRIBUTES.values())
    used = set()
    for file, tree in trees():
        for kind in (n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)):
            if any("Dagster" in base or base in _LIBRARY for base in map(ast.unparse, kind.bases)):
                used |= {(file.name, name) for name in read_of_self(kind) - defined_in(kind)}
    assert {name for _, name in used} == listed, sorted(used)


_LIBRARY = ("RunLauncher", "QueuedRunCoordinator")


def read_of_self(kind: ast.ClassDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(kind)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and re.match(r"_[a-z]", node.attr)
    }


def defined_in(kind: ast.ClassDef) -> set[str]:
    """Methods of the class, and what its `__init__` sets."""
    methods = [n for n in kind.body if isinstance(n, ast.FunctionDef)]
    begin = [n for m in methods if m.name == "__init__" for n in ast.walk(m)]
    set_there = {n.attr for n in begin if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store)}
    return {m.name for m in methods} | set_there


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda part: str(part))
def test_a_private_name_that_is_used_is_still_there(module: str, name: str) -> None:
    """`dagster._cli.dev` is a module taken from a package."""
    found = importlib.import_module(module)
    if not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


@pytest.mark.parametrize(("owner", "attribute"), dagster_internals.ATTRIBUTES.items())
def test_a_private_attribute_that_is_used_is_still_there(owner: str, attribute: str) -> None:
    module, _, name = owner.rpartition(".")
    kind: Any = getattr(importlib.import_module(module), name)
    assert hasattr(kind, attribute), attribute


def test_what_mypy_reads_is_what_is_imported() -> None:
    """The imports for the type checker and the table of modules say the same."""
    typed = {
        alias.asname: node.module
        for node in ast.walk(ast.parse(ONE_PLACE.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("dagster._")
        for alias in node.names
    }
    assert typed == dagster_internals.MODULES


def test_writing_a_dagster_yaml_loads_no_dagster() -> None:
    program = (
        "import sys; import margin_platform.orchestration.dagster_home; assert 'dagster' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_private_names_are_few_and_counted() -> None:
    """docs/adr/0006 gives the reasons; a new one is a decision."""
    assert len(NAMES) + len(dagster_internals.ATTRIBUTES) <= 20
