"""Channels of a live stream: one of them, and those that cancel each other out."""

import numpy as np
import pytest
from robot import goforward, RATE, VirtualMicrophone

from distil_whisper_ros.audio.capture_process import choose_format
from distil_whisper_ros.audio.channels import ALL, Mixer
from distil_whisper_ros.audio.levels import level
from distil_whisper_ros.audio.message_block import Block
from distil_whisper_ros.audio.microphone import Microphone
from distil_whisper_ros.audio.resampling import resample
from distil_whisper_ros.audio.stream_source import StreamSource
from distil_whisper_ros.core.errors import DeviceError, FormatError
from distil_whisper_ros.core.settings import MicrophoneSettings


def blocks(samples: np.ndarray) -> list[np.ndarray]:
    return [samples[first : first + 512] for first in range(0, len(samples), 512)]


def test_opposite_channels_of_a_stream_are_noticed_and_one_is_used():
    said = goforward()
    noise = np.random.default_rng(0).normal(0, 1e-3, (RATE, 1))  # the room, before anybody speaks
    both = np.concatenate((noise * [1, -1], np.stack([said, -said], 1))).astype(np.float32)
    mixer = Mixer(RATE, 2)
    heard = np.concatenate([mixer(block) for block in blocks(both)])
    assert level(heard[RATE:]) == pytest.approx(level(said), abs=0.1)
    assert 'cancel each other out when they are mixed: channel 0 is used' in mixer.problem


def test_other_channels_are_mixed():
    random = np.random.default_rng(0)
    for both in (
        random.normal(0, 0.1, (RATE, 2)),
        np.repeat(goforward()[:, None], 2, 1),
        np.zeros((RATE, 2)),
    ):
        mixer = Mixer(RATE, 2)
        both = both.astype(np.float32)
        heard = np.concatenate([mixer(block) for block in blocks(both)])
        assert mixer.problem == ''
        np.testing.assert_allclose(heard, both.mean(axis=1), atol=1e-6)


def test_audio_of_a_request_with_opposite_channels():
    said = goforward()
    assert level(resample(np.stack([said, -said], 1), RATE)) == pytest.approx(level(said))


def heard_from(source: StreamSource, samples: np.ndarray) -> np.ndarray:
    source.open()
    for index, block in enumerate(blocks(samples)):
        source.push(Block(block.astype(np.float32), RATE, None, index * 512))
    source.begin()
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame.samples)
    return np.concatenate(frames)


def test_one_channel_of_a_topic_and_opposite_ones():
    said = goforward()[: 512 * 80]
    both = np.stack([said, -said], 1)
    chosen = heard_from(StreamSource('/audio', 5.0, channel=1), both)
    np.testing.assert_allclose(chosen, -said, atol=1e-6)
    mixed = StreamSource('/audio', 5.0)
    assert level(heard_from(mixed, both)) > level(said) - 3
    assert 'cancel each other out' in mixed.health().problem
    # A sender with one channel has chosen it already.
    one = heard_from(StreamSource('/audio', 5.0, channel=1), said[:, None])
    np.testing.assert_allclose(one, said, atol=1e-6)
    missing = StreamSource('/audio', 5.0, channel=4)
    missing.open()
    with pytest.raises(
        FormatError, match='microphone.channel is 4, but /audio has no channel beyond 1'
    ):
        missing.push(Block(both[:512].astype(np.float32), RATE, None))


class Device:
    """A device with six channels that refuses other numbers, as ALSA's hw: does."""

    class PortAudioError(Exception):
        pass

    def __init__(self, counts) -> None:
        self._counts = counts

    def check_input_settings(self, device, channels, samplerate, dtype):
        if channels not in self._counts:
            raise self.PortAudioError('Invalid number of channels')


@pytest.mark.parametrize(
    ('own', 'accepted', 'channels', 'channel', 'opened'),
    [
        (6, {6}, 0, 0, 6),  # the microphones of an array as they are
        (6, {6}, 0, 5, 6),
        (6, {1, 2, 6}, 4, 1, None),
        (32, range(1, 33), 0, 2, 3),  # a sound server
        (2, {1, 2}, 0, ALL, 1),
        (6, {2, 6}, 2, 1, 2),
    ],
)
def test_as_many_channels_are_opened_as_hold_the_chosen_one(
    own, accepted, channels, channel, opened
):
    device = {'index': 0, 'name': 'array', 'default_samplerate': 16e3, 'max_input_channels': own}
    if opened is None:
        with pytest.raises(ValueError, match='refuses'):
            choose_format(Device(accepted), device, 0, channels, channel)
    else:
        assert choose_format(Device(accepted), device, 0, channels, channel) == (16_000, opened)


def test_a_channel_that_a_device_lacks_is_named():
    device = {'index': 0, 'name': 'array', 'default_samplerate': 16e3, 'max_input_channels': 2}
    with pytest.raises(ValueError) as error:
        choose_format(Device({1, 2}), device, 0, 0, 5)
    assert str(error.value) == (
        'microphone.channel is 5, but the microphone "array" has no channel beyond 1 (the '
        'first is 0)'
    )
    with pytest.raises(ValueError, match='is 1, but microphone.channels opens 1'):
        choose_format(Device({1, 2}), device, 0, 1, 1)


def test_a_channel_of_a_real_microphone(monkeypatch, microphone: VirtualMicrophone):
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    source = Microphone(MicrophoneSettings(channel=1))
    source.open()
    try:
        assert source.health().open
        assert source.health().channels >= 2
    finally:
        source.close()
    refused = Microphone(MicrophoneSettings(channel=1, channels=1))
    with pytest.raises(DeviceError, match='microphone.channel is 1, but microphone.channels'):
        refused.open()
