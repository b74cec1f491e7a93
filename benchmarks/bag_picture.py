"""A bag as a picture: state, level, voice activity and texts over time, as Foxglove shows them.

    python benchmarks/bag_picture.py [BAG.mcap] [--scene conversation|name|barge_in]

Without a bag, the node hears a scene hands-free through the virtual microphone, and what it
publishes goes to results/SCENE.mcap. The picture is results/SCENE.png, or beside the bag:

- conversation: people, and then the microphone is muted;
- name: sentences with and without the robot's name;
- barge_in: a person interrupts the robot, whose voice comes back through an echo canceller.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
import textwrap
import time
from typing import Any

from bag_recorder import Bag
from diagnostic_msgs.msg import DiagnosticArray
from distil_whisper_msgs.msg import RecognizerState, Transcript
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
import numpy as np
from robot import (
    Client,
    goforward,
    RATE,
    raw,
    RECORDINGS,
    robot,
    spoken,
    TURN_MODEL,
    VirtualMicrophone,
    wait_for,
)
from std_msgs.msg import Bool, Float32, String

RESULTS = Path(__file__).resolve().parent / 'results'
TOPICS: dict[str, type] = {
    '/speech/state': RecognizerState,
    '/speech/level': Float32,
    '/speech/voice_activity': Float32,
    '/speech/partial': String,
    '/speech/text': String,
    '/speech/transcript': Transcript,
    '/diagnostics': DiagnosticArray,
}
ROBOT: dict[str, type] = {'/robot/speaks': Bool, '/robot/says': String}
NAME = 'hey robot'
STORY = (
    'The museum was built in eighteen ninety by a merchant who loved clocks. He bought them in '
    'every town he visited.'
)
ECHO = 0.03  # of the robot's voice that the echo canceller leaves
OUTCOMES = {
    Transcript.OUTCOME_SELF_SPEECH: '#6a1b9a',
    Transcript.OUTCOME_NOT_ADDRESSED: '#555555',
    Transcript.OUTCOME_NO_SPEECH: '#00695c',  # the name alone
}
COLORS = {
    'loading': '#555555',
    'ready': '#3f51b5',
    'waiting': '#1976d2',
    'hearing': '#2e7d32',
    'transcribing': '#f9a825',
    'muted': '#c62828',
    'self_speech': '#6a1b9a',
    'lost': '#d84315',
    'error': '#b71c1c',
}
LETTERS = 170  # that the whole width has room for
SHORTEST = 0.04  # of the width: a narrower state has no room for its name
Series = list[tuple[float, Any]]


Scene = Callable[[Client, VirtualMicrophone], None]


def record(path: Path, scene: str = 'conversation') -> None:
    """Play a scene, and write what the node publishes to a bag."""
    path.parent.mkdir(exist_ok=True)
    play, parameters = SCENES[scene]
    with path.open('wb') as file, VirtualMicrophone() as room:
        bag = Bag(file)
        with robot(environment=room.environment, hands_free__enabled=True, **parameters) as (
            client,
            _,
        ):
            client.wait_state('waiting')
            for topic, kind in (TOPICS | ROBOT).items():
                bag.record(client.node, topic, kind, latched=topic == '/speech/state')
            time.sleep(2.5)  # the node looks once a second whether somebody plots
            play(client, room)
            time.sleep(1.5)
        bag.finish()


def conversation(client: Client, room: VirtualMicrophone) -> None:
    """Two sentences, and then the microphone is muted."""
    for count, samples in enumerate((goforward(), raw(RECORDINGS / 'something.raw')), start=1):
        room.say(samples)
        wait_for(lambda count=count: len(client.texts) == count, 20, 'the text')
        time.sleep(1)
    client.switch('mute', True)


def name(client: Client, room: VirtualMicrophone) -> None:
    """A sentence to somebody else, one with the name, the name alone, and one behind it."""
    name = spoken('Hey robot!', 'en-us')
    pause = np.zeros(round(0.15 * RATE), np.float32)
    for samples in (
        raw(RECORDINGS / 'something.raw'),
        np.concatenate((name, pause, goforward())),
        name,
        raw(RECORDINGS / 'something.raw'),
    ):
        room.say(samples)
        time.sleep(2)


def barge_in(client: Client, room: VirtualMicrophone) -> None:
    """The robot tells a story, and a person interrupts it."""
    speaks = client.node.create_publisher(Bool, 'robot/speaks', 10)
    says = client.node.create_publisher(String, 'robot/says', 10)
    wait_for(lambda: says.get_subscription_count() > 1, 10, 'the subscriptions')
    wait_for(lambda: speaks.get_subscription_count() > 1, 10, 'the subscriptions')
    for seconds in (0.0, 3.0):
        says.publish(String(data=STORY))
        speaks.publish(Bool(data=True))
        room.say(ECHO * spoken(STORY), wait=False)
        if seconds:
            time.sleep(seconds)
            room.say(goforward(), wait=False)
            time.sleep(len(goforward()) / RATE)
            room.quiet()
        else:
            wait_for(lambda: not room.speaking(), 30, 'the end of the story')
        speaks.publish(Bool(data=False))
        time.sleep(2.5)


SCENES: dict[str, tuple[Scene, dict[str, Any]]] = {
    'conversation': (conversation, {'utterance__turn_model': str(TURN_MODEL)}),
    'name': (name, {'hands_free__wake_phrases': [NAME], 'utterance__turn_model': str(TURN_MODEL)}),
    'barge_in': (
        barge_in,
        {
            'self_speech__policy': 'barge_in',
            'self_speech__topics': ['robot/speaks'],
            'self_speech__text_topic': 'robot/says',
            'utterance__turn_model': str(TURN_MODEL),
        },
    ),
}


def read(path: Path) -> dict[str, Series]:
    """Return the messages of a bag by topic, each with its time in seconds since the first."""
    series: dict[str, Series] = defaultdict(list)
    with path.open('rb') as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        for _, channel, raw_message, message in reader.iter_decoded_messages([*TOPICS, *ROBOT]):
            series[channel.topic].append((raw_message.log_time / 1e9, message))
    if not series:
        raise SystemExit(f'bag_picture: {path} has none of the topics {", ".join(TOPICS)}')
    return series


def draw(series: dict[str, Series], path: Path) -> None:
    """Draw the picture."""
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    times = [moment for each in series.values() for moment, _ in each]
    first, last = min(times), max(times)
    plt.style.use('dark_background')
    figure, (states, level, voice, texts) = plt.subplots(
        4, 1, figsize=(11, 6), sharex=True, height_ratios=(0.4, 1, 1, 1), layout='constrained'
    )
    changes = [(moment - first, each.label) for moment, each in series['/speech/state']]
    ends = [*(begin for begin, _ in changes), last - first][1:]
    for (begin, label), end in zip(changes, ends, strict=True):
        states.axvspan(begin, end, color=COLORS.get(label, '#333333'))
        if end - begin > SHORTEST * (last - first):
            middle = (begin + end) / 2
            states.text(middle, 0.5, label, ha='center', va='center', size=8, clip_on=True)
    for begin, end in spans(series['/speech/state'], 'attentive', last):
        states.axvspan(begin - first, end - first, 0, 0.12, color='white')
    states.set(yticks=[], ylabel='state')
    for axes, topic, color in (
        (level, '/speech/level', '#4fc3f7'),
        (voice, '/speech/voice_activity', '#aed581'),
    ):
        moments = [moment - first for moment, _ in series[topic]]
        axes.plot(moments, [each.data for _, each in series[topic]], color=color, linewidth=1)
        axes.grid(alpha=0.2)
    level.set(ylabel='level (dBFS)', ylim=(-80, 0))
    voice.set(ylabel='voice activity', ylim=(-0.05, 1.05))
    draw_texts(texts, series, first, last)
    if series['/robot/speaks']:
        draw_robot(texts, series, first, last)
    texts.set(xlabel='s', xlim=(0, last - first))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_texts(axes: Any, series: dict[str, Series], first: float, last: float) -> None:
    """Draw the words of partial texts as they come, and each transcript over its speech."""
    before = ''
    for moment, message in series['/speech/partial']:
        new = message.data.removeprefix(before)
        before = message.data
        axes.text(moment - first, 1.5, new.strip(), size=8, color='#bbbbbb', rotation=25)
    for moment, message in series['/speech/transcript']:
        stamp, end = message.header.stamp, message.end_of_speech
        begin = stamp.sec + stamp.nanosec / 1e9 - first
        length = end.sec + end.nanosec / 1e9 - first - begin
        color = '#2e7d32' if message.accepted else OUTCOMES.get(message.outcome, '#c62828')
        axes.barh(0.5, length, 0.9, begin, color=color)
        written = wrapped(message.text or message.raw_text, length / (last - first))
        axes.text(begin + 0.05, 0.5, written, size=7, va='center')
        axes.axvline(moment - first, color='white', linewidth=1, linestyle=':')
        axes.text(moment - first, 2.55, f' {message.latency:.2f} s', size=8)
    axes.set(ylim=(0, 3), yticks=(0.5, 1.6), yticklabels=('transcript', 'partial'))


def wrapped(text: str, width: float) -> str:
    """Return a text in lines that fit into a part of the picture's width."""
    return textwrap.fill(text, max(8, round(width * LETTERS)))


def spans(messages: Series, field: str, last: float) -> list[tuple[float, float]]:
    """Return from when to when a field of messages was true."""
    ends = [*(moment for moment, _ in messages), last][1:]
    known = zip(messages, ends, strict=True)
    return [(moment, end) for (moment, message), end in known if getattr(message, field)]


def draw_robot(axes: Any, series: dict[str, Series], first: float, last: float) -> None:
    """Draw what the robot says, and when."""
    texts = [message.data for _, message in series['/robot/says']]
    speech = spans(series['/robot/speaks'], 'data', last)
    for (begin, end), text in zip(speech, texts):
        axes.barh(3.4, end - begin, 0.9, begin - first, color='#6a1b9a')
        written = wrapped(text, (end - begin) / (last - first))
        axes.text(begin - first + 0.05, 3.4, written, size=7, va='center')
    axes.set(
        ylim=(0, 4), yticks=(0.5, 1.6, 3.4), yticklabels=('transcript', 'partial', 'the robot')
    )


def main() -> None:
    """Record, unless there is a bag, and draw."""
    parser = argparse.ArgumentParser(description='A bag as a picture.')
    parser.add_argument('bag', nargs='?', type=Path, metavar='BAG.mcap')
    parser.add_argument('--scene', choices=[*SCENES], default='conversation')
    options = parser.parse_args()
    path = options.bag
    if path is None:
        path = RESULTS / f'{options.scene}.mcap'
        record(path, options.scene)
    draw(read(path), path.with_suffix('.png'))
    print(f'wrote {path.with_suffix(".png")}')


if __name__ == '__main__':
    main()
