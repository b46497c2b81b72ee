"""Structure of a checkout in figures, the same way for any revision.

    python -m bench.floor_plan [CHECKOUT]

The kernel's time against an earlier revision is measured by `python -m bench.kernel_before REVISION`.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PRODUCT = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")
PUBLIC = re.compile("[A-Z][A-Z0-9_]+")
GATHERED = {"ASSETS", "CHECKS", "JOBS", "SCHEDULES", "SENSORS", "SPEC"}  # each module names its own list
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


def sources(root: Path) -> dict[str, str]:
    """Return the Python files of a checkout that git knows, by path."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    return {name: (root / name).read_text(encoding="utf-8") for name in listed.splitlines()}


def layers(root: Path) -> int:
    """Count the rows of the import contract inside `margin_platform`."""
    rules = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    ranked = [rule for rule in rules["contracts"] if rule["type"] == "layers"]
    return max(len(rule["layers"]) for rule in ranked)


def imports(name: str, tree: ast.Module, modules: set[str]) -> set[str]:
    """Return the modules of the product that one imports, inside functions too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= whole & modules or {node.module}
    return found & modules - {name}


def circles(trees: dict[str, ast.Module]) -> int:
    """Count circles of imports: one is opened by dropping an arrow of it, until none is left."""
    names = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in trees}
    graph = {name: imports(name, trees[path], set(names)) for name, path in names.items()}
    found = 0
    while True:
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            circle = error.args[1]
            graph[circle[1]].discard(circle[0])
            found += 1
        else:
            return found


def constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the public constants of a module with their values as written."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, ast.unparse(node.value)
        if not isinstance(node, ast.Assign):
            continue
        value = node.value
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, ast.unparse(value)
            elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = zip(target.elts, value.elts, strict=True)
                yield from ((ast.unparse(name), ast.unparse(part)) for name, part in pairs)
            elif isinstance(target, ast.Tuple) and "range(" in ast.unparse(value):
                yield from ((ast.unparse(name), str(n)) for n, name in enumerate(target.elts))


def figures(root: Path) -> dict[str, object]:
    """Return every figure of a checkout, by name."""
    texts = sources(root)
    trees = {name: ast.parse(text) for name, text in texts.items() if name.split("/")[0] in PRODUCT}
    folders = Counter(str(Path(name).parent) for name in trees if not name.endswith("__init__.py"))
    commands = folders.pop("margin_platform/cli")
    folder, modules = folders.most_common(1)[0]
    widths = [len(line) for text in texts.values() for line in text.splitlines()]
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    lengths = [(n.end_lineno or 0) - n.lineno + 1 for n in nodes if isinstance(n, FUNCTION)]
    enums = [
        n
        for n in nodes
        if isinstance(n, ast.ClassDef) and re.search("Enum|Flag", str(list(map(ast.unparse, n.bases))))
    ]
    values: dict[str, set[str]] = defaultdict(set)
    for tree in trees.values():
        for name, value in constants(tree):
            values[name].add(value)
    clashes = [n for n, v in values.items() if len(v) > 1 and PUBLIC.fullmatch(n) and n not in GATHERED]
    return {
        "modules in the fullest folder but cli/": f"{modules} ({folder})",
        "modules in cli/": commands,
        "import layers inside margin_platform": layers(root),
        "circles of imports": circles(trees),
        "lines of Python over 100 columns": sum(width > 100 for width in widths),
        "lines of Python over 110 columns": sum(width > 110 for width in widths),
        "longest function, lines": max(lengths),
        "functions over 60 lines": sum(length > 60 for length in lengths),
        "the word Any": sum(len(re.findall(r"\bAny\b", texts[name])) for name in trees),
        "classes of enumerations": len(enums),
        "constants of one name with different values": len(clashes),
    }


if __name__ == "__main__":
    for title, figure in figures(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()).items():
        print(f"{title:45} {figure}")
