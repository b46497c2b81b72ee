"""The names of Dagster that are not public: an upgrade that removes one fails here, by that name."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from margin_platform.orchestration import dagster_home, webserver

ROOT = Path(__file__).parents[2]
PACKAGES = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")


def imported() -> Iterator[tuple[str, str]]:
    """Each private module of Dagster that the product imports, and the name taken from it."""
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dagster._"):
                    yield from ((str(node.module), alias.name) for alias in node.names)
                elif isinstance(node, ast.Import):
                    yield from ((a.name, "__name__") for a in node.names if a.name.startswith("dagster._"))


def configured() -> Iterator[tuple[str, str]]:
    """The classes that dagster.yaml names as Dagster's own."""
    for part in dagster_home._storage(Path("/nowhere"), None).values():
        assert isinstance(part, dict)
        yield part["module"], part["class"]


NAMES = sorted({*imported(), *configured(), ("dagster_webserver.cli", webserver._BUILD)})


@pytest.mark.parametrize(("module", "name"), NAMES, ids=lambda part: str(part))
def test_a_private_name_that_is_used_is_still_there(module: str, name: str) -> None:
    """`dagster._cli.dev` and its like are modules taken from a package."""
    found = importlib.import_module(module)
    if not hasattr(found, name):
        importlib.import_module(f"{module}.{name}")


def test_the_private_names_are_few_and_counted() -> None:
    """docs/adr/0006 gives the reasons; a new one is a decision."""
    assert len(NAMES) <= 22
