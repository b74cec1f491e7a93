"""Measure your own recordings of people: words, cuts, refusals, and latency, by noise.

    python benchmarks/own_recordings.py FOLDER [--model MODEL] [--ratios clean 20 10 5]
                                        [--real-time 12]

FOLDER has recordings with their texts; cli/reference_texts.py has the layouts (transcripts.tsv,
LibriSpeech, or a text file beside each recording). Part 1: each goes through the whole path (voice
activity, endpoint, model, filter) as it is and in noise, one utterance after the other until its
end, as fast as the machine can. Part 2: some of up to 10 s are played into the virtual microphone,
in real time, to the node in its own process. Parameters of the node can be set, to compare them:
`--set utterance.end_silence=1.0`.

It prints a table for each part, and draws benchmarks/results/own_recordings.png.
"""

import argparse
from dataclasses import dataclass, field
import math
from pathlib import Path
import statistics
import sys

from corpus import corpus, recordings
from hallucination_filter import Clip, Notes, SILENCE
import jiwer
from latency import in_real_time, percentile
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from robot import MODEL, RATE
from sounds import with_noise
from word_errors import mistakes, plain
import yaml

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.errors import SettingError, SpeechError
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.settings import Settings, settings_from
from distil_whisper_ros.core.types import Transcript
from distil_whisper_ros.speech.recognizer import Recognizer
from distil_whisper_ros.speech.state import StateMachine
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.transcriber import Transcriber

RESULTS = Path(__file__).resolve().parent / 'results'
LONGEST = 10.0  # s of the recordings that are played in real time
WAIT = 3600.0  # s of audio until speech must begin: longer than any pause


class Continued(Clip):
    """A clip of which each request hears what the one before has left."""

    def __init__(self, samples: np.ndarray) -> None:
        super().__init__(samples)
        super().begin()

    def begin(self) -> None:
        pass

    @property
    def ended(self) -> bool:
        return not self._left


@dataclass
class Row:
    """What was heard with one ratio of signal to noise."""

    references: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    """What was published of each recording."""
    utterances: list[int] = field(default_factory=list)
    """How many each recording was heard as."""
    refused: int = 0
    times: list[float] = field(default_factory=list)
    """To transcribe each utterance, in seconds."""

    def add(self, reference: str, heard: list[Transcript]) -> None:
        """Count what was heard of one recording."""
        published = [each for each in heard if each.accepted]
        self.references.append(reference)
        self.texts.append(' '.join(each.text for each in published))
        self.utterances.append(len(published))
        self.refused += sum(
            not each.accepted and each.hypothesis is not None and bool(each.hypothesis.text)
            for each in heard
        )
        self.times += [
            each.hypothesis.processing_time for each in heard if each.hypothesis is not None
        ]

    @property
    def error_rate(self) -> float:
        wrong, words = mistakes(self.references, self.texts, digits=True)
        return float(wrong.sum() / max(1, words.sum()))

    def cuts(self) -> tuple[int, int]:
        """Return how many recordings have lost their first word, and their last one."""
        starts = ends = 0
        for reference, text in zip(self.references, self.texts):
            compared = jiwer.process_words(plain(reference, True), plain(text, True))
            chunks = [chunk for chunk in compared.alignments[0] if chunk.type != 'insert']
            starts += bool(chunks) and chunks[0].type == 'delete'
            ends += bool(chunks) and chunks[-1].type == 'delete'
        return starts, ends


def hear(samples: np.ndarray, settings: Settings, transcriber, voice_activity) -> list[Transcript]:
    """Return the transcripts of all that is said in a recording."""
    source, scheduler, notes = Continued(samples), Scheduler(), Notes()
    recognizer = Recognizer(
        source, voice_activity, transcriber, notes, scheduler, StateMachine()
    )  # fmt: skip
    recognizer.start()
    while not source.ended:
        recognizer.record(settings).result()
    recognizer.close()
    scheduler.close()
    return notes.transcripts


def show(rows: dict[str, Row], console: Console) -> None:
    titles = (
        'WER',
        'start cut',
        'end cut',
        'nothing heard',
        'in parts',
        'texts refused',
        'median s',
    )
    table = Table('signal to noise', *titles)
    for name, row in rows.items():
        starts, ends = row.cuts()
        table.add_row(
            name,
            f'{row.error_rate:.3f}',
            str(starts),
            str(ends),
            str(row.utterances.count(0)),
            str(sum(count > 1 for count in row.utterances)),
            str(row.refused),
            f'{statistics.median(row.times or [0.0]):.3f}',
        )
    console.print(table)


def draw(rows: dict[str, Row], latencies: list[float], path: Path) -> None:
    """Draw error rates by noise, and the share of texts by their latency."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout='constrained')
    count = max(1, len(next(iter(rows.values())).references))
    places = np.arange(len(rows))
    cuts = [row.cuts() for row in rows.values()]
    figures = {
        'word error rate': [row.error_rate for row in rows.values()],
        'start cut': [start / count for start, _ in cuts],
        'end cut': [end / count for _, end in cuts],
    }
    for index, (name, values) in enumerate(figures.items()):
        left.bar(places + 0.27 * (index - 1), values, 0.25, label=name)
    left.set_xticks(places, [*rows])
    left.set(xlabel='signal to noise', ylabel='share of the words, or of the recordings')
    left.legend()
    times = sorted(latencies)
    if times:
        right.step(times, (np.arange(len(times)) + 1) / len(times), where='post')
    right.set(xlabel='s from the end of speech to the text', ylabel='share of the utterances')
    right.set(xlim=(0, None), ylim=(0, 1.02))
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def ratio(text: str) -> float | None:
    """Return a ratio in dB, or None for 'clean'; raise a ValueError, for argparse."""
    if text == 'clean':
        return None
    decibels = float(text)
    if not math.isfinite(decibels):
        raise ValueError
    return decibels


def readable(folder: Path) -> list[tuple[np.ndarray, str]]:
    """Return a folder's recordings and texts; name those that cannot be read, exit without any."""
    clips, texts = [], corpus(folder)
    with_text = {path for path, _ in texts}
    silent = [path for path in recordings(folder) if path not in with_text]
    if silent:
        total = len(silent) + len(texts)
        print(
            f'left out: {len(silent)} of {total} recordings have no text, as {silent[0]}',
            file=sys.stderr,
        )
    for path, text in texts:
        try:
            clips.append((read_recording(str(path)), text))
        except SpeechError as error:
            print(f'left out: {error}', file=sys.stderr)
    if not clips:
        sys.exit(f'of {folder} no recording can be read')
    return clips


# The benchmark plays the recordings into its own microphone, and makes the requests.
ITS_OWN = ('audio.', 'microphone.device', 'mute.', 'autostart', 'hands_free.', 'use_sim_time')


def given_settings(pairs: list[str], model: str) -> Settings:
    """Return the settings of NAME=VALUE; exit with a sentence for a wrong one."""
    values = {'model.id': model, 'utterance.wait_for_speech': WAIT}
    try:
        for pair in pairs:
            name, found, value = pair.partition('=')
            if not found:
                raise SettingError(f'--set {pair!r} must be NAME=VALUE')
            if name.startswith(ITS_OWN):
                raise SettingError(f'--set {pair}: {name} is set by the benchmark itself')
            values[name] = yaml.safe_load(value)
        return settings_from(values)
    except SettingError as error:
        sys.exit(str(error))


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='Measure your own recordings.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument(
        '--ratios',
        type=ratio,
        nargs='+',
        default=[None, 20.0, 10.0, 5.0],
        help='signal to noise in dB, or clean',
    )
    parser.add_argument('--real-time', type=int, default=12, help='recordings for the latency')
    parser.add_argument('--set', action='append', default=[], metavar='NAME=VALUE')
    options = parser.parse_args()
    settings = given_settings(options.set, options.model)
    clips = readable(options.folder)
    console = Console()
    try:
        transcriber, voice_activity = Transcriber(settings.model), VoiceActivity()
    except SpeechError as error:
        sys.exit(str(error))
    names = ['clean' if each is None else f'{each:g} dB' for each in options.ratios]
    rows = {name: Row() for name in names}
    jobs = [
        (name, each, number)
        for name, each in zip(names, options.ratios)
        for number in range(len(clips))
    ]
    for name, decibels, number in track(jobs, 'recordings', console=console):
        samples, reference = clips[number]
        heard = np.concatenate([SILENCE, samples, SILENCE])
        if decibels is not None:
            heard = with_noise(heard, decibels, number)
        rows[name].add(reference, hear(heard, settings, transcriber, voice_activity))
    minutes = sum(len(samples) for samples, _ in clips) / RATE / 60
    noun = 'recording' if len(clips) == 1 else 'recordings'
    print(f'{options.folder}: {len(clips)} {noun}, {minutes:.1f} minutes')
    show(rows, console)
    short = [clip for clip in clips if len(clip[0]) <= LONGEST * RATE]
    latencies = []
    if options.real_time and short:
        chosen = short[:: max(1, len(short) // options.real_time)][: options.real_time]
        parameters = {
            pair.partition('=')[0].replace('.', '__'): yaml.safe_load(pair.partition('=')[2])
            for pair in options.set
        }
        latencies = [
            row['total'] for row in in_real_time(chosen, model__id=options.model, **parameters)
        ]
    if latencies:
        print(
            f'From the end of speech to the text, {len(latencies)} in real time: median '
            f'{statistics.median(latencies):.2f} s, 95 % {percentile(latencies, 0.95):.2f} s'
        )
    path = RESULTS / 'own_recordings.png'
    draw(rows, latencies, path)
    print(f'wrote {path}')


if __name__ == '__main__':
    main()
