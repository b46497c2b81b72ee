"""The site of `make docs`: every page by reader, no broken link, nothing fetched from elsewhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "docs_site.py"


def test_the_site_lists_every_page_once_by_reader() -> None:
    code = "import json, scripts.docs_site as s; print(json.dumps([s.navigation(), s.pages()]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    navigation, pages = json.loads(ran.stdout)
    listed = [page for section in navigation for of_section in section.values() for page in of_section]
    assert sorted(listed) == sorted(pages)
    titles = [title for section in navigation for title in section]
    assert titles[:4] == ["Start", "For a margin clerk", "For a data engineer", "For a contributor"]


def test_the_site_is_built_strictly_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    """As `make docs` builds it: a link to a page, a heading or a file that is not there ends it with 1."""
    subprocess.run([sys.executable, str(SCRIPT)], check=True, cwd=ROOT)
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    ran = subprocess.run(build, capture_output=True, text=True, cwd=ROOT)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 40
    assert (tmp_path / "mermaid.tiny.js").is_file()  # diagrams
    for page in pages:
        text = page.read_text(encoding="utf-8")
        scripts = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]*)"|<link[^>]* href="([^"]*)"', text)
        elsewhere = [
            address for found in scripts for address in found if re.match(r"(?:https?:)?//", address)
        ]
        assert elsewhere == [], page.relative_to(tmp_path)
