"""The tree of tests keeps its promises:
it mirrors the product, and what tests share is imported from tests/support.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
FILES = sorted(TESTS.rglob("*.py"))
BY_PATH = {
    "spec_from_file_location",
    "module_from_spec",
    "exec_module",
    "load_module",
    "SourceFileLoader",
    "run_path",
}
# Folders that mirror no package of margin_platform.
OTHER_FOLDERS = {"streaming": "spark", "scripts": "scripts", "support": "tests/support"}
CROSSING = {"architecture", "chaos", "field_cases", "golden", "integration", "properties", "upgrade"}


def _imported(tree: ast.Module) -> Iterator[str]:
    """Yield the full name of everything a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{name.name}" for name in node.names)


def _of_another_test(name: str) -> bool:
    """Whether an imported name is a test file or a conftest, or is taken from one."""
    parts = name.split(".")
    return parts[0] in ("tests", "") and any(part.startswith("test_") or part == "conftest" for part in parts)


def _by_path(tree: ast.Module) -> Iterator[str]:
    """Yield what a file uses to load another by its path, and each use of sys.path."""
    for node in ast.walk(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in BY_PATH or (isinstance(node, ast.Attribute) and ast.unparse(node) == "sys.path"):
            yield name


def _found(check: str, source: str) -> list[str]:
    tree = ast.parse(source)
    return [n for n in _imported(tree) if _of_another_test(n)] if check == "import" else list(_by_path(tree))


def test_no_test_imports_from_another_test_file() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in FILES
        if (names := _found("import", path.read_text(encoding="utf-8")))
    }
    assert found == {}


def test_no_test_loads_a_module_by_its_path() -> None:
    found = {
        str(path.relative_to(ROOT)): names
        for path in FILES
        if (names := _found("path", path.read_text(encoding="utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize(
    ("check", "source"),
    [
        ("import", "from tests.streaming.test_streams import Running"),
        ("import", "from tests.streaming import test_streams"),
        ("import", "import tests.streaming.test_streams"),
        ("import", "def f():\n    from .conftest import wait_for"),
        ("path", "import importlib.util\nspec = importlib.util.spec_from_file_location('x', 'x.py')"),
        ("path", "from importlib.util import spec_from_file_location\nspec_from_file_location('x', 'x.py')"),
        ("path", "import sys\nsys.path.insert(0, '.')"),
    ],
)
def test_the_two_rules_find_what_they_forbid(check: str, source: str) -> None:
    assert _found(check, source) != []


def test_every_folder_of_tests_is_a_package_that_says_what_it_holds() -> None:
    folders = {path.parent for path in FILES}
    silent = [
        str(folder.relative_to(ROOT))
        for folder in sorted(folders)
        if not (folder / "__init__.py").is_file()
        or not ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_folder_of_tests_mirrors_a_package_or_crosses_packages() -> None:
    homeless = [
        folder.name
        for folder in sorted({path.parent for path in FILES} - {TESTS})
        if folder.name not in CROSSING
        and not (ROOT / OTHER_FOLDERS.get(folder.name, f"margin_platform/{folder.name}")).is_dir()
    ]
    assert homeless == []
    modules = [path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")]
    assert [name for name in modules if not (ROOT / "margin_platform" / f"{name}.py").is_file()] == []


def test_benchmarks_import_each_other_as_modules_of_one_package() -> None:
    """bench/kernel_before.py alone loads by path: it runs the benchmark of an earlier revision."""
    changed = [
        path.name
        for path in sorted((ROOT / "bench").glob("*.py"))
        if path.name != "kernel_before.py" and _found("path", path.read_text(encoding="utf-8"))
    ]
    assert (ROOT / "bench" / "__init__.py").is_file()
    assert changed == []
