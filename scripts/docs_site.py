"""The site of `make docs`: the pages as they lie in the repository, and a navigation by reader.

`python scripts/docs_site.py` copies every page and what it links to into build/docs, under the same paths, so
that the links of the pages hold. mkdocs calls `on_config`, which reads the navigation from docs/README.md.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
INDEX = "docs/README.md"
_SOURCES = ROOT / "build" / "docs"
_MERMAID = ROOT / "node_modules/@mermaid-js/tiny/dist/mermaid.tiny.js"  # flowcharts and no more
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_AT_THE_END = "The repository"  # pages that no reader's table names


def pages() -> list[str]:
    """List the committed pages, by their path."""
    listed = subprocess.run(["git", "ls-files", "*.md"], capture_output=True, text=True, check=True, cwd=ROOT)
    return [name for name in listed.stdout.splitlines() if not name.startswith(".github/")]


def links_of(page: str) -> list[str]:
    """Return the paths of the repository's files that a page links to."""
    folder = (ROOT / page).parent
    targets = _LINK.findall((ROOT / page).read_text(encoding="utf-8"))
    files = [(folder / target).resolve() for target in targets if not re.match(r"[a-z]+:", target)]
    return [str(file.relative_to(ROOT)) for file in files if file.is_file()]


def navigation() -> list[dict[str, Any]]:
    """Return the sections of docs/README.md, each with the pages that it is the first to name."""
    known, found = {"README.md", INDEX}, [{"Start": ["README.md", INDEX]}]
    folder = Path(INDEX).parent
    for section in (ROOT / INDEX).read_text(encoding="utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        targets = [str((ROOT / folder / t).resolve().relative_to(ROOT)) for t in _LINK.findall(text)]
        new = [t for t in dict.fromkeys(targets) if t.endswith(".md") and t not in known]
        known |= set(new)
        found.append({title: new})
    return [*found, {_AT_THE_END: [page for page in pages() if page not in known]}]


def lay_out() -> None:
    """Copy pages, what they link to, and the program that draws diagrams."""
    shutil.rmtree(_SOURCES, ignore_errors=True)
    for name in {*pages(), *(link for page in pages() for link in links_of(page))}:
        target = _SOURCES / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    shutil.copy(_MERMAID, _SOURCES)


def on_config(config: Any) -> Any:
    """Set the navigation; mkdocs calls this."""
    config["nav"] = navigation()
    return config


if __name__ == "__main__":
    lay_out()
