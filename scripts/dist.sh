#!/usr/bin/env bash
# Builds into dist/: the wheel, its SBOM (CycloneDX), the licenses of what it needs, and their known vulnerabilities.
# Exit 1 where one is known, or where a locked version was withdrawn from the index. A package that the index does not
# answer for is counted; REQUIRE_AUDIT=yes: exit 1 for it. The tools come from the package index and Maven for this run.
set -euo pipefail
cd "$(dirname "$0")/.."

python=$PWD/.venv/bin/python uv=$PWD/.venv/bin/uv
tool() { "$uv" tool run --quiet --python "$python" "$@"; }
rm -rf dist
"$uv" build --quiet --wheel --python "$python" -o dist
rm -f dist/.gitignore

# The environment of a user: the wheel and the locked packages, without the tools of a contributor.
environment=$(mktemp -d)
trap 'rm -rf "$environment"' EXIT
"$uv" venv --quiet --python "$python" "$environment"
"$uv" pip install --python "$environment/bin/python" --require-hashes -r requirements.runtime.lock 2>"$environment/log" \
  || { cat "$environment/log" >&2; exit 1; }
"$uv" pip install --quiet --python "$environment/bin/python" --no-deps dist/*.whl

tool --from cyclonedx-bom==7.5.0 cyclonedx-py environment "$environment/bin/python" --pyproject pyproject.toml \
  --output-reproducible --of JSON -o dist/sbom.cdx.json
tool --from pip-licenses==5.5.5 pip-licenses --python "$environment/bin/python" --from=mixed --order=license \
  --format=markdown --output-file dist/licenses.md >/dev/null
"$python" scripts/sbom.py dist/sbom.cdx.json dist/licenses.md
tool --from cyclonedx-bom==7.5.0 python - dist/sbom.cdx.json <<'PYTHON'
import sys
from pathlib import Path
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(Path(sys.argv[1]).read_text()))
PYTHON
"$environment/bin/margin" --help >/dev/null
ls -l dist
tool --from pip-audit==2.10.1 pip-audit --disable-pip --no-deps -r requirements.runtime.lock --progress-spinner off \
  --desc off -f json -o dist/vulnerabilities.json 2>dist/pip-audit.log || true
"$python" - dist/vulnerabilities.json "${REQUIRE_AUDIT:-no}" <<'PYTHON'
import json, sys
from pathlib import Path
file = Path(sys.argv[1])
if not file.exists():
    sys.exit("dist: pip-audit did not run: see dist/pip-audit.log")
found = json.loads(file.read_text())["dependencies"]
asked = [one for one in found if "skip_reason" not in one]
known = [f"{one['name']} {one['version']}: {bug['id']}" for one in asked for bug in one["vulns"]]
print(f"vulnerabilities: {len(known)} known; {len(asked)} of {len(found)} packages could be looked up", *known, sep="\n")
required = sys.argv[2] == "yes" and len(asked) < len(found)
sys.exit(bool(known) or required)
PYTHON
withdrawn=$(grep 'is yanked' "$environment/log" || true)   # by its authors, often for a weakness
echo "withdrawn from the index: $(grep -c . <<<"$withdrawn" || true) of the locked versions"
[ -z "$withdrawn" ] || { echo "$withdrawn"; exit 1; }
