"""What a release is made of: locks that agree, one version, a workflow that runs `make test`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[\w,]+\])?==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", re.M)


def _pins(name: str) -> dict[str, tuple[str, str]]:
    """Versions and hashes by package."""
    return {p: (version, h) for p, version, h in PIN.findall((ROOT / name).read_text(encoding="utf-8"))}


def test_the_runtime_lock_is_the_part_of_the_lock_without_tools() -> None:
    whole, runtime = _pins("requirements.lock"), _pins("requirements.runtime.lock")
    assert len(runtime) > 100
    assert {name: whole.get(name) for name in runtime} == runtime
    assert not runtime.keys() & {"pytest", "mypy", "ruff", "mkdocs", "playwright", "hypothesis"}
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    names = {re.split(r"[\[<>=!~ ]", one, maxsplit=1)[0].lower() for one in declared}
    assert names <= runtime.keys()


def test_the_version_stands_in_one_place() -> None:
    text = (ROOT / "margin_platform" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'^__version__ = "(\d+\.\d+\.\d+)"$', text, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "margin_platform/__init__.py"
    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert newest is not None
    assert newest[1].startswith((version, f"Unreleased: {version}"))


def test_the_public_workflow_runs_what_a_landing_must_pass() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").strip().endswith("make test")
