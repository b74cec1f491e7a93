"""Take the file of Smart Turn v3 out of the wheel that holds it.

python tools/unpack_smart_turn.py FOLDER_WITH_WHEEL TARGET
"""

import hashlib
from pathlib import Path
import sys
from zipfile import ZipFile

NAME = 'smart-turn-v3.2-cpu.onnx'
PLACE = f'pipecat/audio/turn/smart_turn/data/{NAME}'
SHA256 = '2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f'


def main() -> None:
    folder, target = map(Path, sys.argv[1:])
    (wheel,) = folder.glob('pipecat_ai-*.whl')
    with ZipFile(wheel) as content:
        model = content.read(PLACE)
    if hashlib.sha256(model).hexdigest() != SHA256:
        sys.exit(f'{PLACE} of {wheel.name} does not have the sha256 {SHA256}')
    target.mkdir(parents=True, exist_ok=True)
    partial = target / (NAME + '.partial')
    partial.write_bytes(model)
    partial.rename(target / NAME)


if __name__ == '__main__':
    main()
