"""The texts that belong to a folder of recordings, in the layouts that people have.

- `transcripts.tsv`: a line for each recording, its path and its text with a tab between.
- LibriSpeech: `*.trans.txt`, whose lines are the name of a recording and its text.
- A text file beside each recording: `stop.wav` and `stop.txt`.
"""

from collections.abc import Iterator
from pathlib import Path

from .recording_files import SUFFIXES

LAYOUTS = (
    "transcripts.tsv, LibriSpeech's *.trans.txt, or a text file beside each recording (stop.wav "
    'and stop.txt)'
)


def reference_texts(folder: Path) -> dict[Path, str]:
    """Return the text of each recording below a folder, by its path; "..." is no text."""
    return {path: text for path, text in _texts(folder) if any(map(str.isalnum, text))}


def _texts(folder: Path) -> Iterator[tuple[Path, str]]:
    for listing in folder.rglob('transcripts.tsv'):
        for line in _read(listing).splitlines():
            name, _, text = line.partition('\t')
            yield listing.parent / name, text.strip()
    for listing in folder.rglob('*.trans.txt'):
        for line in _read(listing).splitlines():
            name, _, text = line.partition(' ')
            for suffix in SUFFIXES:
                yield listing.parent / (name + suffix), text.strip()
    for path in folder.rglob('*.txt'):
        if not path.name.endswith('.trans.txt'):
            for suffix in SUFFIXES:
                yield path.with_suffix(suffix), _read(path).strip()


def _read(path: Path) -> str:
    return path.read_text(encoding='utf-8', errors='replace')
