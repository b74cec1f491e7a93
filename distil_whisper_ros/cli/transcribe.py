"""Transcribe recordings on this machine: text, JSON, or subtitles. Needs no ROS."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict, replace
import json
from pathlib import Path
import sys
import time
from typing import Any

from ..audio.framing import Framer
from ..audio.recordings import read_recording
from ..core.audio_format import FRAME_DURATION, SAMPLE_RATE
from ..core.errors import SettingError, SpeechError
from ..core.scheduler import JobContext
from ..core.settings import HallucinationFilterSettings, ModelSettings, UtteranceSettings
from ..core.types import Hypothesis, Utterance
from ..speech.hallucination_filter import without_rejected
from ..speech.voice_activity import VoiceActivity
from .output import printable, standard_output, use_utf8
from .progress import ProgressBar
from .subtitles import cues, srt, vtt

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros transcribe meeting.wav
  ros2 run distil_whisper_ros transcribe --format srt talk.flac > talk.srt
  ros2 run distil_whisper_ros transcribe --format json --output texts/ recordings/
  ros2 run distil_whisper_ros transcribe --model openai/whisper-base --language german a.ogg b.ogg

Texts go to standard output as UTF-8, or with --output to a file for each recording; progress goes
to standard error. The hallucination filter removes segments without speech; --everything keeps
them.

exit code: 0 if every recording was transcribed, 1 if one failed, 2 for wrong arguments, 130 after
Ctrl-C.
"""
SUFFIXES = {'.wav', '.flac', '.ogg', '.opus', '.mp3', '.aiff', '.aif', '.au', '.w64', '.caf'}
EXTENSIONS = {'text': '.txt', 'json': '.json', 'srt': '.srt', 'vtt': '.vtt'}
PROGRESS_FRAMES = 500  # frames between two updates of the progress bar


def recordings(names: list[str]) -> list[Path]:
    """Return the recordings: each file that is named, and those in each folder."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += sorted(each for each in path.rglob('*') if each.suffix.lower() in SUFFIXES)
        else:
            found.append(path)
    return found


def targets(paths: Iterable[Path], folder: Path, extension: str) -> list[Path]:
    """Return a file in `folder` for each recording, no two of them the same.

    The name is the recording's stem; where another recording has it, the recording's full name,
    and then a number.
    """
    chosen: list[Path] = []
    for path in paths:
        names = [path.stem, path.name, *(f'{path.name}.{number}' for number in range(2, 10_000))]
        free = (folder / f'{name}{extension}' for name in names)
        chosen.append(next(each for each in free if each not in chosen))
    return chosen


class SegmentProgress(JobContext):
    """Show how much of a recording is transcribed, whenever the transcriber yields."""

    def __init__(self, name: str, duration: float, batch: float, progress: ProgressBar) -> None:
        """Take the recording's name and duration, and the duration of a batch, in seconds."""
        super().__init__()
        self._name, self._duration, self._progress = name, duration, progress
        self._batch, self._done = batch, 0.0
        self.show()

    def show(self) -> None:
        """Show the finished part."""
        share = self._done / self._duration if self._duration else 1.0
        self._progress(f'{self._name}: transcribing {self._duration:.0f} s', share)

    def yield_control(self) -> None:
        """Count a batch as done."""
        self._done = min(self._duration, self._done + self._batch)
        self.show()


def read_utterance(path: Path, progress: ProgressBar) -> Utterance:
    """Return a recording with its voice activity; raise a FileError if it cannot be read."""
    samples = read_recording(path)
    activity, framer = VoiceActivity(), Framer()
    speech = []
    total = len(samples) / SAMPLE_RATE
    for frame in [*framer.push(samples, 0.0), *framer.flush()]:
        speech.append(activity(frame.samples))
        if len(speech) % PROGRESS_FRAMES == 0:
            done = len(speech) * FRAME_DURATION
            progress(f'{printable(path.name)}: voice activity', min(1.0, done / total))
    return Utterance.whole(samples, tuple(speech))


def filtered(hypothesis: Hypothesis, utterance: Utterance) -> Hypothesis:
    """Return the hypothesis without the segments that the hallucination filter rejects."""
    threshold = UtteranceSettings().vad_threshold
    if not any(probability >= threshold for probability in utterance.speech):
        return replace(hypothesis, segments=())
    return without_rejected(hypothesis, HallucinationFilterSettings())


def formatted(path: Path, utterance: Utterance, hypothesis: Hypothesis, form: str) -> str:
    """Return a recording's text in a format: text, json, srt or vtt."""
    if form == 'srt':
        return srt(cues(hypothesis))
    if form == 'vtt':
        return vtt(cues(hypothesis))
    if form == 'text':
        return hypothesis.text + '\n'
    content = {
        'file': printable(path),
        'duration': round(utterance.duration, 3),
        'language': hypothesis.language,
        'text': hypothesis.text,
        'segments': [asdict(segment) for segment in hypothesis.segments],
        'processing_time': round(hypothesis.processing_time, 3),
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + '\n'


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    defaults = ModelSettings()
    parser = argparse.ArgumentParser(
        prog='transcribe',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('file', nargs='+', help='recordings, or folders with recordings')
    parser.add_argument(
        '--format', choices=[*EXTENSIONS], default='text', help='(default: %(default)s)'
    )
    parser.add_argument(
        '--output', type=Path, metavar='FOLDER', help='write a file for each recording into it'
    )
    parser.add_argument(
        '--model',
        default=defaults.id,
        help='a name on the hub, or a folder (default: %(default)s)',
    )
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: auto)')
    parser.add_argument(
        '--language', default='', help='language spoken, as "german" (default: detect it)'
    )
    parser.add_argument(
        '--task',
        choices=('transcribe', 'translate'),
        default='transcribe',
        help='write the text as spoken, or translate it to English (default: transcribe)',
    )
    parser.add_argument('--prompt', default='', help='text that guides spelling')
    parser.add_argument(
        '--hotword',
        action='append',
        default=[],
        help='a rare word that is likely to be spoken; can be given several times',
    )
    parser.add_argument(
        '--everything', action='store_true', help='switch the hallucination filter off'
    )
    parser.add_argument('--quiet', action='store_true', help='show no progress')
    return parser


def fail(message: str, code: int) -> None:
    """Print a message and exit."""
    print(f'transcribe: {message}', file=sys.stderr)
    sys.exit(code)


def check_folder(folder: Path) -> None:
    """Make the output folder, or exit with a message."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        fail(f'--output is {printable(folder)}, which is not a folder: name another one', 2)
    except OSError as error:
        fail(f'--output is {printable(folder)}, which cannot be made: {error.strerror}', 2)


def main(given: list[str] | None = None) -> None:
    """Transcribe each recording; one that fails does not stop the others."""
    use_utf8()
    options = arguments().parse_args(given)
    paths = recordings(options.file)
    if not paths:
        fail(f'no recordings in {printable(", ".join(options.file))}', 1)
    files: list[Path | None] = [None] * len(paths)
    if options.output:
        check_folder(options.output)
        files = [*targets(paths, options.output, EXTENSIONS[options.format])]
    failed = 0
    try:
        settings = model_settings(options)
        with ProgressBar(options.quiet) as progress, standard_output('transcribe'):
            transcriber = load(settings, progress)
            for path, file in zip(paths, files):
                try:
                    text = transcribe(path, transcriber, settings, options, progress)
                    progress.clear()
                    if file is not None:
                        write(file, text)
                        text = f'{printable(file)}\n'
                    elif len(paths) > 1 and options.format == 'text':
                        text = f'{printable(path)}: {text}'
                    print(text, end='', flush=True)
                except SpeechError as error:
                    progress.clear()
                    print(f'transcribe: {printable(str(error))}', file=sys.stderr)
                    failed += 1
    except SettingError as error:
        fail(str(error), 2)
    except SpeechError as error:
        fail(str(error), 1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(1 if failed else 0)


def model_settings(options: argparse.Namespace) -> ModelSettings:
    """Return the settings of the model; raise a SettingError for a wrong argument."""
    return ModelSettings().replaced(
        id=options.model,
        device=options.device,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=options.hotword,
        batch_size=1,
        warm_up=False,
    )


def load(settings: ModelSettings, progress: ProgressBar) -> Any:
    """Return a transcriber; raise a ModelError if the model cannot be used."""
    progress('loading PyTorch', 0.0)
    from ..whisper.transcriber import Transcriber

    return Transcriber(settings, progress)


def write(file: Path, text: str) -> None:
    """Write a text as UTF-8, or exit with a message: later ones would fail as well."""
    try:
        file.write_text(text, encoding='utf-8')
    except OSError as error:
        fail(f'{printable(file)} cannot be written: {error.strerror}', 1)


def transcribe(
    path: Path,
    transcriber: Any,
    settings: ModelSettings,
    options: argparse.Namespace,
    progress: ProgressBar,
) -> str:
    """Return one recording's text in the format of the options."""
    utterance = read_utterance(path, progress)
    # Cuts are made between half a segment and a whole one.
    batch = settings.segment_length * 0.9
    context = SegmentProgress(printable(path.name), utterance.duration, batch, progress)
    started = time.monotonic()
    hypothesis = transcriber(utterance, settings, context)
    if not options.everything:
        hypothesis = filtered(hypothesis, utterance)
    hypothesis = replace(hypothesis, processing_time=time.monotonic() - started)
    return formatted(path, utterance, hypothesis, options.format)


if __name__ == '__main__':
    main()
