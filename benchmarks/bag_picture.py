"""A bag as a picture: state, level, voice activity and texts over time, as Foxglove shows them.

    python benchmarks/bag_picture.py [BAG.mcap]

Without a bag, the node hears people hands-free through the virtual microphone, and is muted at the
end; what it publishes goes to results/conversation.mcap. The picture is results/conversation.png,
or beside the bag.
"""

import argparse
from collections import defaultdict
from pathlib import Path
import time
from typing import Any

from bag_recorder import Bag
from diagnostic_msgs.msg import DiagnosticArray
from distil_whisper_msgs.msg import RecognizerState, Transcript
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from robot import goforward, raw, RECORDINGS, robot, VirtualMicrophone, wait_for
from std_msgs.msg import Float32, String

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
SHORTEST = 0.04  # of the width: a narrower state has no room for its name
Series = list[tuple[float, Any]]


def record(path: Path) -> None:
    """Let people speak, and write what the node publishes to a bag."""
    path.parent.mkdir(exist_ok=True)
    with path.open('wb') as file, VirtualMicrophone() as room:
        bag = Bag(file)
        with robot(environment=room.environment, hands_free__enabled=True) as (client, _):
            client.wait_state('waiting')
            for topic, kind in TOPICS.items():
                bag.record(client.node, topic, kind, latched=topic == '/speech/state')
            time.sleep(2.5)  # the node looks once a second whether somebody plots
            for count, samples in enumerate(
                (goforward(), raw(RECORDINGS / 'something.raw')), start=1
            ):
                room.say(samples)
                wait_for(lambda count=count: len(client.texts) == count, 20, 'the text')
                time.sleep(1)
            client.switch('mute', True)
            time.sleep(1.5)
        bag.finish()


def read(path: Path) -> dict[str, Series]:
    """Return the messages of a bag by topic, each with its time in seconds since the first."""
    series: dict[str, Series] = defaultdict(list)
    with path.open('rb') as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        for _, channel, raw_message, message in reader.iter_decoded_messages([*TOPICS]):
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
    draw_texts(texts, series, first)
    texts.set(xlabel='s', xlim=(0, last - first))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def draw_texts(axes: Any, series: dict[str, Series], first: float) -> None:
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
        color = '#2e7d32' if message.accepted else '#c62828'
        axes.barh(0.5, length, 0.7, begin, color=color)
        axes.text(begin + 0.05, 0.5, message.text, size=8, va='center')
        axes.axvline(moment - first, color='white', linewidth=1, linestyle=':')
        axes.text(moment - first, 2.55, f' {message.latency:.2f} s', size=8)
    axes.set(ylim=(0, 3), yticks=(0.5, 1.6), yticklabels=('transcript', 'partial'))


def main() -> None:
    """Record, unless there is a bag, and draw."""
    parser = argparse.ArgumentParser(description='A bag as a picture.')
    parser.add_argument('bag', nargs='?', type=Path, metavar='BAG.mcap')
    path = parser.parse_args().bag
    if path is None:
        path = RESULTS / 'conversation.mcap'
        record(path)
    draw(read(path), path.with_suffix('.png'))
    print(f'wrote {path.with_suffix(".png")}')


if __name__ == '__main__':
    main()
