"""Whatever a part of the recognizer raises, in any state: no thread dies, no request hangs."""

import itertools
import threading
import time

import pytest
from scripted import build, Loudness, Notes, said, SETTINGS, Stream, until, with_settings

from distil_whisper_ros.core.audio_format import FRAME_DURATION
from distil_whisper_ros.core.types import Outcome, State

SENTENCE = 'S' * 20 + '_' * 8


class Fault:
    """Raises once, at the next call of the part that it is set for."""

    def __init__(self) -> None:
        self.part = ''
        self.raised = False

    def __call__(self, part: str) -> None:
        if part == self.part:
            self.part, self.raised = '', True
            raise RuntimeError(f'surprise in {part}')


class FaultyStream(Stream):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault

    def begin(self) -> None:
        self.fault('source.begin')
        super().begin()

    def read(self, wait_for=1):
        self.fault('source.read')
        return super().read(wait_for)

    def end(self) -> None:
        self.fault('source.end')
        super().end()

    def open(self) -> None:
        self.fault('source.open')
        super().open()

    def close(self) -> None:
        self.fault('source.close')
        super().close()

    def health(self):
        if threading.current_thread().name in ('listener', 'events'):
            self.fault('source.health')
        return super().health()


class FaultyActivity(Loudness):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def __call__(self, frame) -> float:
        self.fault('voice activity')
        return super().__call__(frame)

    def reset(self) -> None:
        self.fault('voice activity.reset')


class FaultyNotes(Notes):
    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault
        self.reads_along = True

    def on_state(self, state, detail, facts) -> None:
        super().on_state(state, detail, facts)
        self.fault('observer.on_state')

    def on_transcript(self, transcript) -> None:
        self.fault('observer.on_transcript')
        super().on_transcript(transcript)

    def on_partial(self, request, text) -> None:
        self.fault('observer.on_partial')
        super().on_partial(request, text)

    def wants_partial(self) -> bool:
        self.fault('observer.wants_partial')
        return True

    def on_failure(self, error) -> None:
        super().on_failure(error)
        self.fault('observer.on_failure')


PARTS = [
    'voice activity',
    'voice activity.reset',
    'source.begin',
    'source.read',
    'source.end',
    'source.health',
    'transcriber',
    'hallucination filter',
    'observer.on_state',
    'observer.on_transcript',
    'observer.on_partial',
    'observer.wants_partial',
    'observer.on_failure',
]


class Rig:
    """A recognizer all of whose parts can fail."""

    def __init__(self, monkeypatch) -> None:
        self.fault = Fault()
        self.gate = threading.Event()
        self.gate.set()
        self.stream, self.notes = FaultyStream(self.fault), FaultyNotes(self.fault)

        def transcribe(utterance, *_):
            self.gate.wait(10)
            self.fault('transcriber')
            return said(utterance)

        from distil_whisper_ros.speech import outcomes

        real = outcomes.filtered

        def filtered(*arguments):
            self.fault('hallucination filter')
            return real(*arguments)

        monkeypatch.setattr(outcomes, 'filtered', filtered)
        self.recognizer = build(
            self.stream, self.notes, transcribe, FaultyActivity(self.fault)
        )  # fmt: skip

    def arm(self, part: str) -> None:
        self.fault.part = part
        if part == 'observer.on_failure':  # which needs another failure first
            self.stream.fault = Fault()
            self.stream.fault.part = 'source.read'

    def check_threads(self) -> None:
        assert self.recognizer._listener.is_alive()
        assert self.recognizer._answerer.is_alive()


@pytest.fixture
def rig(monkeypatch):
    built = Rig(monkeypatch)
    yield built
    built.fault.part = ''
    built.gate.set()
    built.recognizer.close()


def reach(rig: Rig, state: State, saying: str) -> str:
    """Bring the recognizer to a state; return the part of the sentence that is still unsaid."""
    if state in (State.HEARING, State.TRANSCRIBING):
        rig.stream.say(saying[:15])
        until(lambda: rig.recognizer._machine.state is State.HEARING, 'hearing')
    if state is not State.TRANSCRIBING:
        return saying[15:] if state is State.HEARING else saying
    rig.gate.clear()
    rig.stream.say(saying[15:])
    until(lambda: rig.recognizer._machine.state is State.TRANSCRIBING, 'transcribing')
    return ''


STATES = (State.READY, State.WAITING, State.HEARING, State.TRANSCRIBING)


@pytest.mark.parametrize(('part', 'state'), [*itertools.product(PARTS, STATES)])
def test_a_request_ends_and_the_next_one_works(rig, part, state):
    if state is State.READY:
        rig.arm(part)
    request = rig.recognizer.record(SETTINGS)
    if state is not State.READY:
        until(lambda: rig.recognizer._machine.state is State.WAITING, 'waiting')
        rest = reach(rig, state, SENTENCE)
        rig.arm(part)
    else:
        rest = SENTENCE
    rig.gate.set()
    rig.stream.say(rest)
    outcomes = [request.result(10).outcome]
    for _ in range(3):
        rig.stream.frames.clear()
        again = rig.recognizer.record(SETTINGS)
        rig.stream.say('_' * 6 + SENTENCE)
        outcomes.append(again.result(10).outcome)
    assert outcomes[-1] is Outcome.TRANSCRIBED
    assert set(outcomes) <= {Outcome.TRANSCRIBED, Outcome.FAILED}
    if rig.fault.raised and part != 'observer.on_failure':
        assert any('surprise' in str(error) for error in rig.notes.failures)
    if part in ('voice activity', 'source.read', 'transcriber', 'hallucination filter'):
        assert rig.fault.raised
    rig.check_threads()


@pytest.mark.parametrize('part', PARTS)
def test_hands_free_goes_on(rig, part):
    rig.recognizer.set_hands_free(lambda: SETTINGS)
    rig.stream.say('_' * 10 + SENTENCE)
    until(lambda: len(rig.notes.transcripts) == 1)
    rig.stream.say('_' * 10 + 'S' * 5)
    rig.arm(part)
    if part == 'source.begin':
        rig.recognizer.set_hands_free(None)
        rig.recognizer.set_hands_free(lambda: SETTINGS)
    rig.stream.say('S' * 15 + '_' * 8)
    deadline = time.monotonic() + 10
    before = len([t for t in rig.notes.transcripts if t.accepted])
    while len([t for t in rig.notes.transcripts if t.accepted]) < before + 2:
        assert time.monotonic() < deadline, 'it went deaf'
        rig.stream.say('_' * 10 + SENTENCE)
        time.sleep(0.1)
    rig.check_threads()
    assert rig.recognizer.hands_free


def test_settings_that_fail_do_not_end_hands_free(rig):
    """As when a parameter has a value that cannot be used."""
    bad = threading.Event()

    def settings():
        if bad.is_set():
            raise RuntimeError('no settings')
        return SETTINGS

    bad.set()
    rig.recognizer.set_hands_free(settings)
    until(lambda: rig.notes.failures)
    bad.clear()
    deadline = time.monotonic() + 10
    while not rig.notes.transcripts:
        assert time.monotonic() < deadline, 'it went deaf'
        rig.stream.say('_' * 10 + SENTENCE)
        time.sleep(0.1)


def test_a_live_source_that_delivers_nothing_is_lost(monkeypatch):
    from distil_whisper_ros.speech import listening

    monkeypatch.setattr(listening, 'STALLED', 0.3)
    stream, notes = Stream(), Notes()
    built = build(stream, notes)
    transcript = built.record(SETTINGS).result(10)
    assert transcript.outcome is Outcome.MICROPHONE_LOST
    assert 'delivered nothing' in transcript.reason
    built.close()


def test_a_failure_leaves_the_utterance_before_it_alone(rig):
    """It is still being transcribed, by the job that began at its pause."""
    settings = with_settings(utterance__end_silence=15 * FRAME_DURATION)
    rig.recognizer.set_hands_free(lambda: settings)
    rig.gate.clear()
    for symbol in '_' * 10 + 'S' * 20 + '_' * 16:  # as it is spoken, so that there is a job ahead
        rig.stream.say(symbol)
        time.sleep(0.002)
    agenda = rig.recognizer._agenda
    until(lambda: any(request.job is not None for request in agenda.wanted()[:1]))
    rig.stream.say('_' * 3)
    rig.stream.wait_empty()
    rig.arm('voice activity')
    rig.stream.say('S')
    until(lambda: rig.fault.raised)
    time.sleep(0.05)
    rig.gate.set()
    until(lambda: any(t.accepted for t in rig.notes.transcripts), 'the text')


@pytest.mark.parametrize('part', ['source.open', 'source.close'])
def test_requests_end_though_mute_fails(rig, part):
    request = rig.recognizer.record(SETTINGS)
    until(lambda: rig.recognizer._machine.state is State.WAITING)
    if part == 'source.open':
        rig.recognizer.set_muted(True)
    rig.arm(part)
    with pytest.raises(RuntimeError, match='surprise'):
        rig.recognizer.set_muted(part == 'source.close')
    assert request.result(10).outcome is Outcome.MUTED
    assert rig.recognizer._machine.state is State.MUTED
    rig.recognizer.set_muted(False)
    rig.stream.frames.clear()
    again = rig.recognizer.record(SETTINGS)
    rig.stream.say('_' * 6 + SENTENCE)
    assert again.result(10).accepted


def test_the_state_tells_that_a_request_is_transcribed_after_hands_free(rig):
    rig.recognizer.set_hands_free(lambda: SETTINGS)
    rig.gate.clear()
    request = rig.recognizer.record(SETTINGS)
    rig.stream.say('_' * 6 + SENTENCE)
    until(lambda: request.job is not None)
    until(lambda: rig.recognizer._machine.state is State.WAITING)
    rig.recognizer.set_hands_free(None)
    until(lambda: rig.recognizer._machine.state is State.TRANSCRIBING)
    rig.gate.set()
    assert request.result(10).accepted
    until(lambda: rig.recognizer._machine.state is State.READY)
