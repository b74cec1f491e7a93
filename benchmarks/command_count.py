"""What many commands cost: time and memory with 10 to 5,000 of them.

    python benchmarks/command_count.py [--model models/tiny.en] [--rounds 10]

The commands are a verb, a colour, a thing and a place in all combinations, in random order, and
one of them is said by espeak-ng. Printed are, in seconds, what the node does when the commands are
set (their tree is made), the first utterance's additional time, the comparison in the decoder, and
the search for the command in the text and the scores (`match`), which both come with each
utterance; and the memory that the process has more than before the first list.
"""

import argparse
import itertools
from pathlib import Path
import random
import statistics
import time

from audio_context import activity
from robot import MODEL, spoken

from distil_whisper_ros.core.settings import CommandSettings, Settings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.command_matcher import match
from distil_whisper_ros.whisper.transcriber import Transcriber

COUNTS = (10, 50, 200, 1000, 5000)
VERBS = 'bring take find show lift push clean paint open watch'.split()
COLOURS = 'red green blue white black yellow brown grey pink golden'.split()
THINGS = 'ball box chair lamp cup door window table flower bottle'.split()
PLACES = (
    'in the kitchen,in the hall,in the garden,on the roof,by the stairs,under the tree,'
    'near the gate,at the desk,behind you,over there'
).split(',')
SAID = 'bring the red ball in the kitchen'


def memory() -> float:
    """Return the memory of this process that is in use, in MiB."""
    status = Path('/proc/self/status').read_text()
    return int(status.partition('VmRSS:')[2].split()[0]) / 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description='The cost of many commands.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument('--rounds', type=int, default=10, help='utterances with each list')
    options = parser.parse_args()
    transcriber = Transcriber(Settings().model.replaced(id=options.model, language='en'))
    samples = spoken(f'{SAID}.')
    utterance = Utterance.whole(samples, activity(samples))
    parts = itertools.product(VERBS, COLOURS, THINGS, PLACES)
    everything = [f'{verb} the {colour} {thing} {place}' for verb, colour, thing, place in parts]
    random.Random(3).shuffle(everything)
    everything.remove(SAID)
    transcriber(utterance, transcriber.settings)
    before = memory()
    print(
        f'{"commands":>9}{"tree s":>8}{"first s":>9}{"decoder s":>11}{"match s":>9}{"all s":>8}'
        f'{"MiB":>7}'
    )
    for count in COUNTS:
        commands = CommandSettings(phrases=[SAID, *everything[: count - 1]])
        settings = Settings(model=transcriber.settings, commands=commands)
        totals, decoder, matching = [], [], []
        began = time.perf_counter()
        transcriber.prepare(settings.decoding)
        tree = time.perf_counter() - began
        for _ in range(1 + options.rounds):
            began = time.perf_counter()
            hypothesis = transcriber(utterance, settings.decoding)
            decoded = time.perf_counter()
            found = match(hypothesis, utterance, settings.commands)
            totals.append(time.perf_counter() - began)
            decoder.append(hypothesis.parts['commands'])
            matching.append(time.perf_counter() - decoded)
            assert found.command.text == SAID, (hypothesis.text, found)
        usual = statistics.median(totals[1:])
        print(
            f'{count:9}{tree:8.3f}{totals[0] - usual:9.3f}{statistics.median(decoder[1:]):11.3f}'
            f'{statistics.median(matching[1:]):9.3f}{usual:8.3f}{memory() - before:7.0f}'
        )


if __name__ == '__main__':
    main()
