"""Types: how much of the product is not typed, and names that stand for one thing."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("margin_platform", "jobs", "sensors", "assets", "resources", "spark")
MOST_ANY = 271
# Each module of definitions names its own list; `definitions.py` gathers them by these names.
GATHERED = {"ASSETS", "CHECKS", "JOBS", "SCHEDULES", "SENSORS", "SPEC"}


def modules() -> Iterator[Path]:
    for folder in PRODUCT:
        yield from sorted((ROOT / folder).rglob("*.py"))


def test_the_word_any_only_becomes_rarer() -> None:
    found = sum(len(re.findall(r"\bAny\b", path.read_text(encoding="utf-8"))) for path in modules())
    assert found <= MOST_ANY, f"{found} times Any; the number may only fall, now from {MOST_ANY}: name the type, or object where a value is only passed on"


def test_no_two_constants_of_one_name_have_different_values() -> None:
    values: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in modules():
        for name, value in constants(ast.parse(path.read_text(encoding="utf-8"))):
            values[name][value].append(str(path.relative_to(ROOT)))
    different = {name: dict(found) for name, found in values.items() if len(found) > 1 and name not in GATHERED}
    assert different == {}, "one name, one value: rename, or declare it once"


def constants(module: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the public constants of a module with their values as written; of a tuple, each of its names."""
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        value = getattr(node, "value", None)
        if value is None:
            continue
        for target in targets:
            pairs = zip(target.elts, value.elts, strict=True) if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) else [(target, value)]
            yield from ((name.id, ast.unparse(of)) for name, of in pairs if isinstance(name, ast.Name) and re.fullmatch("[A-Z][A-Z0-9_]+", name.id))
