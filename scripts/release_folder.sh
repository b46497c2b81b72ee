#!/usr/bin/env bash
# Packs a small data folder as a release left it, for tests/upgrade. Usage: release_folder.sh TAG
# The release's own code replays days of the demo in an environment of its own lock, and stops. It takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:?release_folder.sh TAG}
target=$PWD/tests/upgrade/$tag.tar.xz uv=$PWD/.venv/bin/uv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/code"
git archive "$tag" | tar -x -C "$work/code"
"$uv" venv --quiet --python .venv/bin/python "$work/environment"
"$uv" pip install --quiet --python "$work/environment/bin/python" -r "$work/code/requirements.lock"
"$uv" pip install --quiet --python "$work/environment/bin/python" --no-deps -e "$work/code"
cd "$work/code"
"$work/environment/bin/margin" demo --headless --for 100 --accounts 30 --data "$work/data"

# What an upgrade reads: topics, decisions, states, tables, the policies. Kafka makes its indexes again; logs and
# Dagster's history, which Dagster migrates itself, are left out.
cd "$work/data"
rm -rf dagster logs stack.json stack.lock store.db.publishing ./*.yaml kafka/*.properties
find kafka -name '*.index' -delete -o -name '*.timeindex' -delete
mkdir -p policies
find "$work/code/margin_platform" -path '*polic*' -name '*.yaml' -exec cp {} policies/ \;
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -c -- * | xz -9e >"$target"
ls -l "$target"
