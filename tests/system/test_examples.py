"""The examples, as a robot runs them: people's and synthetic speech in, Twist messages out."""

import importlib
import json
import math
import os
import subprocess
import sys
import time

from geometry_msgs.msg import Twist
import numpy as np
import pytest
from robot import (
    Client,
    goforward,
    isolation,
    RATE,
    robot,
    ROOT,
    spoken,
    VirtualMicrophone,
    wait_for,
)

sys.path.insert(0, str(ROOT / 'examples'))

from drive import Motion, SPEED, TURN_RATE, understand, wants_stop  # noqa: E402
from wake_word import heard, MISSING  # noqa: E402


@pytest.mark.parametrize(
    ('text', 'motion'),
    [
        ('Go forward 10 meters.', Motion(linear=SPEED, duration=20.0)),
        ('go forward ten meters', Motion(linear=SPEED, duration=20.0)),
        ('Go back two meters', Motion(linear=-SPEED, duration=4.0)),
        ('Go forward 50 centimeters.', Motion(linear=SPEED, duration=1.0)),
        ('Turn left.', Motion(angular=TURN_RATE, duration=math.pi / 2 / TURN_RATE)),
        ('turn right 45 degrees', Motion(angular=-TURN_RATE, duration=math.pi / 4 / TURN_RATE)),
        ('Stop!', Motion()),
        ('Please stop, go forward no more', Motion()),
        ('Go somewhere and do something.', None),
        ('That is right.', None),
        ('', None),
    ],
)
def test_texts_become_motions(text, motion):
    understood = understand(text)
    if motion is None:
        assert understood is None
        return
    assert understood is not None
    assert understood.linear == motion.linear
    assert understood.angular == motion.angular
    assert understood.duration == pytest.approx(motion.duration)


def test_the_stop_word_is_a_word():
    assert wants_stop('and STOP')
    assert not wants_stop('the bus stopped at the stoplight')


@pytest.fixture(scope='module')
def driven():
    with VirtualMicrophone() as room, robot(environment=room.environment) as (client, _):
        client.wait_state('ready')
        driver = subprocess.Popen([sys.executable, str(ROOT / 'examples' / 'drive.py')])
        twists: list[tuple[float, Twist]] = []

        def take(message: Twist) -> None:
            twists.append((time.time(), message))

        client.node.create_subscription(Twist, 'cmd_vel', take, 100)
        client.wait_state('waiting')
        try:
            yield client, room, twists
        finally:
            driver.terminate()
            driver.wait(10)


def pause() -> np.ndarray:
    return np.zeros(RATE, np.float32)


def test_a_person_drives_and_the_stop_word_works_within_a_second(driven):
    client, room, twists = driven
    room.say(np.concatenate((goforward(), pause())))
    wait_for(lambda: twists, 10, 'the first Twist')
    assert twists[-1][1].linear.x == SPEED
    latencies = []
    for _ in range(3):
        wait_for(lambda: twists and twists[-1][1].linear.x == SPEED, 15, 'driving')
        stop = spoken('stop', 'en-us', 130)
        sound = np.flatnonzero(abs(stop) > 0.02)
        room.say(stop[: sound[-1]], wait=True)
        ended = time.time()  # the player returns when the last sample was played
        wait_for(lambda: twists[-1][1].linear.x == 0, 10, 'the stop')
        latencies.append(twists[-1][0] - ended)
        time.sleep(1.5)
        room.say(np.concatenate((goforward(), pause())))
    print(f'from the end of "stop" to the zero Twist: {latencies} s')
    assert sorted(latencies)[1] < 1.0


def test_synthetic_speech_turns(driven):
    client, room, twists = driven
    room.say(np.concatenate((spoken('stop', 'en-us', 130), pause())))
    twists.clear()
    room.say(np.concatenate((spoken('Turn left, please.', 'en-us', 140), pause())))
    wait_for(lambda: any(t.angular.z == TURN_RATE for _, t in twists), 10, 'turning')
    assert all(t.linear.x == 0 for _, t in twists)


def test_a_wake_word_is_published_once_for_each_name():
    scores = [0.1] * 3 + [0.6, 0.9, 0.8, 0.2, 0.7] + [0.0] * 30 + [0.9] * 2
    assert [*heard(scores)] == [0.6, 0.9]


def test_the_wake_word_example_says_what_it_needs():
    command = [sys.executable, str(ROOT / 'examples' / 'wake_word.py')]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1 and run.stderr.strip() == MISSING


FAKES = {  # the library and its models are not here
    'openwakeword/__init__.py': '',
    'openwakeword/utils.py': 'def download_models(names): print("downloaded", names, flush=True)',
    'openwakeword/model.py': """
class Model:
    def __init__(self, wakeword_models, inference_framework):
        self.score = {'hey_max_v1': 0.9}.get(*wakeword_models, 0.0)
        if not self.score:
            raise ValueError('there is no such model')
    def predict(self, samples):
        return {'it': self.score}
""",
    'sounddevice.py': """
import time
import numpy
PortAudioError = RuntimeError
class InputStream:
    def __init__(self, *_, **more): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def read(self, count):
        time.sleep(0.08)
        return numpy.zeros((count, 1), numpy.int16), False
""",
}


@pytest.fixture
def fakes(tmp_path):
    for name, text in FAKES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return {**os.environ, 'PYTHONPATH': f'{tmp_path}:{os.environ.get("PYTHONPATH", "")}'}


def test_a_wake_word_comes_to_a_robot_with_a_namespace(fakes):
    surroundings = isolation()
    command = [sys.executable, str(ROOT / 'examples' / 'wake_word.py'), 'hey_max_v1']
    command += ['--ros-args', '-r', '__ns:=/robot1']
    with Client(surroundings) as client:
        process = subprocess.Popen(
            command,
            env={**fakes, **surroundings},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        wait_for(lambda: client.node.count_publishers('/robot1/speech/wake'), 20, 'the example')
        assert process.stdout is not None
        assert process.stdout.readline() == "downloaded ['hey_max_v1']\n"
        process.terminate()
        assert process.communicate(timeout=20) == ('', None)
    assert process.returncode == 0


def test_a_wake_word_that_is_not_there_is_one_line(fakes):
    command = [sys.executable, str(ROOT / 'examples' / 'wake_word.py'), '--ros-args', '-r', 'a:=b']
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, env=fakes)
    assert (run.returncode, run.stderr) == (1, 'wake_word: there is no such model\n')
    assert "downloaded ['hey_jarvis']" in run.stdout


LAYOUT = json.loads((ROOT / 'examples' / 'foxglove.json').read_text())


def values(node) -> list[str]:
    """Return what the panels of a layout show, as "/topic.field"."""
    if isinstance(node, list):
        return [found for each in node for found in values(each)]
    if not isinstance(node, dict):
        return []
    keys = ('value', 'topicPath', 'topicToRender')
    shown = [text for key, text in node.items() if key in keys]
    return shown + [found for each in node.values() for found in values(each)]


def test_the_foxglove_layout_shows_what_is_published():
    """Each topic and field is one that the running node has."""
    with robot(autostart=False) as (client, _):
        client.wait_state('unconfigured')
        offered = dict(client.node.get_topic_names_and_types())
    assert len(values(LAYOUT)) > 8
    for shown in values(LAYOUT):
        topic, _, path = shown.partition('.')
        package, _, message = offered[topic][0].split('/')
        kind = getattr(importlib.import_module(f'{package}.msg'), message)
        for name in filter(None, path.split('.')):
            assert name in kind.get_fields_and_field_types(), shown


def test_the_foxglove_layout_has_a_place_for_each_panel():
    shown = json.dumps(LAYOUT['layout'])
    assert all(f'"{name}"' in shown for name in LAYOUT['configById'])
    assert os.path.getsize(ROOT / 'examples' / 'foxglove.json') < 10_000
