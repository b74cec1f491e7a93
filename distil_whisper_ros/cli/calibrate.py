"""Find the audio context margin of a model on recordings: how much silence to encode after speech.

Whisper encodes 30 s, however short the speech is. Less is faster, but too little damages the text,
and how much is too little depends on the model: see model.audio_context_margin. Needs no ROS.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import importlib
import json
from pathlib import Path
import sys
from typing import Any

from rapidfuzz.distance import Levenshtein

from ..audio.channels import ALL
from ..audio.noise import with_noise
from ..core.audio_format import FRAME_LENGTH
from ..core.errors import FileError, SettingError, SpeechError
from ..core.settings import ModelSettings
from ..core.types import Utterance
from ..speech.words import words
from .arguments import Parser, utf8
from .output import printable, standard_output, tell, use_utf8
from .progress import ProgressBar
from .recording_files import named, recordings
from .reference_texts import LAYOUTS, reference_texts
from .text_files import regular_file, write
from .transcribe import is_spoken, read_utterance

FULL = 30.0  # s
MARGINS = (10.0, 7.0, 5.0, 3.0, 2.0)  # s
BUILT_IN_RATIOS = (20, 10, 5)  # dB of signal to noise of the built-in clip
BUILT_IN_LEAST = 7.0  # s: one sentence does not show what happens to others
WORTH = 0.95  # of the time: for less than 5 % the larger margin stays
PICTURES = ('.png', '.svg', '.pdf')
BAR = 24  # characters
EXAMPLES = f"""\
examples:
  ros2 run distil_whisper_ros calibrate recordings/
  ros2 run distil_whisper_ros calibrate --output robot.yaml --plot margins.png recordings/
  ros2 run distil_whisper_ros calibrate --model distil-whisper/distil-small.en
  ros2 launch distil_whisper_ros speech.launch.py parameters_file:=robot.yaml

Record 30 commands or more on the robot, of several people, short words too. Where a recording has
a text, the words of both are compared; the texts are in {LAYOUTS}.
Without one, the text with 30 s is taken for right. Without recordings, a built-in sentence shows
the time; that does not justify less than {BUILT_IN_LEAST:.0f} s.

exit code: 0 if a margin was found, 1 if not, 2 for wrong arguments, 130 after Ctrl-C.
"""


@dataclass(frozen=True)
class Row:
    """One margin in the table."""

    margin: float
    time: float
    """The mean time of a recording in seconds."""
    wrong: int
    """The number of words that differ from the reference."""
    twice: int
    """Recordings whose text comes twice, but not in the reference."""
    redone: int


def choose(rows: Sequence[Row], least: float = 0.0) -> Row:
    """Return the fastest row that is as right as the first one, which has the full context."""
    full = rows[0]
    best = full
    for row in sorted(rows[1:], key=lambda row: -row.margin):
        right = row.wrong <= full.wrong and row.twice <= full.twice
        if right and row.margin >= least and row.time < WORTH * best.time:
            best = row
    return best


def mistakes(reference: str, text: str) -> int:
    """Return the number of words to change, insert and remove."""
    return Levenshtein.distance(words(reference.casefold()), words(text.casefold()))


def table(rows: Sequence[Row], best: Row) -> str:
    """Return the table with a bar for each time."""
    longest = max(row.time for row in rows)
    lines = [f'{"margin":>8}{"time":>10}{"wrong words":>13}{"twice":>7}{"redone":>8}']
    for row in rows:
        bar = '█' * max(1, round(BAR * row.time / longest))
        mark = '  <- chosen' if row is best else ''
        lines.append(
            f'{row.margin:6.1f} s{row.time:8.3f} s{row.wrong:13}{row.twice:7}{row.redone:8}  '
            f'{bar}{mark}'
        )
    return '\n'.join(lines)


def parameter_file(model: str, best: Row, full: Row, of: str) -> str:
    """Return a file of parameters with the margin; `of` says what was measured."""
    return (
        f'# speech_calibrate, {of}: {best.time:.3f} s for each, and {full.time:.3f} s with 30 s.\n'
        '/**:\n'
        '  ros__parameters:\n'
        '    model:\n'
        f'      id: {json.dumps(model, ensure_ascii=False)}\n'
        f'      audio_context_margin: {best.margin:.1f}\n'
    )


def plotter() -> Any:
    """Return matplotlib's module of figures; raise a SettingError where it is missing."""
    try:
        return importlib.import_module('matplotlib.figure')
    except ImportError:
        raise SettingError('--plot needs matplotlib: pip install matplotlib') from None


def plot(rows: Sequence[Row], best: Row, title: str, file: Path) -> None:
    """Draw time and wrong words by margin; raise a SettingError without matplotlib."""
    module = plotter()
    figure = module.Figure(figsize=(7, 4), layout='constrained')
    left = figure.add_subplot()
    ordered = sorted(rows, key=lambda row: row.margin)
    margins = [f'{row.margin:g}' for row in ordered]
    colors = ['tab:green' if row is best else 'tab:blue' for row in ordered]
    left.bar(margins, [row.time for row in ordered], color=colors)
    left.set_xlabel('audio context margin, s (green: chosen)')
    left.set_ylabel('mean time of a recording, s')
    left.set_title(title, fontsize=9)
    right = left.twinx()
    right.plot(margins, [row.wrong for row in ordered], 'o-', color='tab:red')
    right.set_ylabel('wrong words', color='tab:red')
    right.set_ylim(bottom=0)
    try:
        figure.savefig(file)
    except (OSError, ValueError) as error:
        raise FileError(f'{printable(file)} cannot be written: {error}') from error


def check_target(file: Path) -> None:
    """Raise a SettingError if a device, a pipe or a folder has the name of a file to write."""
    try:
        regular_file(file)
    except OSError as error:
        raise SettingError(f'{printable(file)} cannot be written: {error.strerror}') from error


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = Parser(
        prog='calibrate',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('file', nargs='*', help='recordings, or folders with recordings')
    parser.add_argument(
        '--model',
        default=ModelSettings().id,
        help='a name on the hub, or a folder (default: %(default)s)',
    )
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument('--dtype', default='auto', help='as model.dtype (default: auto)')
    parser.add_argument(
        '--language', type=utf8, default='', help='as model.language (default: detect it)'
    )
    parser.add_argument(
        '--margins',
        type=margin,
        nargs='+',
        default=MARGINS,
        metavar='S',
        help='margins to try, in seconds (default: 10 7 5 3 2)',
    )
    parser.add_argument(
        '--output', type=Path, metavar='FILE', help='write the margin to a file of parameters'
    )
    parser.add_argument(
        '--plot', type=Path, metavar='FILE', help='draw it, as margins.png; needs matplotlib'
    )
    parser.add_argument('--quiet', action='store_true', help='show no progress')
    return parser


def margin(text: str) -> float:
    """Return a margin in seconds, or raise a ValueError, for argparse."""
    value = float(text)
    if not 0 <= value <= FULL:
        raise ValueError(text)
    return value


def main(given: list[str] | None = None) -> None:
    """Measure each margin, print the table, and write the file and the plot."""
    use_utf8()
    options = arguments().parse_args(given)
    with ProgressBar(options.quiet) as progress:
        run = Run(options, progress)
        try:
            with standard_output('calibrate'):
                run.calibrate()
        except SpeechError as error:
            run.tell(str(error))
            sys.exit(2 if isinstance(error, SettingError) else 1)
        except KeyboardInterrupt:
            sys.exit(130)


class Run:
    """One run of the tool."""

    def __init__(self, options: argparse.Namespace, progress: ProgressBar) -> None:
        """Take the arguments of the command line."""
        self._options, self._progress = options, progress

    def tell(self, line: str) -> None:
        """Print a line on standard error."""
        self._progress.clear()
        tell(f'calibrate: {printable(line)}')

    def calibrate(self) -> None:
        """Measure each margin, print the table, and write the file and the plot."""
        options = self._options
        for file in (options.output, options.plot):
            if file is None:
                continue
            if not file.absolute().parent.is_dir():
                raise SettingError(f'there is no folder for {printable(file)}: make it first')
            check_target(file)
        if options.plot is not None:
            plotter()
            if options.plot.suffix.lower() not in PICTURES:
                raise SettingError(
                    f'--plot is {printable(options.plot)}, but must be named as .png, .svg or .pdf'
                )
        settings = ModelSettings().replaced(
            id=options.model,
            device=options.device,
            dtype=options.dtype,
            language=options.language,
            word_timestamps=False,
        )
        utterances, references = self._clips()
        least = 0.0 if options.file else BUILT_IN_LEAST
        self._progress('loading PyTorch', 0.0)
        from ..whisper.calibration import measure
        from ..whisper.decoding.fallback import is_repeated
        from ..whisper.transcriber import Transcriber

        transcriber = Transcriber(settings, self._progress, self.tell)
        margins = [FULL, *sorted({*options.margins} - {FULL}, reverse=True)]
        measured = measure(
            transcriber,
            utterances,
            settings,
            margins,
            lambda done, total: self._progress(f'{done} of {total}', done / total),
            graphs=transcriber.device.type == 'cuda',
        )
        known = [text or full for text, full in zip(references, measured[0].texts)]
        rows = [
            Row(
                each.margin,
                each.time,
                sum(map(mistakes, known, each.texts)),
                sum(is_repeated(b) and not is_repeated(a) for a, b in zip(known, each.texts)),
                each.redone,
            )
            for each in measured
        ]
        best = choose(rows, least)
        total = sum(len(words(text)) for text in known)
        what = f'{len(utterances)} recordings, {total} words'
        title = (
            f'{printable(options.model)} on {transcriber.device} ({transcriber.precision}), {what}'
        )
        self._progress.clear()
        print(title, table(rows, best), sep='\n')
        print(f'model.audio_context_margin: {best.margin:.1f}', flush=True)
        if not options.file:
            self.tell('give recordings of your robot to find out whether less is possible')
        if options.output:
            folder = Path(options.model).expanduser()
            model = str(folder.absolute()) if folder.is_dir() else options.model
            on = f'{transcriber.device}, {transcriber.precision}'
            write(options.output, parameter_file(model, best, rows[0], f'{what}, {on}'))
        if options.plot:
            plot(rows, best, title, options.plot)

    def _clips(self) -> tuple[list[Utterance], list[str]]:
        """Return recordings in which somebody speaks, and the text of each, or ''."""
        if not self._options.file:
            return self._built_in()
        failed: list[str] = []
        paths = recordings(self._options.file, self.tell, failed.append)
        texts: dict[Path, str] = {}
        for folder in {path.parent for path in paths} | {Path(f) for f in self._options.file}:
            texts |= reference_texts(folder) if folder.is_dir() else {}
        utterances, references = [], []
        for path in paths:
            try:
                utterance = read_utterance(path, ALL, self._progress, self.tell)
            except SpeechError as error:
                failed.append(str(error))
                continue
            if not is_spoken(utterance):
                self.tell(f'{named(path)}: no speech was found in it; it is left out')
                continue
            utterances.append(utterance)
            references.append(texts.get(path, ''))
        for line in failed:
            self.tell(line)
        if not utterances:
            raise FileError('there is no recording in which somebody speaks')
        return utterances, references

    def _built_in(self) -> tuple[list[Utterance], list[str]]:
        """Return the clip of the self-test, clean and in noise, and its text for each."""
        from ..whisper.self_test import SPOKEN, spoken_clip

        clip = spoken_clip()
        clips = [clip, *(with_noise(clip, ratio, ratio) for ratio in BUILT_IN_RATIOS)]
        speech = (1.0,) * (len(clip) // FRAME_LENGTH)
        return [Utterance.whole(each, speech) for each in clips], [SPOKEN] * len(clips)


if __name__ == '__main__':
    main()
