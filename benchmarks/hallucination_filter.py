"""Count the texts that are published of 51 clips without speech, and of people's sentences.

    python benchmarks/hallucination_filter.py [--model FOLDER_OR_NAME] [--details]

Compared on the same weights: the recognizer; the same with voice activity taken away (each clip
goes to the model whole), which shows what the model's own numbers do; and the model alone, which
is what the model card's pipeline publishes.
"""

import argparse

from robot import MODEL
from sounds import no_speech, speech, with_noise

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.source import SourceHealth
from distil_whisper_ros.core.audio_format import Frame
from distil_whisper_ros.core.scheduler import Scheduler
from distil_whisper_ros.core.settings import (
    HallucinationFilterSettings,
    ModelSettings,
    settings_from,
)
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.hallucination_filter import rejection
from distil_whisper_ros.speech.recognizer import Recognizer
from distil_whisper_ros.speech.state import StateMachine
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.speech.words import words
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


class Quiet:
    """An observer that does not care."""

    def on_transcript(self, transcript) -> None:
        pass

    def on_failure(self, error) -> None:
        raise error

    def on_partial(self, request, text) -> None:
        pass

    def wants_partial(self) -> bool:
        return False


def recognize(samples, transcriber, voice_activity):
    """Return the transcript of the whole path."""
    scheduler = Scheduler()
    recognizer = Recognizer(
        Clip(samples), voice_activity, transcriber, Quiet(), scheduler, StateMachine()
    )  # fmt: skip
    recognizer.start()
    settings = settings_from({'utterance.max_duration': 30.0, 'utterance.end_silence': 1.5})
    transcript = recognizer.record(settings).result()
    recognizer.close()
    scheduler.close()
    return transcript


def main() -> None:
    parser = argparse.ArgumentParser(description='What is published when nobody speaks.')
    parser.add_argument('--model', default=str(MODEL))
    parser.add_argument('--details', action='store_true', help='a line for each clip')
    arguments = parser.parse_args()
    transcriber = Transcriber(ModelSettings(id=arguments.model), lambda step, _: print(step))
    voice_activity = VoiceActivity()
    people = {name: samples for name, (samples, _) in speech().items()}
    sets = {
        'nobody speaks': no_speech(),
        'people': people,
        'people, 20 dB over noise': {n: with_noise(s, 20) for n, s in people.items()},
        'people, 10 dB over noise': {n: with_noise(s, 10) for n, s in people.items()},
    }
    print(f'\n{"published of":28}{"clips":>8}{"recognizer":>12}{"no VAD":>8}{"model alone":>13}')
    for title, clips in sets.items():
        path = numbers = alone = 0
        for name, samples in clips.items():
            transcript = recognize(samples, transcriber, voice_activity)
            path += transcript.accepted
            hypothesis = transcriber(Utterance.whole(samples))
            reason = rejection(hypothesis, Utterance.whole(samples), HallucinationFilterSettings())
            numbers += not reason
            alone += bool(words(hypothesis.text))
            if arguments.details:
                parts = [
                    (s.mean_log_probability, s.no_speech_probability, s.compression_ratio)
                    for s in hypothesis.segments
                ]
                shown = ' '.join(f'{x:.2f}' for x in parts[0])
                print(
                    f'  {name:24} {transcript.outcome.name:12} {transcript.text[:30]!r:32} '
                    f'{transcript.reason[:60]:60} | whole: {shown} '
                    f'{hypothesis.text[:30]!r} {reason[:40]}'
                )
        print(f'{title:28}{len(clips):8}{path:12}{numbers:8}{alone:13}', flush=True)


if __name__ == '__main__':
    main()
