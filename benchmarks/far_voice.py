"""A voice far away: does a television hold an utterance open, and what does it cost to ignore it?

    python benchmarks/far_voice.py [--speech FOLDER]

14 sentences are spoken beside a book that is read aloud 10 to 20 dB below. The first columns count
the utterances that do not end within 10 s, and those that end before the sentence, by
`utterance.far_voice`. The last ones count, without any television, the utterances that end earlier
than with 0, and by more than the 0.19 s that are kept behind the last word anyway. `--speech` is a
folder of recordings with their texts (the layouts are in benchmarks/corpus.py), heard as well.
"""

import argparse
from pathlib import Path

from corpus import corpus
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from robot import RATE
from sounds import speech
from utterances import short

from distil_whisper_ros.audio.framing import frames_of
from distil_whisper_ros.audio.levels import level
from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.audio_format import Frame, FRAME_DURATION
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.settings import settings_from
from distil_whisper_ros.core.types import Ending
from distil_whisper_ros.speech.request import Request
from distil_whisper_ros.speech.self_speech import SelfSpeechGate
from distil_whisper_ros.speech.speculation import Speculation
from distil_whisper_ros.speech.state import StateMachine
from distil_whisper_ros.speech.utterance_buffer import MARGIN
from distil_whisper_ros.speech.utterance_listener import UtteranceListener
from distil_whisper_ros.speech.voice_activity import VoiceActivity

SENTENCES = 14
BELOW = (10, 12, 15, 20)  # dB
DISTANCES = (0, 8, 10, 12, 14, 16)  # dB
BEFORE, BEHIND = 1.0, 10.0  # s of television alone
EARLY = 0.4  # s
LOUD = 25.0  # dB below the loudest frame, within which a frame counts for the level of speech


def main() -> None:
    parser = argparse.ArgumentParser(description='Utterances beside a television.')
    parser.add_argument('--speech', type=Path, help='a folder of recordings with their texts')
    arguments = parser.parse_args()
    beside = {below: [*with_television(below)] for below in BELOW}
    alone = [samples for samples, _ in short()]
    if arguments.speech:
        alone += [read_recording(str(path)) for path, _ in corpus(arguments.speech)]
    quiet = np.zeros(RATE, np.float32)
    alone = [np.concatenate((quiet, samples, quiet, quiet)) for samples in alone]
    table = Table(
        title=f'{SENTENCES} sentences beside a television, {len(alone)} utterances alone'
    )
    table.add_column('far_voice')
    for below in BELOW:
        table.add_column(f'{below} dB below: no end, early', justify='right')
    table.add_column('alone: earlier', justify='right')
    table.add_column(f'> {MARGIN:.2f} s', justify='right')
    ends = {}
    for distance in track(DISTANCES, 'utterances'):
        row = [f'{distance} dB' if distance else 'off']
        for below in BELOW:
            endless, early = outcome(beside[below], distance)
            row.append(f'{endless}, {early}')
        ends[distance] = [listen(samples, distance)[1] for samples in alone]
        earlier = [before - end for before, end in zip(ends[0], ends[distance])]
        row.append(str(sum(by > 0.5 * FRAME_DURATION for by in earlier)))
        row.append(str(sum(by > MARGIN + 0.5 * FRAME_DURATION for by in earlier)))
        table.add_row(*row)
    Console().print(table)


def with_television(below: float):
    """Yield sentences beside a television that is `below` dB quieter, and where each one ends."""
    book = np.concatenate([s for name, (s, _) in speech().items() if name.startswith('librivox')])
    book = np.concatenate((book, book, book))
    for number, (samples, _) in enumerate(short()[:SENTENCES]):
        first = number * 37_000 % (len(book) // 2)
        length = round((BEFORE + BEHIND) * RATE) + len(samples)
        television = book[first : first + length]
        mixed = television * 10 ** ((loudness(samples) - below - loudness(television)) / 20)
        begin = round(BEFORE * RATE)
        mixed[begin : begin + len(samples)] += samples
        yield mixed.astype(np.float32), BEFORE + len(samples) / RATE


def loudness(samples) -> float:
    """Return the mean level of speech in dBFS, without its pauses."""
    levels = [level(frame) for frame in frames_of(samples)]
    return float(np.mean([each for each in levels if each > max(levels) - LOUD]))


def outcome(clips, distance: float) -> tuple[int, int]:
    """Return how many utterances do not end, and how many end before their sentence."""
    endless = early = 0
    for samples, end in clips:
        ending, found = listen(samples, distance)
        endless += ending is not Ending.SILENCE
        early += found < end - EARLY
    return endless, early


def listen(samples, distance: float) -> tuple[Ending | None, float]:
    """Return how the first utterance ends, and when, in seconds from the first sample."""
    settings = settings_from({'utterance.far_voice': float(distance)})
    request = Request(1, settings)
    scheduler, machine = Scheduler(), StateMachine()

    def speculation(request):
        return Speculation(request, nothing, scheduler, lambda call: None, nothing)

    listener = UtteranceListener(
        request, VoiceActivity(), SelfSpeechGate(), machine, speculation, lambda: False
    )
    ending = None
    for number, frame in enumerate(frames_of(samples)):
        ending = listener.take(Frame(frame, number * FRAME_DURATION))
        if ending is not None:
            break
    utterance, _ = listener.end(ending or Ending.SOURCE_ENDED)
    scheduler.close()
    return ending, utterance.speech_end


def nothing(*_):
    raise AssertionError('nothing is transcribed here')


if __name__ == '__main__':
    main()
