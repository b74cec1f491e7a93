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
