"""What is asked of the database of vulnerabilities, and what is made of its answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from scripts import advisories

LOG4J, JINJA = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "pkg:pypi/jinja2@3.1.6"


class _Database(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked: Any = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        purls = [query["package"]["purl"] for query in asked["queries"]]
        results = [{"vulns": [{"id": "GHSA-jfh8-c2jp-5v3q"}]} if purl == LOG4J else {} for purl in purls]
        body = json.dumps({"results": results}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def database() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Database) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _sbom(folder: Path, *purls: str) -> Path:
    file = folder / "sbom.json"
    file.write_text(json.dumps({"components": [{"purl": purl} for purl in purls]}), encoding="utf-8")
    return file


def test_packages_and_jars_are_looked_up_and_a_known_vulnerability_fails(
    database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advisories.main(_sbom(tmp_path, JINJA), database) == 0
    assert advisories.main(_sbom(tmp_path, JINJA, f"{LOG4J}?type=jar"), database) == 1
    assert capsys.readouterr().out.splitlines() == [
        "advisories: 1 components looked up, 0 with a known vulnerability",
        "advisories: 2 components looked up, 1 with a known vulnerability",
        f"{LOG4J}: GHSA-jfh8-c2jp-5v3q",
    ]


def test_more_than_one_question_is_asked_in_order(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(advisories, "_AT_ONCE", 1)
    assert advisories.known([JINJA, LOG4J, JINJA], database) == {LOG4J: ["GHSA-jfh8-c2jp-5v3q"]}


def test_a_database_that_does_not_answer_is_no_clean_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advisories.main(_sbom(tmp_path, JINJA), "http://127.0.0.1:1") == 3
    assert "none of 1 components could be looked up" in capsys.readouterr().out
