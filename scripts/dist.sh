#!/usr/bin/env bash
# Builds into dist/: the wheel, its SBOM (CycloneDX), the licenses of what it needs, and their known vulnerabilities.
# Exit 1 where one is known. A package that the index does not answer for is counted. The tools come from the package index for this run.
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
"$uv" pip install --quiet --python "$environment/bin/python" --require-hashes -r requirements.runtime.lock
"$uv" pip install --quiet --python "$environment/bin/python" --no-deps dist/*.whl

tool --from cyclonedx-bom==7.5.0 cyclonedx-py environment "$environment/bin/python" --pyproject pyproject.toml \
  --output-reproducible --of JSON -o dist/sbom.cdx.json
"$python" - dist/sbom.cdx.json <<'PYTHON'
import json, sys
from pathlib import Path
from margin_platform import __version__
file = Path(sys.argv[1])
bom = json.loads(file.read_text())
bom["metadata"]["component"]["version"] = __version__   # the tool does not read a dynamic version
file.write_text(json.dumps(bom, indent=2) + "\n")
PYTHON
tool --from pip-licenses==5.5.5 pip-licenses --python "$environment/bin/python" --from=mixed --order=license \
  --format=markdown --output-file dist/licenses.md >/dev/null
"$environment/bin/margin" --help >/dev/null
ls -l dist
tool --from pip-audit==2.10.1 pip-audit --disable-pip --no-deps -r requirements.runtime.lock --progress-spinner off \
  --desc off -f json -o dist/vulnerabilities.json 2>dist/pip-audit.log || true
"$python" - dist/vulnerabilities.json <<'PYTHON'
import json, sys
from pathlib import Path
file = Path(sys.argv[1])
if not file.exists():
    sys.exit("dist: pip-audit did not run: see dist/pip-audit.log")
found = json.loads(file.read_text())["dependencies"]
asked = [one for one in found if "skip_reason" not in one]
known = [f"{one['name']} {one['version']}: {bug['id']}" for one in asked for bug in one["vulns"]]
print(f"vulnerabilities: {len(known)} known; {len(asked)} of {len(found)} packages could be looked up", *known, sep="\n")
sys.exit(bool(known))
PYTHON
