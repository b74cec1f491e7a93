"""The microphone, through real PortAudio: its audio, and its failures."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
from robot import goforward, RATE, raw, RECORDINGS, VirtualMicrophone, wait_for

from distil_whisper_ros.audio import capture_process as capture
from distil_whisper_ros.audio.levels import level
from distil_whisper_ros.audio.microphone import end, Messages, Microphone, start
from distil_whisper_ros.core.errors import DeviceError
from distil_whisper_ros.core.settings import MicrophoneSettings


@pytest.fixture
def room(monkeypatch, microphone):
    """Be in the virtual microphone's room."""
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    return microphone


@pytest.fixture
def opened():
    """Open microphones that are closed at the end."""
    made = []

    def opener(**settings):
        problems = []
        source = Microphone(MicrophoneSettings(**settings), problems.append)
        made.append(source)
        source.open()
        return source, problems

    yield opener
    for source in made:
        source.close()


def hear(source, seconds: float, room=None) -> np.ndarray:
    """Read frames for `seconds`, which begin when nobody in the room speaks any more."""
    frames, deadline = [], time.monotonic() + seconds
    while time.monotonic() < deadline:
        if room is not None and room.speaking():
            deadline = time.monotonic() + seconds
        frame = source.read()
        if frame is not None:
            frames.append(frame.samples)
    return np.concatenate(frames)


def similarity(heard: np.ndarray, said: np.ndarray) -> float:
    """Return how like it three quarters of what was played were recorded, or more; 1 is alike.

    It is the largest normalized correlation of each quarter of a second with speech: on a busy
    machine the player makes gaps, which are no fault of the microphone.
    """
    size, length = len(heard) + len(said), RATE // 4
    spectrum = np.fft.rfft(heard, size)
    total = np.concatenate([np.zeros(1), np.cumsum(heard.astype(np.float64) ** 2)])
    energy = total[length:] - total[:-length]  # of the recorded quarter that begins there
    pieces = [said[begin : begin + length] for begin in range(0, len(said) - length, length)]
    loudest = max(float(np.sum(piece**2)) for piece in pieces)
    found = []
    for piece in pieces:
        power = float(np.sum(piece**2))
        if power > 0.05 * loudest:
            match = np.fft.irfft(spectrum * np.conj(np.fft.rfft(piece, size)), size)
            floor = 0.05 * power  # a recorded silence is like nothing
            likeness = match[: len(energy)] / np.sqrt(power * np.maximum(energy, floor))
            found.append(float(likeness.max()))
    return float(np.percentile(found, 25))


@pytest.mark.parametrize(
    ('rate', 'channels'), [(0, 0), (48_000, 2), (44_100, 1), (8_000, 1)]
)  # fmt: skip
def test_hears_what_is_said_whatever_the_device_delivers(room, opened, rate, channels):
    source, _ = opened(sample_rate=rate, channels=channels)
    health = source.health()
    assert health.open
    assert (health.sample_rate, health.channels) == (rate or 16_000, channels or 1)
    source.begin()
    room.say(goforward(), wait=False)
    heard = hear(source, 1.0, room)
    assert similarity(heard, goforward()) > (0.8 if rate == 8_000 else 0.95)
    assert source.health().lost == 0


def test_pre_roll_reaches_back_before_the_request(room, opened):
    source, _ = opened(pre_roll=4.0)
    room.say(goforward())
    source.begin()
    assert similarity(hear(source, 1.0), goforward()) > 0.95


def test_capture_times_are_those_of_the_monotonic_clock(room, opened):
    source, _ = opened()
    source.begin()
    hear(source, 0.5)
    frame = source.read() or source.read()
    assert frame is not None
    assert 0 < time.monotonic() - frame.time < 2.0


def test_frames_are_fresh_however_long_nobody_listened(room, opened):
    source, _ = opened(pre_roll=0.2)
    time.sleep(4.0)
    source.begin()
    frames = [source.read() for _ in range(10)]
    assert all(time.monotonic() - frame.time < 2.0 for frame in frames if frame is not None)
    deadline, newest = time.monotonic() + 4.0, 0.0
    while time.monotonic() < deadline:
        frame = source.read(4)  # as while nobody speaks
        newest = frame.time if frame is not None else newest
    assert time.monotonic() - newest < 2.0
    assert source.health().lost == 0


@pytest.mark.parametrize('name', ['', 'default', '0', 'pulse', 'PULS'])
def test_devices_by_name_part_and_number(room, opened, name):
    source, _ = opened(device=name)
    assert source.health().open


def test_an_unknown_device_is_answered_with_those_that_exist(room, opened):
    with pytest.raises(DeviceError) as error:
        opened(device='Jabra')
    message = str(error.value)
    assert "microphone.device is 'Jabra', but there is no such device" in message
    assert '0 "pulse"' in message
    assert '\n' not in message


def test_no_microphone_at_all(monkeypatch, tmp_path, opened):
    monkeypatch.setenv('HOME', str(tmp_path))
    with pytest.raises(DeviceError, match='there is no microphone: plug one in'):
        opened()


def test_a_device_that_disappears_is_reported_and_comes_back(room, opened):
    source, problems = opened(reopen_period=0.2)
    source.begin()
    hear(source, 0.5)
    room.unplug()
    with pytest.raises(DeviceError):
        hear(source, 10)
    source.end()
    assert not source.health().open
    with pytest.raises(DeviceError):
        source.begin()
    room.plug_in()
    wait_for(lambda: source.health().open, 20, 'the return of the microphone')
    source.begin()
    room.say(goforward(), wait=False)
    assert similarity(hear(source, 1.0, room), goforward()) > 0.9
    assert problems[0]
    assert problems[-1] == ''
    assert source.health().restarts >= 1


def test_a_device_that_hangs_is_killed_and_opened_again(room, opened):
    source, problems = opened(reopen_period=0.2)
    child = source._session.child
    assert child is not None
    source.begin()
    hear(source, 0.3)
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(DeviceError, match='does not answer'):
        hear(source, 10)
    source.end()
    wait_for(lambda: source.health().open, 20, 'the return of the microphone')
    assert child.poll() is not None
    assert source._session.child is not child


def test_an_overflow_is_counted_and_reported(room, opened):
    source, problems = opened()
    with source._condition:  # the parent reads nothing, until the child's queue is full
        time.sleep(13)
    wait_for(lambda: source.health().overflows, 5, 'the overflow')
    wait_for(lambda: problems, 5, 'its report')
    assert 'samples were lost' in problems[0]
    assert source.health().problem == problems[0]
    assert source.health().open
    assert source.health().restarts == 0


def test_a_node_that_is_late_loses_nothing_for_ten_seconds(room):
    """Nobody takes the blocks for 14 s; those of the last seconds are lost, and counted."""
    child = start(MicrophoneSettings())
    messages = Messages(child)
    try:
        assert messages.receive(15)[0] == capture.OPENED
        messages.receive(15)
        time.sleep(14)
        blocks = [messages.receive(3) for _ in range(500)]
    finally:
        end(child)
    assert {kind for kind, *_ in blocks} == {capture.BLOCK}
    counts = [count for _, _, count, _ in blocks]
    kept = counts.index(next(count for count in counts if count > counts[0]))
    assert 10 <= kept * capture.BLOCK_DURATION < 13
    times = [seconds for _, seconds, *_ in blocks]
    assert times[kept] - times[kept - 1] > 1
    gaps = np.abs(np.diff(times[10:kept]) - capture.BLOCK_DURATION)
    assert np.median(gaps) < 0.02
    assert times[kept - 1] - times[10] == pytest.approx((kept - 11) * 0.032, abs=0.9)


def test_a_child_that_dies_is_started_again(room, opened):
    source, _ = opened(reopen_period=0.2)
    child = source._session.child
    assert child is not None
    child.kill()
    wait_for(lambda: source.health().restarts and source.health().open, 20, 'a new child')


def test_the_child_ends_with_its_parent(room, opened):
    source, _ = opened()
    child = source._session.child
    assert child is not None
    source.close()
    assert child.poll() is not None


def test_closing_while_somebody_reads(room, opened):
    source, _ = opened()
    source.begin()
    threading.Timer(0.3, source.close).start()
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        source.read()


def test_only_zeros_are_noticed(monkeypatch, opened):
    with VirtualMicrophone(noise=-200) as muted:
        for name, value in muted.environment.items():
            monkeypatch.setenv(name, value)
        source, problems = opened()
        wait_for(lambda: problems, 10, 'the report of zeros')
        assert 'only zeros' in problems[-1]
        muted.say(goforward())
        assert problems[-1] == ''


def test_clipping_is_noticed(room, opened):
    source, problems = opened()
    loud = (goforward() * 40).clip(-1, 1)
    room.say(np.concatenate([loud, loud]), wait=False)
    wait_for(lambda: problems, 10, 'the report of clipping')
    assert 'clips' in problems[0]


def test_a_late_reader_loses_nothing_in_time_and_loss_is_counted(room, opened):
    source, _ = opened()
    source.begin()
    assert source._frames.maxlen is not None
    wait_for(lambda: len(source._frames) > 20, 5, 'the first frames')
    source._frames = type(source._frames)(source._frames, maxlen=10)
    wait_for(lambda: source.health().lost > 0.2, 5, 'the loss')


def test_level_is_measured(room, opened):
    source, _ = opened()
    wait_for(lambda: abs(source.health().level + 70) < 6, 5, 'the level of the room')
    assert level(goforward()) > -40


def refusing(accepted):
    """Return a stand-in for sounddevice: no virtual device here refuses a format."""

    class PortAudioError(Exception):
        pass

    def check_input_settings(device, channels, samplerate, dtype):
        if (samplerate, channels) not in accepted:
            raise PortAudioError('Invalid sample rate [PaErrorCode -9997]')

    return SimpleNamespace(
        PortAudioError=PortAudioError, check_input_settings=check_input_settings
    )


DEVICE = {'index': 3, 'name': 'USB webcam', 'default_samplerate': 48000.0, 'max_input_channels': 2}


@pytest.mark.parametrize(
    ('accepted', 'chosen'),
    [
        ({(16_000, 1), (48_000, 2)}, (16_000, 1)),
        ({(48_000, 1)}, (48_000, 1)),
        ({(48_000, 2), (44_100, 2)}, (48_000, 2)),
        ({(16_000, 2)}, (16_000, 2)),
    ],
)
def test_the_nearest_format_is_chosen(accepted, chosen):
    assert capture.choose_format(refusing(accepted), DEVICE, 0, 0) == chosen


def test_a_refused_format_is_explained():
    with pytest.raises(ValueError) as error:
        capture.choose_format(refusing({(48_000, 2)}), DEVICE, 22_050, 0)
    message = str(error.value)
    assert 'the microphone "USB webcam" refuses 22050 Hz (Invalid sample rate)' in message
    assert 'it supports 48000 Hz with 2 channels at most' in message


def test_another_recording_is_not_taken_for_this_one():
    """The measure of the tests above can fail."""
    other = raw(RECORDINGS / 'something.raw')
    assert similarity(other, goforward()) < 0.5
