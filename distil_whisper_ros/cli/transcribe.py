"""Transcribe recordings on this machine: text, JSON, or subtitles. Needs no ROS."""

import argparse
from dataclasses import asdict, replace
import json
from pathlib import Path
import sys
import time

from ..audio.framing import Framer
from ..audio.recordings import read_recording
from ..core.audio_format import FRAME_DURATION, SAMPLE_RATE
from ..core.errors import SpeechError
from ..core.scheduler import JobContext
from ..core.settings import HallucinationFilterSettings, ModelSettings, UtteranceSettings
from ..core.types import Hypothesis, Utterance
from ..speech.hallucination_filter import without_rejected
from ..speech.voice_activity import VoiceActivity
from .subtitles import cues, srt, vtt

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros transcribe meeting.wav
  ros2 run distil_whisper_ros transcribe --format srt talk.flac > talk.srt
  ros2 run distil_whisper_ros transcribe --format json --output texts/ recordings/
  ros2 run distil_whisper_ros transcribe --model openai/whisper-base --language german a.ogg b.ogg

Texts go to standard output, or with --output to a file for each recording; progress goes to
standard error. Parts in which nobody seems to speak are left out; --everything keeps them.

exit code: 0 if every recording was transcribed, 1 if one could not be, 2 for wrong arguments,
130 after Ctrl-C.
"""
SUFFIXES = {'.wav', '.flac', '.ogg', '.opus', '.mp3', '.aiff', '.aif', '.au', '.w64', '.caf'}
ENDINGS = {'text': '.txt', 'json': '.json', 'srt': '.srt', 'vtt': '.vtt'}


def recordings(names: list[str]) -> list[Path]:
    """Return the recordings: each file that is named, and those in each folder."""
    found: list[Path] = []
    for name in names:
        path = Path(name).expanduser()
        if path.is_dir():
            found += sorted(each for each in path.rglob('*') if each.suffix.lower() in SUFFIXES)
        else:
            found.append(path)
    return found


class Shown:
    """A line of progress on standard error, only where a person sees it."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet or not sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        """Show a text in place of the last one."""
        if not self._quiet:
            print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)


class Parts(JobContext):
    """Tells how far a recording is: its turn comes between parts."""

    def __init__(self, name: str, duration: float, shown: Shown) -> None:
        super().__init__()
        self._name, self._duration, self._shown = name, duration, shown
        self._done = 0.0
        self.part = 0.0
        """Longest part, in seconds."""

    def yield_control(self) -> None:
        """Show that a part is done."""
        self._done = min(self._duration, self._done + self.part)
        self._shown(f'{self._name}: about {self._done:.0f} of {self._duration:.0f} s')


def hear(path: Path, shown: Shown) -> Utterance:
    """Return a recording with its voice activity."""
    samples = read_recording(path)
    activity, framer = VoiceActivity(), Framer()
    speech = []
    total = len(samples) / SAMPLE_RATE
    for frame in [*framer.push(samples, 0.0), *framer.flush()]:
        speech.append(activity(frame.samples))
        if len(speech) % 500 == 0:
            done = len(speech) * FRAME_DURATION
            shown(f'{path.name}: looking for speech, {done:.0f} of {total:.0f} s')
    return Utterance.whole(samples, tuple(speech))


def written(path: Path, utterance: Utterance, hypothesis: Hypothesis, form: str) -> str:
    """Return a recording's text in a format."""
    if form == 'srt':
        return srt(cues(hypothesis))
    if form == 'vtt':
        return vtt(cues(hypothesis))
    if form == 'text':
        return hypothesis.text + '\n'
    whole = {
        'file': str(path),
        'duration': round(utterance.duration, 3),
        'language': hypothesis.language,
        'text': hypothesis.text,
        'segments': [asdict(segment) for segment in hypothesis.segments],
        'processing_time': round(hypothesis.processing_time, 3),
    }
    return json.dumps(whole, indent=2, ensure_ascii=False) + '\n'


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    defaults = ModelSettings()
    parser = argparse.ArgumentParser(
        prog='transcribe',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('file', nargs='+', help='recordings, or folders of them')
    parser.add_argument('--format', choices=[*ENDINGS], default='text', help='(default: text)')
    parser.add_argument('--output', type=Path, metavar='FOLDER', help='write files into it')
    parser.add_argument('--model', default=defaults.id, help='(default: %(default)s)')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda')
    parser.add_argument('--language', default='', help='as "german"; else it is detected')
    parser.add_argument('--task', choices=('transcribe', 'translate'), default='transcribe')
    parser.add_argument('--prompt', default='', help='text that guides spelling')
    parser.add_argument('--hotword', action='append', default=[], help='a rare word; repeatable')
    parser.add_argument('--everything', action='store_true', help='keep what the guard refuses')
    parser.add_argument('--quiet', action='store_true', help='show no progress')
    return parser


def main(given: list[str] | None = None) -> None:
    """Transcribe each recording; a wrong one does not keep the others from it."""
    options = arguments().parse_args(given)
    shown = Shown(options.quiet)
    paths = recordings(options.file)
    if not paths:
        sys.exit(f'transcribe: no recordings in {", ".join(options.file)}')
    settings = ModelSettings(
        id=options.model,
        device=options.device,
        language=options.language,
        task=options.task,
        prompt=options.prompt,
        hotwords=options.hotword,
        batch_size=1,
        warm_up=False,
    )
    try:
        shown('loading PyTorch')
        from ..whisper.transcriber import Transcriber

        transcriber = Transcriber(settings, lambda what, share: shown(f'{what} {share:.0%}'))
        failed = 0
        for path in paths:
            try:
                text = transcribed(path, transcriber, settings, options, shown)
            except SpeechError as error:
                shown('')
                print(f'transcribe: {error}', file=sys.stderr)
                failed += 1
                continue
            shown('')
            if options.output:
                target = options.output / f'{path.stem}{ENDINGS[options.format]}'
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(text)
                print(target)
            else:
                if len(paths) > 1 and options.format == 'text':
                    print(f'{path}: ', end='')
                print(text, end='', flush=True)
    except SpeechError as error:
        shown('')
        sys.exit(f'transcribe: {error}')
    except KeyboardInterrupt:
        shown('')
        sys.exit(130)
    sys.exit(1 if failed else 0)


def transcribed(path: Path, transcriber, settings: ModelSettings, options, shown: Shown) -> str:
    """Return one recording's text as it is to be written."""
    utterance = hear(path, shown)
    turn = Parts(path.name, utterance.duration, shown)
    turn.part = settings.segment_length * 0.9
    shown(f'{path.name}: transcribing {utterance.duration:.0f} s')
    started = time.monotonic()
    hypothesis = transcriber(utterance, settings, turn)
    if not options.everything:
        spoken = any(p >= UtteranceSettings().vad_threshold for p in utterance.speech)
        kept = (
            without_rejected(hypothesis, HallucinationFilterSettings()) if spoken else hypothesis
        )
        hypothesis = replace(hypothesis, segments=kept.segments if spoken else ())
    hypothesis = replace(hypothesis, processing_time=time.monotonic() - started)
    return written(path, utterance, hypothesis, options.format)


if __name__ == '__main__':
    main()
