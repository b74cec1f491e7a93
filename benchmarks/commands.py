"""Commands: how many are heard, and how often one is heard that nobody said.

    python benchmarks/commands.py --speech FOLDER [--sounds FOLDER] [--model models/tiny.en]

`--speech` is a folder of recordings with their texts (the layouts are in benchmarks/corpus.py), of
single words; each is heard as it is and in noise 10 dB below it, with a list of the ten words
below, and with one of fifty. `--sounds` is a folder of sounds without words. The sentences of
people and a book of the other benchmarks are ordinary speech. Printed are the commands that are
right by the free text alone ("by text"), by the decoder's comparison alone ("decoder"), by all
that is known ("likeliest"), and that act, and the false ones; results/commands.png has misses
against false commands for each `commands.min_score`. `--details` prints a line for each false one
and for each that is missed; `--figures` writes the figures of each clip to a file, a line of JSON
each, so that other rules can be tried without the model.
"""

import argparse
from dataclasses import dataclass
import json
import math
from pathlib import Path
import statistics
import sys
import time

from audio_context import activity, RATIO
from corpus import corpus
import numpy as np
from partial import RESULTS
from robot import MODEL, RATE
from sounds import with_noise
from utterances import more_in_noise, utterances

from distil_whisper_ros.audio.recordings import read_recording
from distil_whisper_ros.core.settings import CommandSettings, Settings
from distil_whisper_ros.core.types import Transcript, Utterance
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.hallucination_filter import filtered, rejection
from distil_whisper_ros.whisper.transcriber import Transcriber

TEN = tuple('back five four front left one right stop three two'.split())
FIFTY = (
    *TEN,
    *(
        'zero six seven eight nine yes no on off up down go bed bird cat dog happy house marvin '
        'sheila tree wow forward backward follow learn visual start pause home dock sleep wake '
        'faster slower turn open close lift drop'
    ).split(),
)
LONGEST = 8.0  # s of an ordinary sentence
SENTENCES = 200
ROOM, SILENCE = 1e-4, 0.3  # amplitude of the noise; s before and behind a word


@dataclass(frozen=True)
class Case:
    """One recording and what was said in it."""

    kind: str
    utterance: Utterance
    text: str


def cases(speech: Path, sounds: Path | None) -> list[Case]:
    """Return the recordings."""
    found = []
    for number, (path, text) in enumerate(corpus(speech)):
        word = read_recording(str(path))
        samples = in_silence(word, number)
        found.append(Case('clean', whole(samples), plain(text)))
        # 10 dB below the word, not below the mean of word and silence.
        silence = 10 * math.log10(len(samples) / len(word))
        noisy = with_noise(samples, RATIO - silence, number)
        found.append(Case('10 dB', whole(noisy), plain(text)))
    for path in sorted(sounds.glob('*.flac')) if sounds is not None else []:
        found.append(Case('sounds', whole(read_recording(str(path))), ''))
    ordinary = [*utterances(), *more_in_noise()]
    short = [clip for clip in ordinary if len(clip[0]) < LONGEST * RATE][:SENTENCES]
    found += [Case('sentences', whole(samples), plain(text)) for samples, text in short]
    return found


def in_silence(samples: np.ndarray, seed: int) -> np.ndarray:
    """Return a word with silence around it: no microphone is opened within one."""
    random = np.random.default_rng(seed)
    quiet = random.normal(0, ROOM, round(SILENCE * RATE)).astype(np.float32)
    return np.concatenate([quiet, samples, quiet])


def whole(samples: np.ndarray) -> Utterance:
    return Utterance.whole(samples, activity(samples))


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description='Commands that are heard, and false ones.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--speech', type=Path, required=True, help='words with their texts')
    parser.add_argument('--sounds', type=Path, help='sounds without words')
    parser.add_argument('--beam-width', type=int, default=Settings().model.beam_width)
    parser.add_argument('--details', action='store_true', help='a line for each mistake')
    parser.add_argument('--figures', type=Path, help='a file for the figures of each clip')
    options = parser.parse_args()
    transcriber = Transcriber(
        Settings().model.replaced(id=options.model, language='en', beam_width=options.beam_width)
    )
    known = cases(options.speech, options.sounds)
    curves, figures = {}, ''
    for name, commands in (('10 commands', TEN), ('50 commands', FIFTY)):
        heard = [
            hear(transcriber, case, commands, f'{name}: {number} of {len(known)}')
            for number, case in enumerate(known, 1)
        ]
        print('\r', end='', file=sys.stderr)
        print(f'\n{options.model}, {name}')
        transcripts, texts = [each[0] for each in heard], [each[2] for each in heard]
        show(known, commands, transcripts, texts)
        if options.details:
            detail(known, commands, transcripts, texts)
        figures += record(known, name, transcripts, texts)
        print(f'comparing takes {statistics.median(each[1] for each in heard):.3f} s')
        curves[name] = curve(known, commands, transcripts)
    if options.figures:
        options.figures.write_text(figures)
    draw(curves, RESULTS / 'commands.png')


def hear(
    transcriber: Transcriber, case: Case, commands: tuple[str, ...], progress: str
) -> tuple[Transcript, float, str]:
    """Return the transcript, the time of the comparison in seconds, and the free text.

    The free text is empty if the hallucination filter rejects it.
    """
    settings = Settings(
        model=transcriber.settings, commands=CommandSettings(phrases=[*commands], min_score=0.0)
    )
    began = time.monotonic()
    hypothesis = transcriber(case.utterance, settings.decoding)
    took = hypothesis.parts.get('commands', time.monotonic() - began)
    print(f'\r{progress} ', end='', file=sys.stderr)
    reason = rejection(hypothesis, case.utterance, settings.hallucination_filter)
    free = '' if reason else plain(hypothesis.text)
    return filtered(hypothesis, case.utterance, settings), took, free


def show(
    known: list[Case], commands: tuple[str, ...], heard: list[Transcript], texts: list[str]
) -> None:
    """Print the table."""
    default = CommandSettings().min_score
    print(
        f'{"":<24}{"clips":>6}{"decoder":>9}{"likeliest":>11}{"acts":>6}{"wrong":>7}{"by text":>9}'
    )
    for kind in dict.fromkeys(case.kind for case in known):
        for inside in (True, False):
            rows = [
                (case, transcript, free)
                for case, transcript, free in zip(known, heard, texts)
                if case.kind == kind and (case.text in commands) is inside
            ]
            if not rows:
                continue
            best = [transcript.command.text == case.text for case, transcript, _ in rows]
            alone = [decoders(transcript) == case.text for case, transcript, _ in rows]
            acts = [transcript.command.score >= default for _, transcript, _ in rows]
            text = [free == case.text for case, _, free in rows]
            right = sum(b and a for b, a in zip(best, acts))
            label = f'{kind}, {"a command" if inside else "no command"}'
            figures = f'{sum(alone):>9}{sum(best):>11}{right:>6}'
            first = figures if inside else f'{"":>26}'
            last = f'{sum(text):>9}' if inside else ''
            print(f'{label:<24}{len(rows):>6}{first}{sum(acts) - right:>7}{last}')


def detail(
    known: list[Case], commands: tuple[str, ...], heard: list[Transcript], texts: list[str]
) -> None:
    """Print each command that acts without having been said, and each that does not act."""
    for case, transcript, free in zip(known, heard, texts):
        found = transcript.command
        acts = found.score >= CommandSettings().min_score
        if found.text == case.text and acts or not acts and case.text not in commands:
            continue
        likely = sorted(phrases(transcript).items(), key=lambda each: -each[1])[:3]
        print(
            f'{case.kind}: "{case.text}" {"acts as" if acts else "does not act:"} "{found.text}" '
            f'({found.score:.2f}), text "{free}", {case.utterance.voiced:.2f} s voiced, '
            + ', '.join(f'{name} {score:.1f}' for name, score in likely)
        )


def record(known: list[Case], name: str, heard: list[Transcript], texts: list[str]) -> str:
    """Return a line of JSON for each clip."""
    lines = (
        {
            'list': name,
            'kind': case.kind,
            'said': case.text,
            'command': transcript.command.text,
            'score': transcript.command.score,
            'text': free,
            'voiced': case.utterance.voiced,
            'phrases': phrases(transcript),
        }
        for case, transcript, free in zip(known, heard, texts)
    )
    return ''.join(f'{json.dumps(line)}\n' for line in lines)


def phrases(transcript: Transcript) -> dict[str, float]:
    """Return the commands' log probabilities by the decoder."""
    return (transcript.hypothesis and transcript.hypothesis.phrases) or {}


def decoders(transcript: Transcript) -> str:
    """Return the command that is the likeliest by the decoder's comparison alone."""
    likely = phrases(transcript)
    return plain(max(likely, key=lambda each: likely[each])) if likely else ''


def curve(
    known: list[Case], commands: tuple[str, ...], heard: list[Transcript]
) -> list[tuple[float, float, float]]:
    """Return the part of commands that are missed, and of other clips with a false one."""
    points = []
    for score in np.linspace(0, 1, 101):
        missed = [
            not (transcript.command.text == case.text and transcript.command.score >= score)
            for case, transcript in zip(known, heard)
            if case.text in commands
        ]
        false = [
            bool(transcript.command.text) and transcript.command.score >= score
            for case, transcript in zip(known, heard)
            if case.text not in commands
        ]
        points.append((float(score), float(np.mean(missed)), float(np.mean(false))))
    return points


def draw(curves: dict[str, list[tuple[float, float, float]]], path: Path) -> None:
    """Draw missed commands against false ones, with the default marked."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 4))
    default = CommandSettings().min_score
    for name, points in curves.items():
        scores, missed, false = np.array(points).T
        (line,) = axes.plot(100 * false, 100 * missed, label=name)
        at = int(np.argmin(np.abs(scores - default)))
        axes.plot(100 * false[at], 100 * missed[at], 'o', color=line.get_color())
    axes.set(
        xlabel='clips without a command that have a false one (%)',
        ylabel='commands that are missed (%)',
        title=f'commands.min_score from 0 to 1; the point is {default}',
        xlim=(0, 12),
        ylim=(0, None),
    )
    axes.legend()
    figure.tight_layout()
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=110)
    print(f'wrote {path}')


if __name__ == '__main__':
    main()
