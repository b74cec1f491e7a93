"""Level and voice activity of a real run, recorded in a bag and drawn."""

import bag_picture
import pytest


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'conversation.mcap'
    bag_picture.record(path)
    return path


def between(series, begin: float, end: float) -> list[float]:
    return [message.data for moment, message in series if begin < moment < end]


def test_level_and_voice_activity_follow_the_speaker(bag):
    series = bag_picture.read(bag)
    changes = series['/speech/state']
    hearing, *_ = [moment for moment, each in changes if each.label == 'hearing']
    (muted,) = [moment for moment, each in changes if each.label == 'muted']
    level, voice = series['/speech/level'], series['/speech/voice_activity']
    assert -80 < max(between(level, 0, hearing - 1.0)) < -55  # the noise of the room
    assert -40 < max(between(level, hearing, muted)) < 0
    assert max(between(voice, 0, hearing - 1.0)) < 0.5
    assert 0.8 < max(between(voice, hearing, muted)) <= 1
    assert not between(voice, muted + 0.3, muted + 100)
    assert not between(level, muted + 0.3, muted + 100)  # the microphone is closed


def test_a_bag_becomes_a_picture(bag):
    path = bag.with_suffix('.png')
    series = bag_picture.read(bag)
    assert {*series} >= {*bag_picture.TOPICS} - {'/speech/partial'}  # a busy machine has no time
    bag_picture.draw(series, path)
    assert path.stat().st_size > 20_000
