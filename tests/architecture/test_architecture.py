"""The layout keeps its promises: who imports what, who reads the environment, what the README's commands
are.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("margin_platform", "assets", "jobs", "sensors", "resources", "spark")
SOURCES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
KERNEL = (
    "money",
    "policy.policy",
    "kernel.book",
    "kernel.instrument_rules",
    "kernel.sweep.account_sweep",
    "kernel.evaluate",
    "contracts.messages",
    "market.instruments",
    "ledger.ledger",
    "volatility.estimator",
    "kernel.valuation_points",
    "firm.risk",
    "snapshots.bands",
    "ladder.ladder",
    "liquidation.workbench",
    "snapshots.events",
)
FRAMEWORKS = ("dagster", "pyspark", "kafka", "starlette", "sqlalchemy", "boto3", "pandas")


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_the_kernel_imports_no_framework() -> None:
    """The margin function must run anywhere:
    a heavy or stateful import would follow it into every process.
    """
    modules = ", ".join(f"margin_platform.{m}" for m in KERNEL)
    code = f"import sys, {modules}; print(*[m for m in {FRAMEWORKS!r} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert loaded.stdout.split() == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_package_resolves_under_the_repository(folder: str) -> None:
    spec = importlib.util.find_spec(folder)
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).is_relative_to(ROOT)


def test_no_installed_distribution_owns_our_top_level_names() -> None:
    owners = importlib.metadata.packages_distributions()
    for folder in FOLDERS:
        assert set(owners.get(folder, ["margin-platform"])) == {"margin-platform"}


def test_top_level_packages_are_imported_by_module_only() -> None:
    """`import spark` would be hidden by the usual variable of that name: only `from spark.x import y`."""
    bare = [
        f"{path.relative_to(ROOT)}: import {name.name}"
        for path in SOURCES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Import)
        for name in node.names
        if name.name in FOLDERS[1:]
    ]
    assert bare == []


def test_no_test_folder_bears_a_package_name() -> None:
    assert not {p.name for p in (ROOT / "tests").iterdir() if p.is_dir()} & set(FOLDERS)


def test_only_settings_reads_the_environment() -> None:
    """One place to look for what a deployment can set.

    Handing the whole environment on to a child process is allowed.
    """
    readers = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.name != "settings.py"
        and re.search(r"os\.(getenv|environ\[|environ\.get)", path.read_text(encoding="utf-8"))
    ]
    assert readers == []


def test_no_module_is_named_for_nothing() -> None:
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "lib", "base"}
    assert [str(p.relative_to(ROOT)) for p in SOURCES if p.stem in vague or p.parent.name in vague] == []


def test_files_hold_one_idea() -> None:
    """A ceiling, not an average: taste is decided at the tail."""
    long = {
        str(p.relative_to(ROOT)): n
        for p in SOURCES
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > 300
    }
    assert long == {}


def test_no_function_is_longer_than_a_screen() -> None:
    """The ceiling of CONTRIBUTING, "A function is short": signature, docstring and body together."""
    sources = [*SOURCES, *(ROOT / "bench").rglob("*.py")]
    long = [
        f"{path.relative_to(ROOT)}: {node.name} has {length} lines"
        for path in sources
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    ]
    assert long == []


def test_definitions_are_a_list() -> None:
    path = ROOT / "margin_platform" / "definitions.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 90
    assert not [n for n in ast.walk(_tree(path)) if isinstance(n, ast.FunctionDef | ast.Try)]


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert named
    assert named <= targets


def test_every_command_answers_help() -> None:
    from typer.testing import CliRunner

    from margin_platform.cli import COMMANDS, app

    for command in COMMANDS:
        result = CliRunner().invoke(app, [command, "--help"])
        assert result.exit_code == 0, f"margin {command} --help: {result.output}"
        assert "--json" in result.output, f"margin {command} has no --json"


def test_no_path_or_registry_of_a_machine_is_committed() -> None:
    files = subprocess.run(
        ["git", "ls-files"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout.split("\n")
    pattern = re.compile(r"/(?:work|farm)/|/root/|https?://[^ \"]*/(?:maven2|simple)(?:/|\"|$)")
    offenders = []
    for name in filter(None, files):
        path = ROOT / name
        if path == Path(__file__) or not path.is_file() or path.suffix in {".png", ".js", ".lock"}:
            continue
        if pattern.search(path.read_text(encoding="utf-8", errors="ignore")):
            offenders.append(name)
    assert offenders == []
