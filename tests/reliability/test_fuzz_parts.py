"""Random input to the parts that take what strangers send: audio, endpointer, texts, levels.

The short form tries 1,000 cases of each; `make fuzz` (RELIABILITY=full) 20,000. A case is made
from FUZZ_SEED and its number, which the message of a failure has.
"""

import os
import random

from distil_whisper_msgs.msg import Audio
import numpy as np
import pytest

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.audio.message_block import Block
from distil_whisper_ros.audio.resampling import Resampler
from distil_whisper_ros.audio.stream_source import SILENT, StreamSource
from distil_whisper_ros.core.audio_format import FRAME_DURATION, FRAME_LENGTH, SAMPLE_RATE
from distil_whisper_ros.core.command_grammar import wordings
from distil_whisper_ros.core.errors import FormatError, SettingError
from distil_whisper_ros.core.settings import CommandSettings, settings_from, UtteranceSettings
from distil_whisper_ros.core.types import Ending, Hypothesis, Segment, Utterance
from distil_whisper_ros.ros.audio_subscriber import block
from distil_whisper_ros.ros.log import printable
from distil_whisper_ros.speech.command_matcher import match, plain
from distil_whisper_ros.speech.endpointer import DELAY, Endpointer, ONSET_AGE
from distil_whisper_ros.speech.partial_text import LocalAgreement
from distil_whisper_ros.speech.words import words

FULL = os.environ.get('RELIABILITY', 'short') == 'full'
CASES = int(os.environ.get('FUZZ_CASES', '20000' if FULL else '1000'))
SEED = int(os.environ.get('FUZZ_SEED', '1'))
NO_SLOTS = str.maketrans('', '', '{}')
RATES = (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 384_000)
ALPHABETS = (
    'abc ',
    'aé\u0301ß ',
    '0123456789²½٣ ',
    '今日は한국 ',
    '\x00\x1b\n\r\t\u2028',
    '\ud800\udfff',
    '🎤👩\u200d🔬',
    "'’-_.,!? ",
)


def chances() -> list[random.Random]:
    """Return the random numbers of each case."""
    return [random.Random(f'{SEED} {number}') for number in range(CASES)]


def text(chance: random.Random) -> str:
    alphabet = ''.join(chance.sample(ALPHABETS, chance.choice((1, 1, 2, 3))))
    return ''.join(chance.choice(alphabet) for _ in range(chance.choice((0, 1, 5, 40))))


@pytest.mark.timeout(900)
def test_resampling_and_framing_lose_no_time():
    for number, chance in enumerate(chances()):
        rate, channels = chance.choice(RATES), chance.choice((1, 1, 2, 8, 64))
        resampler, framer = Resampler(rate), Framer()
        total, frames = 0, 0
        for _ in range(chance.choice((1, 2, 5))):
            size = chance.choice((0, 1, 2, 31, 512, 4_000))
            value = chance.choice((0.0, 1.0, -1.0, 1e-38, 1e6))
            block = np.full((size, channels), value, np.float32)
            total += size
            for frame in framer.push(resampler.push(block), total / rate):
                frames += 1
                assert frame.samples.shape == (FRAME_LENGTH,), number
                assert np.isfinite(frame.samples).all(), number
        rest = resampler.flush()
        for frame in framer.push(rest, total / rate):
            frames += 1
        frames += sum(1 for _ in framer.flush())
        expected = total / rate * SAMPLE_RATE / FRAME_LENGTH
        assert expected - 0.1 <= frames <= expected + 1.1, (number, frames, expected)


def audio_message(chance: random.Random) -> Audio:
    """Return a message of a stranger, or of a sender with a fault."""
    channels = chance.choice((0, 1, 1, 1, 2, 8, 64, 65, 2**32 - 1))
    message = Audio(
        sample_rate=chance.choice((0, 1, 7_999, *RATES, 384_001, 2**32 - 1)), channels=channels
    )
    message.first_sample = chance.choice((0, chance.randrange(2**20), 2**63, 2**64 - 1))
    message.header.stamp.sec = chance.choice((-(2**31), -1, 0, 1, 1_700_000_000, 2**31 - 1))
    message.header.stamp.nanosec = chance.choice((0, 5, 10**9, 2**32 - 1))
    message.header.frame_id = text(chance).encode(errors='ignore').decode()
    for field, sizes in (
        (message.data, (0, 1, 3, 128, 512, 4_000, 200_000)),
        (message.earlier, (0, 0, 1, 512, 9_000)),
    ):
        field.extend([chance.choice((0, 1, -32_768, 32_767))] * chance.choice(sizes))
    return message


@pytest.mark.timeout(900)
def test_audio_messages_leave_a_source_that_hears():
    """One source takes them all; in between, a good sender must be heard after SILENT."""
    now, settings = 1_000.0, settings_from({})
    source = StreamSource('/audio', 0.5, clock=lambda: now)
    source.open()
    taken = 0
    for number, chance in enumerate(chances()):
        now += chance.choice((0.0, 0.001, 0.03, 0.6, 3.0))
        try:
            source.push(block(audio_message(chance), settings))
            taken += 1
        except FormatError as error:
            assert '\n' not in str(error), number
        if chance.random() < 0.02:
            now += SILENT + 0.1
            first = chance.randrange(2**20)
            good = np.full((FRAME_LENGTH, 1), 0.25, np.float32)
            source.push(Block(good, SAMPLE_RATE, now, first))
            source.begin()
            for index in range(1, 12):
                now += FRAME_DURATION
                source.push(Block(good, SAMPLE_RATE, now, first + index * FRAME_LENGTH))
            heard = []
            while source._frames:
                frame = source.read()
                assert frame is not None and np.isfinite(frame.samples).all(), number
                heard.append(frame)
            source.end()
            assert len(heard) >= 8, (number, len(heard))
            assert heard[-1].samples == pytest.approx(0.25, abs=0.01), number
            assert isinstance(source.health().problem, str), number
    assert taken > CASES / 20


@pytest.mark.timeout(900)
def test_each_utterance_ends_within_its_frames():
    for number, chance in enumerate(chances()):
        settings = UtteranceSettings(
            endpointing=chance.random() < 0.9,
            wait_for_speech=chance.uniform(0.1, 8.0),
            max_duration=chance.uniform(0.5, 12.0),
            end_silence=chance.uniform(0.1, 3.0),
            vad_threshold=chance.uniform(0.05, 0.95),
            min_speech=chance.uniform(0.0, 2.0),
        )
        pre_roll = chance.choice((0.0, 0.5, 5.0))
        waited = chance.choice((0, 0, 3, 10_000))
        endpointer = Endpointer(settings, pre_roll, waited=waited)
        longest = settings.wait_for_speech + settings.max_duration + settings.end_silence + 1.0
        limit = int(longest / FRAME_DURATION) + DELAY + ONSET_AGE
        speech, ending = 0.5, None
        for _ in range(limit):
            if chance.random() < 0.2:
                speech = chance.choice((0.0, 1.0, 0.5, chance.random(), float('nan')))
            ending = endpointer.step(speech)
            if endpointer.speech_start is not None:
                assert 0 <= endpointer.speech_start < endpointer.index, number
                assert endpointer.speech_start < (endpointer.speech_end or 0), number
                assert endpointer.voiced >= 1, number
            assert endpointer.pause >= 0, number
            if ending is not None:
                break
        assert isinstance(ending, Ending), (number, settings)
        if ending is Ending.SILENCE:
            assert endpointer.voiced * FRAME_DURATION >= settings.min_speech, number


@pytest.mark.timeout(900)
def test_texts():
    for number, chance in enumerate(chances()):
        first, limit = text(chance), chance.choice((1, 10, 500))
        shown = printable(first, limit)
        assert shown.isprintable() and len(shown) <= 10 * limit + 30, number
        assert not any(part.isspace() or not part for part in words(first)), number
        assert plain(plain(first)) == plain(first), (number, first)
        commands = [text(chance).translate(NO_SLOTS) for _ in range(3)]
        try:
            wordings((*commands, first.translate(NO_SLOTS)))
        except SettingError as error:
            assert 'commands.phrases has' in str(error), number
            continue
        heard = Hypothesis((Segment(first, 0.0, 1.0, -0.5, 0.1, 1.0),))
        silence = Utterance.whole(np.zeros(16_000, np.float32))
        found = match(heard, silence, CommandSettings(phrases=commands))
        assert found.command.text in ('', *commands), number
        assert all(0.0 <= each.score <= 1.0 for each in found.alternatives), number
        same = first.translate(NO_SLOTS)
        if plain(same):
            same_text = Hypothesis((Segment(same, 0.0, 1.0, -0.5, 0.1, 1.0),))
            found = match(same_text, silence, CommandSettings(phrases=[same, commands[0]]))
            assert found.alternatives[0].score == 1.0, number


@pytest.mark.timeout(900)
def test_partial_text_only_grows():
    for number, chance in enumerate(chances()):
        agreement, settled = LocalAgreement(), ''
        for _ in range(5):
            take = chance.choice((agreement.push, agreement.push, agreement.settle))
            now = take(' '.join(text(chance) for _ in range(3)))
            assert now.startswith(settled), (number, settled, now)
            settled = now
