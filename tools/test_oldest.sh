#!/usr/bin/env bash
# Run the tests of the model with the oldest transformers that is supported, in a folder of its own
# that comes before the environment: test_oldest.sh [PYTEST_ARGUMENT...]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.oldest
if ! cmp -s requirements/oldest.txt $folder/done; then
  rm -rf $folder
  echo "[test-oldest] $(grep ^transformers requirements/oldest.txt)"
  tools/with_ros python -m pip --disable-pip-version-check install --quiet --no-deps \
    --target $folder --requirement requirements/oldest.txt
  cp requirements/oldest.txt $folder/done
fi
[ $# -gt 0 ] || set -- tests/whisper tests/speech/test_batch_transcription.py
exec tools/with_ros bash -c 'PYTHONPATH=$PWD/'$folder':$PYTHONPATH exec python -m pytest "$@"' _ "$@"
