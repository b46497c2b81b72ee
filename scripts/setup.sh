#!/usr/bin/env bash
# Prepares this checkout: a virtual environment from requirements.lock, and the system programs the target needs.
# Usage: setup.sh [program ...]   with programs among: java mvn chromium postgres node
# What is missing is installed with apt-get where that is possible, else named in one line.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3.11 python3.12 python3; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
    "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && { echo "$candidate"; return; }
  done
  fail "needs Python 3.11 or 3.12: install python3.11 and python3.11-venv, or name one with PYTHON=..."
}

have() {
  case "$1" in
    java) [ "$(java -version 2>&1 | sed -nE 's/.* version "([0-9]+).*/\1/p')" -ge 17 ] 2>/dev/null ;;   # Spark 4 runs on no older one
    postgres) compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null ;;
    chromium) command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ;;
    mvn) command -v mvn >/dev/null || jars_cached ;;
    node) command -v node >/dev/null && { page_tools_installed || command -v npm >/dev/null; } ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

jars_cached() {   # Maven only fetches the jars: with all of them there, whole, it is not asked for
  local set cache="${MARGIN_JARS:-${XDG_CACHE_HOME:-${HOME:-}/.cache}/margin-platform/jars}"
  for set in margin_platform/jars/*.sha256; do
    (sums=$PWD/$set; cd "$cache/$(basename "$set" .sha256)" && sha256sum --status -c "$sums") 2>/dev/null || return 1
  done
}

page_tools_installed() {   # compared by content: a copied checkout has other dates
  cmp -s package-lock.json node_modules/.installed
}

debian_packages() {   # the first that the release has
  case "$1" in java) echo openjdk-17-jre-headless openjdk-21-jre-headless ;; mvn) echo maven ;; postgres) echo postgresql ;; chromium) echo chromium ;;
    node) echo npm ;;   # which depends on nodejs
  esac
}

install_program() {
  local packages package; packages=$(debian_packages "$1")
  if command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
    local as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    "${as_root[@]}" apt-get update -qq >/dev/null || true
    for package in $packages; do
      echo "setup: installing $package"
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null && break
    done
  fi
  have "$1" || fail "needs $1: install the package ${packages// / or }"
}

for program in "$@"; do have "$program" || install_program "$program"; done

stamp=.venv/.installed
if [ ! -f "$stamp" ] || [ requirements.lock -nt "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  python=$(find_python)
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then   # none yet, or one that was left half made
    "$python" -m venv --clear .venv || { rm -rf .venv; fail "cannot make .venv: install the venv module of $python (Debian: python3-venv)"; }
  fi
  echo "setup: installing the locked Python packages into .venv"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.7"
  .venv/bin/uv pip install --quiet --python .venv/bin/python -r requirements.lock
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps -e .
  touch "$stamp"
fi

if [[ " $* " == *" node "* ]] && ! page_tools_installed; then
  echo "setup: installing the locked page tools into node_modules"
  npm ci --silent || fail "npm cannot install what package-lock.json names"
  cp package-lock.json node_modules/.installed
fi
