#!/usr/bin/env bash
# Write the lock files again from requirements/*.in, for Python 3.10 and newer on any machine.
# torch and its CUDA parts are left out: tools/setup.sh and the Dockerfile choose the right build.
set -euo pipefail
cd "$(dirname "$0")/../requirements"
command -v uv >/dev/null || { echo 'lock.sh needs uv: pip install uv' >&2; exit 1; }

lock() {
  local name=$1
  shift
  uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate \
    --constraint torch.txt "$@" | grep -vE '^(torch|triton|nvidia-|cuda-)' >"$name.lock"
  echo "$name.lock: $(wc -l <"$name.lock") packages"
}
lock test runtime.in ros.in demo.in test.in
lock run --constraint test.lock runtime.in ros.in demo.in
lock runtime --constraint test.lock runtime.in

# The hashes of all files of each version, so of every machine's; one package a line. test.lock
# has all packages of the others.
uv pip compile --quiet --universal --python-version 3.10 --no-header --no-annotate --no-deps \
  --generate-hashes test.lock | sed -e ':a' -e '/\\$/N; s/ *\\\n */ /; ta' |
  awk '{ line = $1; for (i = 2; i <= NF; i++) if ($i ~ /^--hash=/) line = line " " $i; print line }' \
    >hashes.txt
echo "hashes.txt: $(wc -l <hashes.txt) packages"
