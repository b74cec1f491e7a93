"""Count the texts that are published without speech, and the right ones that are rejected.

    python benchmarks/hallucination_filter.py [--sounds FOLDER] [--speech FOLDER] [--model MODEL]

`--sounds` is a folder of recordings in which nobody speaks: coughs, dogs, your robot's motors.
`--speech` is a folder of recordings with their texts (the layouts are in cli/reference_texts.py):
each is heard as it is, and in noise 10 and 5 dB below it. Without one, the sounds are 51 clips of
noise, hum and music, and the speech is people's sentences.

Each clip goes through the whole path: voice activity, the model, the filter. A table shows the
counts by the reason, and the curve in benchmarks/results/hallucination_filter.png shows both
directions for each `hallucination_filter.min_evidence`, so that you can choose yours.
`--details` prints a line for each text.
"""

import argparse
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from corpus import corpus, recordings
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from robot import MODEL, RATE
from sounds import no_speech, speech, with_noise
from word_errors import mistakes

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.audio.source import SourceHealth
from distil_whisper_ros.core.audio_format import Frame
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.settings import (
    HallucinationFilterSettings,
    ModelSettings,
    settings_from,
)
from distil_whisper_ros.core.types import Transcript
from distil_whisper_ros.speech.hallucination_filter import evidence, rejection
from distil_whisper_ros.speech.recognizer import Recognizer
from distil_whisper_ros.speech.state import StateMachine
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.transcriber import Transcriber


class Clip:
    """An AudioSource of given samples."""

    live = False

    def __init__(self, samples) -> None:
        framer = Framer()
        self._frames: list[Frame] = [*framer.push(samples, 0.0), *framer.flush()]

    def open(self) -> None:
        pass

    def begin(self) -> None:
        self._left = list(self._frames)

    def wake(self) -> None:
        pass

    def read(self, wait_for=1):
        if not self._left:
            raise EOFError
        return self._left.pop(0)

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass

    def health(self) -> SourceHealth:
        return SourceHealth('clip', open=True)


class Notes:
    """An observer that keeps all transcripts, also those after which a request goes on."""

    def __init__(self) -> None:
        self.transcripts: list[Transcript] = []

    def on_transcript(self, transcript) -> None:
        self.transcripts.append(transcript)

    def on_failure(self, error) -> None:
        raise error

    def on_partial(self, request, text) -> None:
        pass

    def wants_partial(self) -> bool:
        return False


SILENCE = np.zeros(RATE, np.float32)
RATIOS = (None, 10, 5)  # dB of signal to noise
NEVER = -99.0  # a minimum of evidence that rejects nothing
RESULTS = Path(__file__).resolve().parent / 'results'


@dataclass(frozen=True)
class Text:
    """One text of the model."""

    name: str
    text: str
    reference: str
    reason: str
    """Why it is rejected with the default settings; empty if it is published."""
    evidence: float | None
    """None if another rule rejects it whatever its evidence is."""

    @property
    def right(self) -> bool:
        """Whether each word is right."""
        return bool(self.reference) and not mistakes([self.reference], [self.text])[0].sum()


def recognize(
    samples, settings, transcriber, voice_activity
) -> tuple[Transcript, list[Transcript]]:
    """Return the answer to a request on the whole path, and all transcripts until then."""
    scheduler, notes = Scheduler(), Notes()
    recognizer = Recognizer(
        Clip(samples), voice_activity, transcriber, notes, scheduler, StateMachine()
    )  # fmt: skip
    recognizer.start()
    answer = recognizer.record(settings).result()
    recognizer.close()
    scheduler.close()
    return answer, notes.transcripts


def texts(name, samples, reference, settings, transcriber, voice_activity) -> list[Text]:
    """Return the texts that the model finds in a clip."""
    default, without = (
        HallucinationFilterSettings(),
        HallucinationFilterSettings(min_evidence=NEVER),
    )
    found = []
    for transcript in recognize(samples, settings, transcriber, voice_activity)[1]:
        hypothesis, utterance = transcript.hypothesis, transcript.utterance
        if hypothesis is None or utterance is None or not hypothesis.text.strip():
            continue
        measured = [evidence(segment, utterance.speech) for segment in hypothesis.segments]
        known = [value for value in measured if value is not None]
        found.append(
            Text(
                name,
                hypothesis.text,
                reference,
                rejection(hypothesis, utterance, default),
                None if rejection(hypothesis, utterance, without) or not known else max(known),
            )
        )
    return found


def draw(sounds: list[Text], said: list[Text], path: Path) -> None:
    """Draw right texts that are rejected against texts of sounds that are published."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    right = [text for text in said if text.right]
    thresholds = np.arange(-6.0, 6.01, 0.1)

    def passed(texts: list[Text], least: float) -> int:
        return sum(text.evidence is not None and text.evidence >= least for text in texts)

    published = [passed(sounds, least) for least in thresholds]
    rejected = [len(right) - passed(right, least) for least in thresholds]
    figure, axes = plt.subplots(figsize=(7, 5))
    axes.plot(rejected, published, color='tab:blue')
    default = HallucinationFilterSettings().min_evidence
    for least in sorted({-4.0, -3.0, -1.0, 0.0, 1.0, default}):
        place = len(right) - passed(right, least), passed(sounds, least)
        axes.plot(*place, 'o', color='tab:red' if least == default else 'tab:blue')
        axes.annotate(f' {least:g}' + ' (default)' * (least == default), place)
    axes.set(
        xlabel=f'right texts rejected, of {len(right)}',
        ylabel=f'published texts of sounds, of {len(sounds)} that the model wrote',
        title='hallucination_filter.min_evidence',
        xlim=(-0.5, None),
        ylim=(-0.5, None),
    )
    axes.grid(alpha=0.3)
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='What is published when nobody speaks.')
    parser.add_argument('--sounds', type=Path, help='a folder of recordings without speech')
    parser.add_argument('--speech', type=Path, help='a folder of recordings with their texts')
    parser.add_argument('--model', default=str(MODEL))
    parser.add_argument('--language', default='en', help='of the speech')
    parser.add_argument('--beam-width', type=int, default=ModelSettings().beam_width)
    parser.add_argument('--details', action='store_true', help='a line for each text')
    arguments = parser.parse_args()
    if arguments.sounds:
        clips = {path.name: read_recording(path) for path in recordings(arguments.sounds)}
    else:
        clips = no_speech()
    if arguments.speech:
        said = {path.name: (read_recording(path), text) for path, text in corpus(arguments.speech)}
    else:
        said = speech()
    transcriber = Transcriber(
        ModelSettings(id=arguments.model, language=arguments.language),
        lambda step, _: print(f'model: {step}'),
    )
    voice_activity, console = VoiceActivity(), Console()
    settings = settings_from(
        {'utterance.wait_for_speech': 60.0, 'model.beam_width': arguments.beam_width}
    )
    jobs = [(0, name, samples, '') for name, samples in clips.items()]
    for seed, (name, (samples, text)) in enumerate(said.items()):
        alone = np.concatenate([SILENCE, samples, SILENCE])
        jobs += [
            (number, name, alone if ratio is None else with_noise(alone, ratio, seed), text)
            for number, ratio in enumerate(RATIOS, 1)
        ]
    titles = ('sounds', *('speech' + (f', {r} dB over noise' if r else '') for r in RATIOS))
    results: list[list[Text]] = [[] for _ in titles]
    for number, name, samples, reference in track(jobs, 'clips', console=console):
        found = texts(name, samples, reference, settings, transcriber, voice_activity)
        results[number] += found
        if arguments.details:
            for text in found:
                console.print(
                    f'{titles[number]:22} {name:26} {text.text[:40]!r:42} '
                    f'{text.reason or "published"}',
                    markup=False,
                )
    table = Table('', 'clips', 'texts', 'published', 'right', 'right, but rejected')
    for title, found, count in zip(titles, results, Counter(job[0] for job in jobs).values()):
        right = [text for text in found if text.right]
        table.add_row(
            title,
            str(count),
            str(len(found)),
            str(sum(not text.reason for text in found)),
            str(len(right)) if title != 'sounds' else '',
            str(sum(bool(text.reason) for text in right)) if title != 'sounds' else '',
        )
    console.print(table)
    path = RESULTS / 'hallucination_filter.png'
    draw(results[0], [text for found in results[1:] for text in found], path)
    console.print(f'wrote {path}')


if __name__ == '__main__':
    main()
