"""Turn detection: how soon an utterance ends, and how often it is cut inside a sentence.

    python benchmarks/turns.py [--quick] [--only cuts|real-time]

Part 1, cuts: pauses of 0.3 to 1.5 s are set into people's sentences, one at a time, at each word
boundary (by forced alignment of the recording's own text). At each one, and behind the whole
sentences of people and of espeak-ng, the evidence is taken as the node takes it; each way of
deciding then says which pauses end the utterance, and how long the end of a sentence waits.
Part 2, real time: the node in its own process hears sentences and single words through the virtual
microphone, with turn detection and with the fixed pause: from the end of speech to the text on the
topic, and the processor time while it hears.
Results: tables, and benchmarks/results/turns.json and turns.png.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
import json
import statistics
import sys
import time

from latency import percentile
import numpy as np
from partial import processor_time, RESULTS
from robot import MODEL, RATE, robot, spoken, TURN_MODEL, VirtualMicrophone, wait_for
from sounds import speech
from utterances import Clip, short
from word_timestamps import aligned

from distil_whisper_ros.audio.framing import Framer
from distil_whisper_ros.core.audio_format import frame_count, FRAME_DURATION
from distil_whisper_ros.core.settings import (
    HallucinationFilterSettings,
    ModelSettings,
    UtteranceSettings,
)
from distil_whisper_ros.core.types import Ending
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.speech.endpointer import Endpointer
from distil_whisper_ros.speech.hallucination_filter import rejection
from distil_whisper_ros.speech.turn_detector import TurnDetector
from distil_whisper_ros.speech.turn_taking import (
    Evidence,
    required_pause,
    SHORT_PAUSE,
    text_evidence,
    TextEvidence,
)
from distil_whisper_ros.speech.turn_watch import ASKED
from distil_whisper_ros.speech.utterance_buffer import UtteranceBuffer
from distil_whisper_ros.speech.utterance_listener import HEARD
from distil_whisper_ros.speech.voice_activity import VoiceActivity
from distil_whisper_ros.whisper.checkpoint import find_turn_model
from distil_whisper_ros.whisper.transcriber import Transcriber

KNOWN = (
    0.3  # s behind the end of speech, at which both kinds of evidence are there on a fast machine
)
LENGTHS = np.linspace(0.3, 1.5, 25)  # s
BEFORE, BEHIND = 0.6, 1.2  # s of silence around a sentence
LOUDNESS = 10 ** (-70 / 20)  # of the silence, as in the virtual microphone's room
WORDS = ('stop', 'yes', 'left')
FIXED = (0.3, 0.4, 0.5, 0.7, 0.9, 1.2)  # s
THRESHOLDS = (0.2, 0.4, 0.5, 0.7, 0.9, 0.95)
USUAL = UtteranceSettings(max_duration=60.0, end_silence=10.0)


@dataclass(frozen=True)
class Pause:
    """A pause, and what is known there."""

    name: str
    length: float
    """In seconds, as voice activity sees it; that of one that was set in, had it 1.5 s."""
    evidence: Evidence
    text: str


class Ears:
    """Hears as the node does, but faster; the evidence is taken where it is asked for."""

    def __init__(self) -> None:
        self.transcribe = Transcriber(ModelSettings(id=str(MODEL)))
        self.detector = TurnDetector(lambda: find_turn_model(str(TURN_MODEL), True, print))
        self.detector.load().future.result()

    def pauses(self, name: str, samples: np.ndarray, since: float) -> Iterator[Pause]:
        """Yield the pauses that begin after `since`, in seconds, and have evidence."""
        random = np.random.default_rng(len(samples))
        samples = np.pad(samples, (round(BEFORE * RATE), round(BEHIND * RATE)))
        samples = samples + random.normal(0, LOUDNESS, len(samples)).astype(np.float32)
        activity, endpointer = VoiceActivity(), Endpointer(USUAL, 0.5, True)
        buffer = UtteranceBuffer(frame_count(0.5))
        evidence, text, begun = None, '', 0.0
        for frame in Framer().push(samples, 0.0):
            before = endpointer.pause
            probability = activity(frame.samples)
            endpointer.step(probability)
            buffer.push(frame, probability, endpointer.speaking)
            if endpointer.pause == 0 and evidence is not None:
                yield Pause(name, before * FRAME_DURATION, evidence, text)
                evidence = None
            begun = (endpointer.speech_end or 0) * FRAME_DURATION - BEFORE
            if endpointer.pause == ASKED and begun > since:
                job = self.detector.ask(buffer.latest(HEARD, endpointer))
                assert job is not None
                voiced = endpointer.voiced * FRAME_DURATION
                evidence = Evidence(voiced, job.future.result())
            if endpointer.pause == frame_count(SHORT_PAUSE) and evidence is not None:
                utterance = buffer.utterance(endpointer, Ending.SILENCE, '')
                hypothesis = self.transcribe(utterance)
                text = hypothesis.text
                rejected = rejection(hypothesis, utterance, HallucinationFilterSettings())
                found = TextEvidence.UNKNOWN if rejected else text_evidence(hypothesis)
                evidence = replace(evidence, text=found)
        if evidence is not None and evidence.text is not None:
            yield Pause(name, np.inf, evidence, text)

    def inside(self, clips: dict[str, Clip]) -> Iterator[Pause]:
        """Yield a pause of 1.5 s at each word boundary within people's sentences."""
        for name, (samples, text) in clips.items():
            for word, start in aligned(samples, plain(text.replace('-', ' ')))[1:]:
                print(f'\r{name} {word:20}', end='', file=sys.stderr)
                cut = round(start * RATE)
                silence = np.zeros(round(LENGTHS[-1] * RATE), np.float32)
                # The words behind it say how long it is for voice activity.
                halves = samples[:cut], silence, samples[cut : cut + RATE]
                for pause in self.pauses(name, np.concatenate(halves), start - 0.3):
                    if LENGTHS[-1] - 0.6 < pause.length < np.inf:
                        yield pause
                        break


Rule = Callable[[Evidence], float]


def rules() -> dict[str, dict[str, Rule]]:
    """Return the ways to decide, by kind and setting: from evidence to a pause in seconds."""
    settings = UtteranceSettings()

    def by(**changes) -> Rule:
        changed = replace(settings, **changes)
        return lambda evidence: required_pause(evidence, changed)[0]

    def text_alone(evidence: Evidence) -> float:
        neutral = replace(evidence, probability=0.8)  # neither sure nor doubtful
        return required_pause(neutral, settings)[0]

    return {
        'fixed pause': {f'{s:g} s': by(turn_detection='silence', end_silence=s) for s in FIXED},
        'Smart Turn': {
            f'{t:g}': by(turn_detection='smart_turn', turn_threshold=t) for t in THRESHOLDS
        },
        'text': {'': text_alone},
        'both': {f'{t:g}': by(turn_threshold=t) for t in THRESHOLDS},
    }


def judged(rule: Rule, inside: list[Pause], ends: list[Pause]) -> dict:
    """Return the share of pauses that cut a sentence, and how long whole sentences wait."""
    cut = []
    for pause in inside:
        required = ended(rule, pause)
        heard = LENGTHS - (LENGTHS[-1] - pause.length)  # of each length, by voice activity
        cut.append(float(np.mean(heard >= required)))
    waits = [ended(rule, pause) for pause in ends]
    return {
        'cut': statistics.mean(cut),
        'median': statistics.median(waits),
        'mean': statistics.mean(waits),
        '95 %': percentile(waits, 0.95),
        'at once': statistics.mean(wait < 0.69 for wait in waits),
    }


def ended(rule: Rule, pause: Pause) -> float:
    """Return the pause at which an utterance ends; not before the evidence is there."""
    required = rule(pause.evidence)
    return KNOWN if required == SHORT_PAUSE else required


def show_cuts(inside: list[Pause], ends: list[Pause]) -> list[dict]:
    rows = [
        {'kind': kind, 'setting': setting, **judged(rule, inside, ends)}
        for kind, settings in rules().items()
        for setting, rule in settings.items()
    ]
    usual = next(row for row in rows if row['setting'] == '0.7 s')
    print(f'\n{len(inside)} pauses set into sentences of people, {len(ends)} ends of sentences:')
    print(f'{"":20}{"cut":>8}{"of 0.7 s":>10}{"at once":>9}{"median s":>10}{"95 % s":>8}')
    for row in rows:
        print(
            f'{row["kind"] + " " + row["setting"]:20}{row["cut"]:8.0%}'
            f'{row["cut"] / usual["cut"]:10.2f}{row["at once"]:9.0%}'
            f'{row["median"]:10.2f}{row["95 %"]:8.2f}'
        )
    return rows


def in_real_time(clips: list[tuple[str, Clip]]) -> dict[str, list[dict]]:
    """Return what happened to each clip, with turn detection and with the fixed pause."""
    from std_msgs.msg import String

    found: dict[str, list[dict]] = {'silence': [], 'auto': []}
    with VirtualMicrophone() as room:
        with robot(environment=room.environment, utterance__turn_model=str(TURN_MODEL)) as (
            client,
            process,
        ):
            arrivals: list[float] = []
            client.node.create_subscription(
                String, 'speech/text', lambda _: arrivals.append(time.time()), 10
            )
            client.wait_state('ready')
            for number, (name, (samples, _)) in enumerate(clips * len(found)):
                mode = list(found)[number // len(clips)]
                print(f'\r{mode}: {name:30}', end='', file=sys.stderr)
                client.transcripts.clear()
                arrivals.clear()
                commands = list(WORDS) if name.startswith('command') else []
                listening = client.listen(turn_detection=mode, commands=commands)
                client.wait_state('waiting', 'hearing')
                before, begun = processor_time(process.process.pid), time.time()
                room.say(samples, wait=False)
                _, transcript = listening.result(60)
                load = (processor_time(process.process.pid) - before) / (time.time() - begun)
                if transcript.accepted:
                    wait_for(lambda: arrivals, 5, 'the text')
                    spoken_until = transcript.end_of_speech
                    end = spoken_until.sec + spoken_until.nanosec / 1e9
                    total = arrivals[0] - end
                    ending = Ending(transcript.ending).name
                    row = {'name': name, 'total': total, 'ending': ending, 'load': load}
                    found[mode].append({**row, 'text': transcript.text})
                room.quiet()
    print(file=sys.stderr)
    return found


def show_real_time(found: dict[str, list[dict]]) -> None:
    print('\nFrom the end of speech to the text on the topic (s), and load while hearing (cores):')
    print(f'{"":30}{"clips":>6}{"median":>8}{"95 %":>8}{"most":>8}{"load":>7}  endings')
    for group, title in (('sentence', ''), ('word', ''), ('command', ', in commands')):
        for mode, rows in found.items():
            chosen = [row for row in rows if row['name'].startswith(group)]
            if not chosen:
                continue
            totals = [row['total'] for row in chosen]
            endings = [row['ending'] for row in chosen]
            counts = ', '.join(f'{endings.count(e)} {e}' for e in sorted(set(endings)))
            name = f'{"sentences" if group == "sentence" else "words"}{title}, {mode}'
            load = statistics.median(row['load'] for row in chosen)
            print(
                f'{name:30}{len(chosen):6}{statistics.median(totals):8.3f}'
                f'{percentile(totals, 0.95):8.3f}{max(totals):8.3f}{load:7.2f}  {counts}'
            )


def plot(rows: list[dict]) -> None:
    import matplotlib as mpl

    mpl.use('Agg')
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 5))
    for kind in dict.fromkeys(row['kind'] for row in rows):
        chosen = [row for row in rows if row['kind'] == kind]
        x, y = [row['mean'] for row in chosen], [100 * row['cut'] for row in chosen]
        axes.plot(x, y, 'o-', label=kind)
        # Those of "both" are close together, so they stand below the points, one under the other.
        for number, (row, place) in enumerate(zip(chosen, zip(x, y))):
            offset = (5, 5) if kind != 'both' else (-8, -14 - 11 * (number % 3))
            axes.annotate(row['setting'], place, offset, textcoords='offset points', fontsize=8)
    axes.set(
        xlabel='from the end of a sentence to the end of the utterance (s, mean)',
        ylabel='pauses inside a sentence that cut it (%)',
        xlim=(0, None),
        ylim=(0, 105),
    )
    axes.legend()
    figure.tight_layout()
    figure.savefig(RESULTS / 'turns.png', dpi=110)
    print(f'wrote {RESULTS / "turns.png"}')


def main() -> None:
    parser = argparse.ArgumentParser(
        description='How soon utterances end, and how often too soon.'
    )
    parser.add_argument('--quick', action='store_true', help='a part of the material')
    parser.add_argument('--only', choices=('cuts', 'real-time'))
    options = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    results = {}
    if options.only != 'real-time':
        ears = Ears()
        people = dict(list(speech().items())[:: 3 if options.quick else 1])
        inside = list(ears.inside(people))
        ends = [
            pause
            for number, (samples, _) in enumerate(short())
            for pause in ears.pauses(f'sentence {number}', samples, 0.0)
            if pause.length == np.inf
        ]
        print(file=sys.stderr)
        results['cuts'] = show_cuts(inside, ends)
        # For whoever wants to try another rule.
        results['pauses'] = [
            {
                **vars(pause),
                'evidence': vars(pause.evidence)
                | {'text': (pause.evidence.text or TextEvidence.UNKNOWN).name},
            }
            for pause in inside + ends
        ]
        plot(results['cuts'])
    if options.only != 'cuts':
        sentences = short()[:: 3 if options.quick else 1]
        clips = [(f'sentence {number}', clip) for number, clip in enumerate(sentences)]
        for kind in ('word', 'command'):
            clips += [(f'{kind} {w}', (spoken(w, 'en-us', 150), w)) for w in WORDS]
        results['real time'] = in_real_time(clips)
        show_real_time(results['real time'])
    (RESULTS / 'turns.json').write_text(json.dumps(results, indent=1))


if __name__ == '__main__':
    main()
