"""A microphone on another machine: gaps, restarts, and a bad network between two hosts."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from reliability.world import TopicRoom
from robot import goforward, robot, wait_for

from distil_whisper_ros.audio.message_block import Block
from distil_whisper_ros.audio.sender_clock import SenderClock
from distil_whisper_ros.audio.stream_source import GONE, StreamSource
from distil_whisper_ros.core.audio_format import FRAME_LENGTH
from distil_whisper_ros.core.errors import DeviceError, FormatError
from distil_whisper_ros.speech.self_speech import SelfSpeechGate

PIECE = 512


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def heard():
    """Return a microphone, its clock, and the problems that it reported."""
    clock, told = Clock(), []
    microphone = StreamSource('/audio', 0.5, told.append, clock)
    microphone.open()
    return microphone, clock, told


def send(microphone, clock, first, count=1, rate=16_000, channels=1, offset=0.0, numbered=True):
    """Send `count` blocks, the first of which begins with sample `first`."""
    for index in range(count):
        begin = first + index * PIECE
        ramp = np.arange(begin, begin + PIECE, dtype=np.float32) / 1e6
        samples = np.repeat(ramp[:, None], channels, axis=1)
        clock.now = max(clock.now, 1000.0 + (begin + PIECE) / rate)
        stamp = 1000.0 + begin / rate + offset
        microphone.push(Block(samples, rate, stamp, begin if numbered else None))


def frames(microphone) -> list:
    found = []
    while microphone._frames:
        found.append(microphone.read())
    return found


class TestStream:
    def test_samples_and_times_come_through(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0)
        microphone.begin()
        send(microphone, clock, PIECE, 20)
        got = frames(microphone)
        samples = np.concatenate([frame.samples for frame in got])
        first = round(samples[0] * 1e6)
        np.testing.assert_allclose(samples, np.arange(first, first + len(samples)) / 1e6, 1e-5)
        assert got[0].time == pytest.approx(1000.0 + first / 16_000)
        assert microphone.health().lost == 0

    @pytest.mark.parametrize('numbered', [True, False])
    def test_a_gap_becomes_silence_and_is_told(self, heard, numbered):
        microphone, clock, told = heard
        send(microphone, clock, 0, 1, numbered=numbered)
        microphone.begin()
        send(microphone, clock, PIECE, 9, numbered=numbered)
        send(microphone, clock, 20 * PIECE, 10, numbered=numbered)
        samples = np.concatenate([frame.samples for frame in frames(microphone)])
        assert len(samples) >= 29 * PIECE
        assert np.count_nonzero(samples == 0) >= 10 * PIECE
        health = microphone.health()
        assert health.lost == pytest.approx(10 * 0.032)
        assert microphone.gaps == 1
        assert 'the network lost audio of /audio (1 gaps, 0.32 s so far)' in health.problem
        assert health.open
        assert told[1:] == ['the network loses audio of /audio: words may be missing']
        clock.now += 30
        microphone._arrived = clock.now
        assert microphone.health().problem == ''  # and forgotten

    def test_a_long_gap_begins_afresh(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 5)
        microphone.begin()
        send(microphone, clock, 16_000 * 5, 5)
        assert len(frames(microphone)) < 15
        assert microphone.health().lost == pytest.approx(5 - 5 * 0.032)

    def test_a_restart_is_no_loss(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 50)
        clock.now += 1.0
        send(microphone, clock, 0, 5, offset=10.0)
        assert microphone.health().restarts == 1
        assert microphone.health().lost == 0

    def test_of_two_microphones_one_is_heard(self, heard):
        microphone, clock, told = heard
        send(microphone, clock, 0, 5)
        microphone.begin()
        other = np.full((PIECE, 1), 0.9, np.float32)
        for number in range(5, 50):
            send(microphone, clock, number * PIECE)
            microphone.push(Block(other, 16_000, clock.now, (1000 + number) * PIECE))
        samples = np.concatenate([frame.samples for frame in frames(microphone)])
        assert samples.max() < 0.5  # all of the first one
        assert len(samples) > 40 * PIECE
        health = microphone.health()
        assert (health.lost, health.restarts, microphone.gaps) == (0, 0, 0)
        assert health.problem.startswith('several publishers send audio on /audio, and only the ')
        assert told == ['', health.problem]
        clock.now += 0.6  # the first one ends
        for number in range(50, 60):
            microphone.push(Block(other, 16_000, clock.now, (1000 + number) * PIECE))
        assert max(frame.samples.max() for frame in frames(microphone)) > 0.8

    def test_what_comes_twice_or_out_of_order_is_left_out(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 5)
        microphone.begin()
        for number in (5, 6, 6, 5, 7, 8, 3, 9):
            send(microphone, clock, number * PIECE)
        samples = np.concatenate([frame.samples for frame in frames(microphone)])
        assert (np.diff(samples) > 0).all()
        assert microphone.health().restarts == 0

    def test_a_publisher_that_is_gone_is_told_and_comes_back(self, heard):
        microphone, clock, told = heard
        send(microphone, clock, 0, 5)
        microphone.begin()
        frames(microphone)
        clock.now += GONE + 0.1
        with pytest.raises(DeviceError, match='no more audio arrives on /audio'):
            microphone.read()
        assert not microphone.health().open
        send(microphone, clock, 0, 5, offset=20.0)
        assert microphone.health().open
        assert told[-1] == ''

    def test_nobody_publishes(self, heard):
        microphone, clock, _ = heard
        clock.now += GONE + 0.1
        with pytest.raises(DeviceError, match='nobody publishes audio on /audio: start'):
            microphone.begin()

    def test_it_is_lost_for_the_right_reason_from_the_first_moment(self, heard):
        microphone, clock, told = heard
        assert microphone.health().problem.startswith('nobody publishes audio on /audio: start')
        assert not microphone.health().open
        assert told == []  # a publisher may be about to be found
        clock.now += GONE + 0.1
        microphone.check_publisher()
        assert told == [microphone.health().problem]
        microphone.close()
        assert microphone.health().problem == told[0]

    def test_any_format(self, heard):
        microphone, clock, _ = heard
        microphone.begin() if microphone._working else None
        send(microphone, clock, 0, 60, rate=48_000, channels=2)
        assert len(frames(microphone)[-1].samples) == FRAME_LENGTH
        clock.now += 1.0
        send(microphone, clock, 0, 20, rate=16_000, channels=1, offset=50.0)
        assert microphone.health().sample_rate == 16_000

    def test_what_later_messages_have_again_is_not_lost(self, heard):
        microphone, clock, _ = heard
        ramp = np.arange(100 * PIECE, dtype=np.float32)[:, None] / 1e6
        for number in (0, 1, 2, 4, 5, 8, 9, 13):
            first = number * PIECE
            earlier = ramp[max(0, first - 2 * PIECE) : first]
            block = Block(
                ramp[first : first + PIECE], 16_000, 1000 + first / 16_000, first, earlier
            )
            microphone.push(block)
            if not number:
                microphone.begin()
        samples = np.concatenate([frame.samples for frame in frames(microphone)])
        np.testing.assert_allclose(samples[: 10 * PIECE], ramp[: 10 * PIECE, 0], atol=1e-9)
        assert microphone.health().lost == pytest.approx(PIECE / 16_000)  # of 3, 2 came again

    def test_another_clock(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 5, offset=-7200.0)
        microphone.begin()
        *_, last = frames(microphone)
        assert abs(last.time - clock.now) < 1.0


class TestBadBlocks:
    """A block that is out of its limits is refused, and the next good one is heard."""

    @pytest.mark.parametrize(
        ('shape', 'rate', 'value'),
        [
            ((PIECE, 1), 0, 0.1),
            ((PIECE, 1), 1, 0.1),
            ((PIECE, 1), -16_000, 0.1),
            ((PIECE, 1), 2**32 - 1, 0.1),
            ((100_000, 1), 8_000, 0.1),
            ((PIECE, 0), 16_000, 0.1),
            ((PIECE, 65), 16_000, 0.1),
            ((0, 1), 16_000, 0.1),
            ((PIECE,), 16_000, 0.1),
            ((PIECE, 1), 16_000, np.nan),
            ((PIECE, 1), 16_000, np.inf),
        ],
    )
    @pytest.mark.parametrize('earlier', [False, True])
    def test_is_refused_and_forgotten(self, heard, shape, rate, value, earlier):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 2)
        microphone.begin()
        bad = np.full(shape, value, np.float32)
        good = np.full((PIECE, 1), 0.1, np.float32)
        if earlier and bad.size and rate == 16_000:
            block = Block(good, rate, 1000.0, 2 * PIECE, bad)
        else:
            block = Block(bad, rate, 1000.0, 2 * PIECE)
        with pytest.raises(FormatError):
            microphone.push(block)
        send(microphone, clock, 2 * PIECE, 10)
        assert len(frames(microphone)) >= 11
        assert microphone.health().open
        assert microphone.health().lost == 0

    @pytest.mark.parametrize('stamp', [-1.0, -1e30, 0.0, 1e30, float('inf'), float('nan'), None])
    def test_a_stamp_that_cannot_be_is_ignored(self, heard, stamp):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 2, numbered=False)
        microphone.begin()
        frames(microphone)
        samples = np.full((PIECE, 1), 0.1, np.float32)
        for _ in range(5):
            clock.now += PIECE / 16_000
            microphone.push(Block(samples, 16_000, stamp))
        got = frames(microphone)
        assert len(got) == 5
        assert all(abs(frame.time - clock.now) < 1 for frame in got)
        assert microphone.health().lost == 0

    def test_a_number_that_cannot_be_loses_no_more_than_the_time_that_passed(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 2)
        samples = np.full((PIECE, 1), 0.1, np.float32)
        microphone.push(Block(samples, 16_000, clock.now, 2**64 - 1))
        assert microphone.health().lost < 10


class TestClocks:
    """Whatever the clocks do, frames have the time at which they came."""

    @pytest.mark.parametrize('numbered', [True, False])
    @pytest.mark.parametrize('jump', [3600.0, -3600.0, 5.0, -5.0])
    def test_a_sender_whose_clock_is_set(self, heard, jump, numbered):
        microphone, clock, _ = heard
        send(microphone, clock, 0, 20, numbered=numbered)
        microphone.begin()
        frames(microphone)
        for index in range(20, 60):
            clock.now = 1000.0 + index * 0.032
            send(microphone, clock, index * PIECE, offset=jump, numbered=numbered)
            for frame in frames(microphone):
                assert 0 <= clock.now - frame.time < 0.3
        health = microphone.health()
        assert (health.lost, health.restarts) == (0, 0)
        assert health.problem == ''

    def test_a_sender_whose_clock_runs_away_slowly(self, heard):
        microphone, clock, _ = heard
        send(microphone, clock, 0)
        microphone.begin()
        for index in range(1, 4000):  # two minutes, by which it gets 1.3 s ahead
            send(microphone, clock, index * PIECE, offset=index * 0.032 * 0.01)
            for frame in frames(microphone):
                assert -0.2 < clock.now - frame.time < 0.3

    def test_the_quickest_block_tells_the_difference(self):
        clock, random = SenderClock(), np.random.default_rng(0)
        for index in range(300):
            stamp = index * 0.032
            clock.follow(stamp + 7200, 50 + stamp + 0.01 + random.exponential(0.05))
        assert clock.difference == pytest.approx(50 + 0.01 - 7200, abs=0.02)
        assert clock.local(7200.0) == pytest.approx(50, abs=0.05)

    def test_the_window_slides(self):
        clock = SenderClock()
        clock.follow(0.0, 10.0)
        for index in range(1, 800):
            clock.follow(index * 0.032, 11.0 + index * 0.032)
        assert clock.difference == pytest.approx(11.0)
        assert len(clock._differences) < 400

    def test_a_clock_that_is_set_back_a_little(self):
        """The stamps go backwards, so none of the window counts any more."""
        clock = SenderClock()
        for index in range(100):
            clock.follow(index * 0.032, 10.0 + index * 0.032)
        clock.follow(100 * 0.032 - 2.0, 10.0 + 100 * 0.032)
        assert clock.difference == pytest.approx(12.0)

    @pytest.mark.parametrize('jump', [3600.0, -3600.0, 2.0, -2.0])
    @pytest.mark.parametrize('numbered', [True, False])
    def test_the_robots_own_voice_is_known_whatever_clock_is_set(
        self, heard, monkeypatch, jump, numbered
    ):
        """The sender's clock is set while the robot speaks, and this machine's, too."""
        microphone, clock, _ = heard
        wall = time.time
        gate = SelfSpeechGate(lambda: clock.now)
        for index in range(20):
            send(microphone, clock, index * PIECE, numbered=numbered)
        microphone.begin()
        frames(microphone)
        gate.begin('/speaking')
        for index in range(20, 100):
            offset = jump if index >= 40 else 0.0
            monkeypatch.setattr(time, 'time', lambda offset=offset: wall() + offset)
            clock.now = 1000.0 + index * 0.032
            send(microphone, clock, index * PIECE, offset=offset, numbered=numbered)
            own = [frame for frame in frames(microphone) if index >= 22]
            assert all(gate.covers(frame.time) for frame in own), index
        gate.end('/speaking', 0.0)
        clock.now += 0.5
        for index in range(120, 130):
            clock.now = 1000.0 + index * 0.032
            send(microphone, clock, index * PIECE, offset=jump, numbered=numbered)
            assert not any(gate.covers(frame.time) for frame in frames(microphone)[-1:])

    def test_the_offset_of_the_clock_is_told(self, heard):
        microphone, clock, _ = heard
        assert microphone.health().clock_offset is None
        clock.now = 1000.0
        ahead = time.time() - 1000.0 + 60.0
        send(microphone, clock, 0, 5, offset=ahead)
        assert microphone.health().clock_offset == pytest.approx(60, abs=2)


def test_a_closed_source_tells_nothing_and_takes_nothing(heard):
    microphone, clock, told = heard
    send(microphone, clock, 0, 5)
    microphone.close()
    microphone.close()
    clock.now += 60
    told.clear()
    assert microphone.health().problem == ''
    send(microphone, clock, 5 * PIECE, 5)
    assert not microphone.health().open
    assert told == []
    microphone.open()
    microphone.open()
    send(microphone, clock, 50 * PIECE, 5)
    assert microphone.health().open


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which('ip') is None,
    reason='needs root and iproute2, to make network namespaces',
)
@pytest.mark.parametrize(
    'name', ['test_a_bad_network_costs_no_words', 'test_what_is_lost_for_good_is_reported']
)
def test_two_hosts(name):
    """See two_hosts.py."""
    file = Path(__file__).parent / 'two_hosts.py'
    command = [sys.executable, '-m', 'pytest', '-q', '-s', f'{file}::{name}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_the_node_hears_the_first_of_two_microphones_and_says_so():
    with robot(audio__source='topic') as (client, process), TopicRoom(client.node) as first:
        client.wait_state('ready')
        with TopicRoom(client.node, 10_000_000) as second:
            wait_for(lambda: 'several publishers send audio' in process.log(), 10, 'the line')
            call = client.start_trigger('record')
            first.say(goforward(), wait=False)
            wait_for(call.done, 30, 'the reply')
            assert call.result().message.capitalize() == 'Go forward 10 meters.'
            unheard = client.start_trigger('record')
            second.say(goforward(), wait=False)
            wait_for(unheard.done, 30, 'the reply')
            assert 'several publishers send audio on /audio' in unheard.result().message
        assert process.log().count('several publishers') <= 3
