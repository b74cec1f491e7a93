"""Read a folder of recordings with their texts, in the layouts that people have.

- `transcripts.tsv`: a line for each recording, its path and its text with a tab between.
- LibriSpeech: `*.trans.txt`, whose lines are the name of a recording and its text.
- A text file beside each recording: `stop.wav` and `stop.txt`.
"""

from collections.abc import Iterator
from pathlib import Path
import sys

AUDIO = {'.wav', '.flac', '.ogg', '.opus', '.mp3', '.aiff'}


def recordings(folder: Path) -> list[Path]:
    """Return the recordings below a folder; exit with a sentence if there are none."""
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in AUDIO)
    if not found:
        sys.exit(f'{folder} has no recordings ({", ".join(sorted(AUDIO))})')
    return found


def corpus(folder: Path) -> list[tuple[Path, str]]:
    """Return the recordings below a folder with their texts; exit with a sentence without one."""
    texts = dict(_texts(folder))
    found = [(path, texts[path]) for path in recordings(folder) if path in texts]
    if not found:
        sys.exit(
            f"{folder} has no texts: expected transcripts.tsv, LibriSpeech's *.trans.txt, or a "
            'text file beside each recording (stop.wav and stop.txt)'
        )
    return found


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for listing in folder.rglob('transcripts.tsv'):
        for line in listing.read_text(encoding='utf-8').splitlines():
            name, _, text = line.partition('\t')
            yield listing.parent / name, text.strip()
    for listing in folder.rglob('*.trans.txt'):
        for line in listing.read_text(encoding='utf-8').splitlines():
            name, _, text = line.partition(' ')
            for suffix in AUDIO:
                yield listing.parent / (name + suffix), text.strip()
    for path in folder.rglob('*.txt'):
        if not path.name.endswith('.trans.txt'):
            for suffix in AUDIO:
                yield path.with_suffix(suffix), path.read_text(encoding='utf-8').strip()
