"""Read a folder of recordings with their texts, as `speech_calibrate` does."""

from pathlib import Path
import sys

from distil_whisper_ros.cli.recording_files import SUFFIXES
from distil_whisper_ros.cli.reference_texts import LAYOUTS, reference_texts


def recordings(folder: Path) -> list[Path]:
    """Return the recordings below a folder; exit with a sentence if there are none."""
    if not folder.is_dir():
        sys.exit(f'{folder} is not a folder')
    found = sorted(path for path in folder.rglob('*') if path.suffix.lower() in SUFFIXES)
    if not found:
        sys.exit(f'{folder} has no recordings ({", ".join(sorted(SUFFIXES))})')
    return found


def corpus(folder: Path) -> list[tuple[Path, str]]:
    """Return the recordings below a folder with their texts; exit with a sentence without one."""
    texts = reference_texts(folder)
    found = [(path, texts[path]) for path in recordings(folder) if path in texts]
    if not found:
        sys.exit(f'{folder} has no texts: expected {LAYOUTS}')
    return found
