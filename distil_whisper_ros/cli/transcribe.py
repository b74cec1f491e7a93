"""Transcribe recordings on this machine: text, JSON, or subtitles. Needs no ROS."""

import argparse
from dataclasses import asdict, replace
import json
from pathlib import Path
import re
import sys
import time
from typing import Any

from ..audio.channels import ALL
from ..audio.framing import frames_of
from ..audio.limits import MOST_CHANNELS
from ..audio.recordings import load_recording
from ..core.audio_format import FRAME_DURATION, SAMPLE_RATE
from ..core.errors import SettingError, SpeechError
from ..core.scheduler import JobContext
from ..core.settings import (
    HallucinationFilterSettings,
    ModelSettings,
    Settings,
    UtteranceSettings,
)
from ..core.types import Hypothesis, Utterance
from ..speech.hallucination_filter import filtered, part_rejection, rejection
from ..speech.voice_activity import VoiceActivity
from .arguments import Parser, utf8
from .bags import comparison, is_bag
from .output import as_utf8, printable, standard_output, tell, use_utf8
from .progress import ProgressBar
from .recording_files import as_file, named, recordings, STANDARD_INPUT, Tell
from .subtitles import cues, srt, vtt
from .text_files import check_folder, OutputError, targets, write

MARK = '[rejected]'
NO_SPEECH = 'voice activity found no speech in it'
EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros transcribe meeting.wav
  ros2 run distil_whisper_ros transcribe --format srt talk.flac > talk.srt
  ros2 run distil_whisper_ros transcribe --format json --output texts/ recordings/
  ros2 run distil_whisper_ros transcribe --model openai/whisper-base --language german a.ogg b.ogg
  arecord -d 10 -f S16_LE -r 16000 | ros2 run distil_whisper_ros transcribe -

Texts go to standard output as UTF-8, or with --output to a file for each recording; progress, and
what is odd about a recording, go to standard error. The hallucination filter removes segments
without speech; --everything keeps them and marks them. M4A, WebM and others need PyAV (pip install
av),
bags of ros2 bag need two packages (pip install mcap mcap-ros2-support).

exit code: 0 if every recording was transcribed, 1 if one failed, 2 for wrong arguments, 130 after
Ctrl-C.
"""
EXTENSIONS = {'text': '.txt', 'json': '.json', 'srt': '.srt', 'vtt': '.vtt'}
LATE_CONTROLS = re.compile('[\x7f-\x9f]')  # control characters that JSON leaves
PROGRESS_FRAMES = 500  # frames between two updates of the progress bar


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


def read_utterance(path: Path, channel: int, progress: ProgressBar, tell: Tell) -> Utterance:
    """Return a recording with its voice activity; raise a FileError if it cannot be read."""
    name = named(path)
    with as_file(path) as file:
        recording = load_recording(
            file, channel, name=name if file != path else '', parameter='--channel'
        )
    if recording.notices:
        tell(f'{name}: {"; ".join(recording.notices)}')
    samples, activity = recording.samples, VoiceActivity()
    speech = []
    total = len(samples) / SAMPLE_RATE
    for frame in frames_of(samples):
        speech.append(activity(frame))
        if len(speech) % PROGRESS_FRAMES == 0:
            done = len(speech) * FRAME_DURATION
            progress(f'{printable(path.name)}: voice activity', min(1.0, done / total))
    return Utterance.whole(samples, tuple(speech))


def is_spoken(utterance: Utterance) -> bool:
    """Return whether voice activity found speech."""
    threshold = UtteranceSettings().vad_threshold
    return any(probability >= threshold for probability in utterance.speech)


def rejections(hypothesis: Hypothesis, utterance: Utterance) -> list[str]:
    """Return for each segment why the hallucination filter rejects it, or ''."""
    settings = HallucinationFilterSettings()
    every = rejection(hypothesis, utterance, settings)
    if not is_spoken(utterance):
        every = NO_SPEECH
    return [
        every or part_rejection(segment, hypothesis, utterance, settings)
        for segment in hypothesis.segments
    ]


def marked(hypothesis: Hypothesis, reasons: list[str]) -> Hypothesis:
    """Return the hypothesis with a mark before the text of each rejected segment."""
    segments = []
    for segment, reason in zip(hypothesis.segments, reasons):
        if reason and segment.text:
            words = segment.words
            if words:
                words = (replace(words[0], text=f'{MARK} {words[0].text}'), *words[1:])
            segment = replace(segment, text=f'{MARK} {segment.text}', words=words)
        segments.append(segment)
    return replace(hypothesis, segments=tuple(segments))


def formatted(
    path: Path,
    utterance: Utterance,
    hypothesis: Hypothesis,
    form: str,
    reasons: list[str],
    reason: str,
) -> str:
    """Return a recording's text in a format: text, json, srt or vtt.

    `reasons` tell for each segment why it was rejected, or ''; `reason` why there is no text.
    """
    if form == 'json':
        segments = [
            {**asdict(segment), 'rejected': why}
            for segment, why in zip(hypothesis.segments, reasons)
        ]
        content = {
            'file': 'standard input' if path == STANDARD_INPUT else as_utf8(path),
            'duration': round(utterance.duration, 3),
            'language': hypothesis.language,
            'text': hypothesis.text,
            'reason': reason,
            'segments': segments,
            'processing_time': round(hypothesis.processing_time, 3),
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + '\n'
        return LATE_CONTROLS.sub(lambda found: f'\\u{ord(found[0]):04x}', text)
    hypothesis = marked(hypothesis, reasons)
    if form == 'srt':
        return srt(cues(hypothesis))
    if form == 'vtt':
        return vtt(cues(hypothesis))
    return hypothesis.text + '\n'


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    defaults = ModelSettings()
    parser = Parser(
        prog='transcribe',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'file', nargs='+', help='recordings, folders with recordings, or - for standard input'
    )
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
        '--language',
        type=utf8,
        action='append',
        default=[],
        help='language spoken, as "german"; given several times, the likeliest of them for each '
        'segment (default: detect it)',
    )
    parser.add_argument(
        '--task',
        choices=('transcribe', 'translate'),
        default='transcribe',
        help='write the text as spoken, or translate it to English (default: transcribe)',
    )
    parser.add_argument('--prompt', type=utf8, default='', help='text that guides spelling')
    parser.add_argument(
        '--hotword',
        type=utf8,
        action='append',
        default=[],
        help='a rare word that is likely to be spoken; can be given several times',
    )
    parser.add_argument(
        '--channel',
        type=channel_number,
        default=ALL,
        metavar='N',
        help='use one channel, counted from 0 (default: mix all)',
    )
    parser.add_argument(
        '--everything',
        action='store_true',
        help=f'keep what the hallucination filter rejects, marked with {MARK}',
    )
    parser.add_argument('--quiet', action='store_true', help='show no progress')
    return parser


def channel_number(text: str) -> int:
    """Return the number of a channel, or raise a ValueError, for argparse."""
    number = int(text)
    if not ALL <= number < MOST_CHANNELS:
        raise ValueError(text)
    return number


def main(given: list[str] | None = None) -> None:
    """Transcribe each recording; one that fails does not stop the others."""
    use_utf8()
    options = arguments().parse_args(given)
    with ProgressBar(options.quiet) as progress:
        run = Run(options, progress)
        try:
            with standard_output('transcribe'):
                run.transcribe_all()
        except SettingError as error:
            run.tell(str(error))
            sys.exit(2)
        except SpeechError as error:
            run.tell(str(error))
            sys.exit(1)
        except KeyboardInterrupt:
            sys.exit(130)
    sys.exit(1 if run.failed else 0)


class Run:
    """One run of the tool."""

    def __init__(self, options: argparse.Namespace, progress: ProgressBar) -> None:
        """Take the arguments of the command line."""
        self._options, self._progress = options, progress
        self._settings = ModelSettings()
        self._transcriber: Any = None
        self.failed = False
        """Whether a recording was not transcribed."""

    def tell(self, line: str) -> None:
        """Print a line on standard error."""
        self._progress.clear()
        tell(f'transcribe: {printable(line)}')

    def fail(self, line: str) -> None:
        """Print why a recording is not transcribed; the run goes on."""
        self.tell(line)
        self.failed = True

    def transcribe_all(self) -> None:
        """Transcribe each recording; raise a SpeechError if no other one can be."""
        options = self._options
        self._settings = model_settings(options)
        paths = recordings(options.file, self.tell, self.fail)
        if not paths:
            self.failed = True
            return
        if len(paths) > 1 and options.format in ('srt', 'vtt') and not options.output:
            raise SettingError(
                f'--format {options.format} of {len(paths)} recordings needs --output: on '
                'standard output they would run into each other'
            )
        files: list[Path | None] = [None] * len(paths)
        if options.output:
            check_folder(options.output)
            files = [*targets(paths, options.output, EXTENSIONS[options.format])]
        self._progress('loading PyTorch', 0.0)
        from ..whisper.transcriber import Transcriber

        self._transcriber = Transcriber(self._settings, self._progress, self.tell)
        for path, file in zip(paths, files):
            try:
                text = self.transcribe(path)
                self._progress.clear()
                if file is not None:
                    write(file, text)
                    text = f'{printable(file)}\n'
                elif len(paths) > 1 and options.format == 'text':
                    text = f'{named(path)}: {text}'
                print(text, end='', flush=True)
            except OutputError:
                raise
            except SpeechError as error:
                self.fail(str(error))

    def transcribe(self, path: Path) -> str:
        """Return one recording's text in the format of the options."""
        options, started = self._options, time.monotonic()
        utterance = read_utterance(path, options.channel, self._progress, self.tell)
        hypothesis, reasons, reason = Hypothesis(()), [], NO_SPEECH
        if options.everything or is_spoken(utterance):
            # Cuts are made between half a segment and a whole one.
            batch = self._settings.segment_length * 0.9
            name = printable(path.name)
            context = SegmentProgress(name, utterance.duration, batch, self._progress)
            hypothesis = self._transcriber(
                utterance, self._settings, context, skip_silence=not options.everything
            )
            if options.everything:
                reasons = rejections(hypothesis, utterance)
                reason = '' if hypothesis.text else 'the model found no words in it'
            else:
                transcript = filtered(hypothesis, utterance, Settings())
                reason = transcript.reason
                accepted = transcript.hypothesis if transcript.accepted else None
                hypothesis = accepted or replace(hypothesis, segments=())
                reasons = [''] * len(hypothesis.segments)
        if not hypothesis.text:
            self.tell(f'{named(path)}: no text: {reason}')
        if is_bag(path):
            self.tell(f'{named(path)}: {comparison(path, hypothesis.text)}')
        hypothesis = replace(hypothesis, processing_time=time.monotonic() - started)
        return formatted(path, utterance, hypothesis, options.format, reasons, reason)


def model_settings(options: argparse.Namespace) -> ModelSettings:
    """Return the settings of the model; raise a SettingError for a wrong argument."""
    return ModelSettings().replaced(
        id=options.model,
        device=options.device,
        language=options.language[0] if len(options.language) == 1 else '',
        languages=options.language if len(options.language) > 1 else [],
        task=options.task,
        prompt=options.prompt,
        hotwords=options.hotword,
        batch_size=1,
        warm_up=False,
    )


if __name__ == '__main__':
    main()
