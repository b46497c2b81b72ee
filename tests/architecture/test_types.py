"""Types: how much of the product is not typed, and names that stand for one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("margin_platform", "jobs", "sensors", "assets", "resources", "spark")
MOST_ANY = 210
PUBLIC = re.compile("[A-Z][A-Z0-9_]+")
# Each module of definitions names its own list; `definitions.py` gathers them by these names.
GATHERED = {"ASSETS", "CHECKS", "JOBS", "SCHEDULES", "SENSORS", "SPEC"}


def modules() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_the_word_any_only_becomes_rarer() -> None:
    found = sum(len(re.findall(r"\bAny\b", path.read_text(encoding="utf-8"))) for path in modules())
    advice = "name the type, or say object where a value is only passed on"
    assert found <= MOST_ANY, f"Any stands {found} times; from {MOST_ANY} the number may only fall: {advice}"


def test_no_two_constants_of_one_name_have_different_values() -> None:
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in modules():
        for name, value in constants(ast.parse(path.read_text(encoding="utf-8"))):
            values[name][value].append(str(path.relative_to(ROOT)))
    different = {n: dict(found) for n, found in values.items() if len(found) > 1 and n not in GATHERED}
    assert different == {}, "one name, one value: rename, or declare it once"


def constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the public constants of a module with their values as written."""
    for node in module.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        else:
            continue
        for target in targets:
            yield from named(target, node.value)


def named(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, str]]:
    """Yield each public constant of one assignment, with its value as written."""
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for name, part in zip(target.elts, value.elts, strict=True):
            yield from named(name, part)
    elif isinstance(target, ast.Name) and value is not None and PUBLIC.fullmatch(target.id):
        yield target.id, ast.unparse(value)
