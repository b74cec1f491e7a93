"""Bags of ros2 bag (MCAP): their audio, and the texts that were recorded with it. Needs no ROS.

The packages mcap and mcap-ros2-support are optional. A message is decoded by the definition that
the bag has of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import importlib
from pathlib import Path
import tempfile
from typing import Any
import wave

import numpy as np

from ..audio.limits import check_format, LONGEST_BLOCK, LONGEST_RECORDING
from ..core.audio_format import SAMPLE_RATE
from ..core.errors import FileError, FormatError

AUDIO = 'distil_whisper_msgs/msg/Audio'
TRANSCRIPT = 'distil_whisper_msgs/msg/Transcript'


def is_bag(path: Path) -> bool:
    """Return whether a file is a bag, by its name."""
    return path.suffix.lower() == '.mcap'


def messages(path: Path, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the topic and the message of each message of a type; raise a FileError."""
    try:
        reader: Any = importlib.import_module('mcap.reader')
        decoder: Any = importlib.import_module('mcap_ros2.decoder')
    except ImportError as error:
        raise FileError(
            f'{path} is a bag, which needs two packages: pip install mcap mcap-ros2-support'
        ) from error
    try:
        with path.open('rb') as file:
            bag = reader.make_reader(file, decoder_factories=[decoder.DecoderFactory()])
            summary = bag.get_summary()
            schemas = summary.schemas if summary else {}
            channels = summary.channels.values() if summary else ()
            topics = [c.topic for c in channels if schemas[c.schema_id].name == kind]
            if summary and not topics:
                return
            for schema, channel, _, message in bag.iter_decoded_messages(topics or None):
                if schema.name == kind:
                    yield channel.topic, message
    except OSError as error:
        raise FileError(f'{path} cannot be read: {error.strerror}') from error
    except (FileError, FormatError):
        raise
    except Exception as error:  # a damaged bag: the errors of the two packages have no class
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise FileError(f'{path} is not a bag that can be read ({reason}): use MCAP') from error


def recorded_texts(path: Path) -> list[str]:
    """Return the accepted texts in a bag, in their order."""
    return [message.text for _, message in messages(path, TRANSCRIPT) if message.accepted]


@contextmanager
def bag_as_wav(path: Path) -> Iterator[Path]:
    """Give the audio of a bag as a WAV file, with silence for lost samples; raise a FileError."""
    with tempfile.NamedTemporaryFile(prefix='transcribe-', suffix='.wav') as file:
        write_audio(path, file)
        file.flush()
        yield Path(file.name)


def write_audio(path: Path, file: Any) -> None:
    """Write the first topic of audio in a bag as WAV."""
    with wave.open(file, 'wb') as sound:
        sound.setparams((1, 2, SAMPLE_RATE, 0, 'NONE', ''))  # until the bag tells its own
        copy_audio(path, sound)


def copy_audio(path: Path, sound: wave.Wave_write) -> None:
    """Copy the first topic of audio in a bag."""
    first: tuple[int, int] | None = None
    topic, following, length = '', 0, 0
    for name, message in messages(path, AUDIO):
        if first is not None and name != topic:
            continue
        form = (message.sample_rate, message.channels)
        try:
            check_format(*form, len(message.data))
        except FormatError as error:
            raise FileError(f'{path} cannot be used: {error}') from error
        if first is None:
            topic, first, following = name, form, message.first_sample
            sound.setframerate(form[0])
            sound.setnchannels(form[1])
        if form != first:
            continue
        lost = message.first_sample - following
        if 0 < lost <= LONGEST_BLOCK * form[0]:
            sound.writeframes(bytes(2 * lost * form[1]))
            length += lost
        sound.writeframes(np.asarray(message.data, '<i2').tobytes())
        samples = len(message.data) // form[1]
        following, length = message.first_sample + samples, length + samples
        if length > LONGEST_RECORDING * form[0]:
            raise FileError(f'{path} has more than {LONGEST_RECORDING:g} s of audio')
    if first is None:
        raise FileError(f'{path} has no audio: record the topic of a microphone ({AUDIO})')


def comparison(path: Path, text: str) -> str:
    """Return how a text compares with those recorded in a bag, as a sentence; or ''."""
    recorded = ' '.join(recorded_texts(path))
    if not recorded:
        return 'the bag has no transcripts to compare with'
    if plain(recorded) == plain(text):
        return 'the recorded transcripts have the same words'
    return f'the recorded transcripts differ: "{recorded}"'


def plain(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return ''.join(c for c in text.lower() if c.isalnum() or c.isspace()).split()
