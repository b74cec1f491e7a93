#!/usr/bin/env bash
# Write the API pages to docs/api/html with Sphinx, which is in a folder of its own; a warning is an
# error.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.docs
if ! cmp -s requirements/docs.txt $folder/done; then
  rm -rf $folder
  echo "[api] $(grep ^sphinx== requirements/docs.txt)"
  tools/with_ros python -m pip --disable-pip-version-check install --quiet --no-deps \
    --target $folder --requirement requirements/docs.txt
  cp requirements/docs.txt $folder/done
fi
rm -rf $folder/source docs/api/html
mkdir -p $folder/source
cp docs/api/conf.py $folder/source/
tools/with_ros bash -c 'PYTHONPATH=$PWD/'$folder':$PYTHONPATH
export PYTHONPATH
python -m sphinx.ext.apidoc -q --separate --module-first --maxdepth 2 --tocfile index \
  --output-dir '$folder'/source distil_whisper_ros
exec python -m sphinx --quiet --fail-on-warning --keep-going '$folder'/source docs/api/html'
echo '[api] docs/api/html/index.html'
