"""Asks the OSV database for known vulnerabilities of every component of an SBOM: packages and jars.

Usage: advisories.py SBOM [ADDRESS]. Exit 1 where one is known, 3 where the database does not answer.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path

_DATABASE = "https://api.osv.dev/v1/querybatch"
_AT_ONCE = 500  # it takes 1,000 questions at most


def components(sbom: Path) -> list[str]:
    """Return the package URLs of an SBOM, each with its version."""
    found = json.loads(sbom.read_text("utf-8"))["components"]
    return sorted({one["purl"].partition("?")[0] for one in found if "purl" in one})


def known(purls: list[str], address: str = _DATABASE) -> dict[str, list[str]]:
    """Return the names of the known vulnerabilities by component. OSError where there is no answer."""
    by_component = {}
    for part in (purls[at : at + _AT_ONCE] for at in range(0, len(purls), _AT_ONCE)):
        questions = {"queries": [{"package": {"purl": purl}} for purl in part]}
        body, headers = json.dumps(questions).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(address, body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            results = json.load(answer)["results"]
        for purl, result in zip(part, results, strict=True):
            if bugs := [bug["id"] for bug in result.get("vulns", [])]:
                by_component[purl] = bugs
    return by_component


def main(sbom: Path, address: str = _DATABASE) -> int:
    """Print what is known."""
    purls = components(sbom)
    try:
        found = known(purls, address)
    except OSError as error:
        sys.stdout.write(f"advisories: none of {len(purls)} components could be looked up: {error}\n")
        return 3
    sys.stdout.write(
        f"advisories: {len(purls)} components looked up, {len(found)} with a known vulnerability\n"
    )
    for purl, bugs in found.items():
        sys.stdout.write(f"{purl}: {', '.join(bugs)}\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
