"""The tail: how much of the pause behind the last word the transcription gets.

    python benchmarks/tail.py [--speech FOLDER] [--quick]

The transcription begins when the tail is there, so a shorter one makes the text come sooner; but a
word fades out. Voice activity cuts the 156 utterances out of silence, as the node does, each time
with another tail; with `--speech` those of a folder too (cli/reference_texts.py has the layouts),
as they are and in noise 20, 15 and twice 10 dB below. Greedy decoding.
"""

import argparse
from pathlib import Path
import sys

from audio_context import clips_of
import numpy as np
from robot import MODEL, RATE
from sounds import with_noise
from turns import BEFORE, BEHIND, LOUDNESS, USUAL
from utterances import Clip, utterances
from word_errors import difference, mistakes

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.core.audio_format import frame_count
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Ending, Utterance
from distil_whisper_ros.speech import utterance_buffer
from distil_whisper_ros.speech.endpointer import Endpointer
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.transcriber import Transcriber

TAILS = (0.192, 0.128, 0.096)  # s
RATIOS = (20, 15, 10, 10)  # dB of signal to noise


def cut_out(samples: np.ndarray, tail: float) -> Utterance:
    """Return the utterance that the node would make of samples with silence around them."""
    noise = np.random.default_rng(len(samples))
    samples = np.pad(samples, (round(BEFORE * RATE), round(BEHIND * RATE)))
    samples = samples + noise.normal(0, LOUDNESS, len(samples)).astype(np.float32)
    utterance_buffer.MARGIN = tail
    activity, endpointer = VoiceActivity(), Endpointer(USUAL, 0.5, True)
    buffer = utterance_buffer.UtteranceBuffer(frame_count(0.5))
    for frame in Framer().push(samples, 0.0):
        probability = activity(frame.samples)
        endpointer.step(probability)
        buffer.push(frame, probability, endpointer.speaking)
    return buffer.utterance(endpointer, Ending.SILENCE, '')


def show(title: str, clips: list[Clip], transcribe: Transcriber, digits: bool) -> None:
    references = [text for _, text in clips]
    baseline, before = None, None
    print(f'{title}, {len(clips)}:')
    print(f'{"tail s":>8}{"WER":>8}{"less first row, 95 %":>22}{"changed":>9}')
    for tail in TAILS:
        texts = []
        for number, (samples, _) in enumerate(clips, 1):
            print(f'\r{number} of {len(clips)} ', end='', file=sys.stderr)
            utterance = cut_out(samples, tail)
            texts.append(transcribe(utterance).text if len(utterance.samples) else '')
        wrong, words = mistakes(references, texts, digits=digits)
        baseline, before = (wrong, texts) if baseline is None else (baseline, before)
        low, high = difference(wrong, baseline, words)
        changed = sum(one != other for one, other in zip(texts, before or texts))
        interval = f'{low:+.3f} to {high:+.3f}'
        print(f'{tail:8.3f}{wrong.sum() / words.sum():8.3f}{interval:>22}{changed:9}', flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description='Word error rates by the tail of an utterance.')
    parser.add_argument('--speech', type=Path, help='a folder of recordings with their texts')
    parser.add_argument('--quick', action='store_true', help='6 utterances')
    options = parser.parse_args()
    transcribe = Transcriber(ModelSettings(id=str(MODEL), beam_width=1))
    some = slice(6 if options.quick else None)
    show('utterances', utterances()[some], transcribe, digits=False)
    if options.speech:
        clean, _ = clips_of(options.speech)
        noisy = [
            (with_noise(samples, ratio, 1000 * turn + number), text)
            for turn, ratio in enumerate(RATIOS)
            for number, (samples, text) in enumerate(clean)
        ]
        show('recordings, clean and in noise', [*clean, *noisy][some], transcribe, digits=True)


if __name__ == '__main__':
    main()
