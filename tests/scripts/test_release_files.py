"""What a release is made of: locks that agree, one version, an SBOM, the public workflows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from scripts import sbom

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


def _commands(workflow: str) -> list[str]:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / workflow).read_text("utf-8"))["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def test_a_public_workflow_looks_up_known_vulnerabilities_and_fails_where_it_cannot() -> None:
    assert _commands("audit.yml") == [
        "REQUIRE_AUDIT=yes make dist",
        ".venv/bin/python scripts/advisories.py dist/sbom.cdx.json",
        "npm audit --package-lock-only",
    ]
    dist = (ROOT / "scripts" / "dist.sh").read_text("utf-8")
    assert "pip-audit --disable-pip --no-deps -r requirements.runtime.lock" in dist


def test_the_public_workflow_runs_what_a_landing_must_pass() -> None:
    assert _commands("test.yml") == ["make test"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").strip().endswith("make test")


def _jar(content: str) -> sbom.Component:
    hashes = [{"alg": "MD5", "content": "0"}, {"alg": "SHA-256", "content": content}]
    return {"group": "org.example", "name": "example", "version": "1.0", "hashes": hashes}


def test_the_sbom_describes_the_pinned_jars_and_no_other() -> None:
    (jar,) = sbom.pinned([_jar("aa")], {"example-1.0.jar": "aa"})
    assert jar["hashes"] == [{"alg": "SHA-256", "content": "aa"}]
    with pytest.raises(
        SystemExit, match=re.escape("example-1.0.jar: its checksum is not the pinned one, value bb")
    ):
        sbom.pinned([_jar("bb")], {"example-1.0.jar": "aa"})
    for wanted in ({}, {"example-1.0.jar": "aa", "other-2.jar": "cc"}):
        with pytest.raises(SystemExit, match="not both pinned and known to Maven"):
            sbom.pinned([_jar("aa")], wanted)
