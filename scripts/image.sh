#!/usr/bin/env bash
# Builds the image margin-platform:VERSION, and says how large it is. Usage: image.sh [NAME]
# BASE=IMAGE takes that image of Debian 12; without it one is made here from Debian's packages, with no registry.
# Two builds of one commit on one base give the same layers: dates are the commit's.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "image: $*" >&2; exit 1; }
install() {
  [ "$(id -u)" = 0 ] || fail "needs $*: apt-get install $*"
  echo "image: installing $*"
  apt-get update -qq >/dev/null || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
need() { command -v "$1" >/dev/null || install "${2:-$1}"; }

need buildah
version=$(.venv/bin/python -c 'import margin_platform; print(margin_platform.__version__)')
name=${1:-margin-platform:$version}
context=build/image
rm -rf "$context"
mkdir -p "$context/wheels"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}   # else 1980, a zip's first
export SOURCE_DATE_EPOCH
build=(buildah build --isolation=chroot --format docker --ulimit nofile=1024:1024 --timestamp "$SOURCE_DATE_EPOCH")

echo "image: fetching the wheels of requirements.runtime.lock, each by its hash"
.venv/bin/python -m pip --version >/dev/null 2>&1 || fail "make setup first"
.venv/bin/python -m pip wheel --quiet --no-deps --require-hashes -r requirements.runtime.lock -w "$context/wheels"
.venv/bin/python -m pip wheel --quiet --no-deps . -w "$context/wheels"
.venv/bin/python - "$context/jars" <<'PYTHON'
import shutil, sys
from pathlib import Path
from margin_platform.jars.resolve import ON_DEMAND, SETS, classpath
for name in (*SETS, *ON_DEMAND):
    (target := Path(sys.argv[1], name)).mkdir(parents=True)
    for jar in classpath(name):
        shutil.copy(jar, target)
PYTHON
cp deploy/image/margin-role "$context/"

if [ -z "${BASE:-}" ]; then
  BASE=localhost/margin-base:bookworm
  if ! buildah inspect --type image "$BASE" >/dev/null 2>&1; then
    need mmdebstrap
    echo "image: making a base from Debian's packages"
    packages=ca-certificates,openjdk-17-jre-headless,python3,python3-venv,tini
    sources=/etc/apt/sources.list.d/debian.sources   # where this machine itself takes Debian's packages from
    [ -r "$sources" ] || sources=/etc/apt/sources.list
    mmdebstrap --quiet --variant=minbase --include="$packages" bookworm build/base.tar "$sources"
    printf 'FROM scratch\nADD base.tar /\n' >build/Containerfile.base
    "${build[@]}" --quiet -t "$BASE" -f build/Containerfile.base build >/dev/null
    rm -f build/base.tar build/Containerfile.base
  fi
fi

echo "image: building $name on $BASE"
"${build[@]}" --quiet --build-arg "BASE=$BASE" --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" -t "$name" -f deploy/image/Containerfile "$context" >/dev/null
rm -rf "$context"
buildah images --format '{{.Name}}:{{.Tag}} {{.Size}} {{.ID}}' "$name"

# Debian's own word on known vulnerabilities: a mended package is in its security archive.
container=$(buildah from --quiet "$name")
trap 'buildah rm "$container" >/dev/null' EXIT
pending=$(buildah run --isolation=chroot --user root "$container" -- sh -c 'apt-get update -qq && apt-get -s -qq dist-upgrade') \
  || fail "Debian's archive does not answer: whether packages wait for an update is not known"
echo "image: packages of Debian that wait for an update: $(grep -c '^Inst' <<<"$pending" || true)"
grep '^Inst' <<<"$pending" || true
