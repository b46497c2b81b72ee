"""Adds to dist/sbom.cdx.json the jars that a program loads, and to dist/licenses.md their licenses.

Maven's CycloneDX plugin says what each jar is and under which license. Each must be a jar of the checksum
lists, so that the document describes the files that are used and no other.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from margin_platform import __version__
from margin_platform.jars.resolve import ON_DEMAND, SETS, checksums

ROOT = Path(__file__).parents[1]
_PLUGIN = "org.cyclonedx:cyclonedx-maven-plugin:2.9.1:makeBom"
Component = dict[str, Any]


def described(name: str, folder: Path) -> list[Component]:
    """Return what Maven knows of each jar of a set."""
    if shutil.which("mvn") is None:
        raise SystemExit("sbom: needs Maven: apt-get install maven")
    command = ["mvn", "--batch-mode", "--quiet", "--file", str(ROOT / f"margin_platform/jars/{name}.pom.xml")]
    output = ["-DoutputFormat=json", f"-DoutputDirectory={folder}", f"-DoutputName={name}"]
    ran = subprocess.run([*command, _PLUGIN, *output], capture_output=True, text=True, cwd=folder)
    if ran.returncode:
        raise SystemExit(f"sbom: Maven could not describe the {name} jars: {ran.stdout}")
    components: list[Component] = json.loads((folder / f"{name}.json").read_text("utf-8"))["components"]
    return pinned(components, checksums(name))


def pinned(components: list[Component], wanted: dict[str, str]) -> list[Component]:
    """Return the components, each with its pinned checksum alone. They must be the wanted jars."""
    found = {f"{one['name']}-{one['version']}.jar": one for one in components}
    if found.keys() != wanted.keys():
        raise SystemExit(f"sbom: not both pinned and known to Maven: {sorted(found.keys() ^ wanted.keys())}")
    for jar, one in found.items():
        content = {each["alg"]: each["content"] for each in one["hashes"]}["SHA-256"]
        if content != wanted[jar]:
            raise SystemExit(f"sbom: {jar}: its checksum is not the pinned one, value {content}")
        one["hashes"] = [{"alg": "SHA-256", "content": content}]
    return [found[jar] for jar in sorted(found)]


def license_of(component: Component) -> str:
    """Return the names of a component's licenses."""
    given = [one.get("license", {}) for one in component.get("licenses", [])]
    names = [one.get("id") or one.get("name", "UNKNOWN") for one in given]
    return "; ".join(names) or "UNKNOWN"


def main(sbom: Path, licenses: Path) -> None:
    """Add the jars of every set to both documents."""
    with tempfile.TemporaryDirectory() as folder:
        each = [jar for name in (*SETS, *ON_DEMAND) for jar in described(name, Path(folder))]
    jars = list({jar["bom-ref"]: jar for jar in each}.values())
    document = json.loads(sbom.read_text("utf-8"))
    document["metadata"]["component"]["version"] = __version__  # the tool does not read a dynamic version
    document["components"] += jars
    sbom.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    rows = sorted((f"{jar['group']}:{jar['name']}", jar["version"], license_of(jar)) for jar in jars)
    lines = [f"| {' | '.join(row)} |\n" for row in (("Jar", "Version", "License"), ("---",) * 3, *rows)]
    with licenses.open("a", encoding="utf-8") as file:
        file.writelines(["\n", *lines])
    unknown = [name for name, _, license_name in rows if license_name == "UNKNOWN"]
    without = f"without a license that Maven knows: {', '.join(unknown) or 'none'}"
    sys.stdout.write(f"jars: {len(jars)} in the SBOM; {without}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
