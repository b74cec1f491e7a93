"""Hearing beyond one request: policies, hands-free, mute, the robot's own voice, partial text."""

import threading
import time

import numpy as np
import pytest
from test_recognizer import Loudness, Notes, said, Script, SETTINGS

from distil_whisper_ros.core.audio_format import Frame, FRAME_DURATION, FRAME_LENGTH
from distil_whisper_ros.core.errors import BusyError, DeviceError
from distil_whisper_ros.core.scheduler import JobAborted, Priority, Scheduler
from distil_whisper_ros.core.settings import settings_from
from distil_whisper_ros.core.types import Ending, Hypothesis, Outcome, Segment, State
from distil_whisper_ros.speech.partial_text import LocalAgreement
from distil_whisper_ros.speech.recognizer import Recognizer


def with_settings(**more):
    values = {
        'microphone.pre_roll': 5 * FRAME_DURATION,
        'utterance.wait_for_speech': 20 * FRAME_DURATION,
        'utterance.end_silence': 6 * FRAME_DURATION,
        **{name.replace('__', '.'): value for name, value in more.items()},
    }
    return settings_from(values)


class Stream:
    """A live AudioSource that a test feeds: 'S' is a frame of speech, '_' of silence."""

    live = True

    def __init__(self) -> None:
        self.opened = 0
        self.condition = threading.Condition()
        self.frames: list[Frame] = []
        self.listening = False
        self.lost = False

    def open(self) -> None:
        self.opened += 1

    def say(self, script: str, moment: float | None = None) -> None:
        with self.condition:
            for symbol in script:
                value = 0.5 if symbol == 'S' else 0.001
                samples = np.full(FRAME_LENGTH, value, np.float32)
                self.frames.append(Frame(samples, time.monotonic() if moment is None else moment))
            self.condition.notify()

    def begin(self) -> None:
        if self.lost:
            raise DeviceError('the microphone is gone')
        self.listening = True

    def read(self, wait_for=1):
        if self.lost:
            raise DeviceError('the microphone is gone')
        with self.condition:
            if not self.frames:
                self.condition.wait(0.01)
            return self.frames.pop(0) if self.frames else None

    def end(self) -> None:
        self.listening = False

    def close(self) -> None:
        self.opened -= 1

    health = Script('').health

    def wait_empty(self) -> None:
        deadline = time.monotonic() + 5
        while self.frames and time.monotonic() < deadline:
            time.sleep(0.002)
        time.sleep(0.03)


@pytest.fixture
def make():
    made = []

    def recognizer(transcribe=said, source=None):
        stream, notes = source or Stream(), Notes()
        built = Recognizer(stream, Loudness(), transcribe, notes, Scheduler())
        built.start()
        made.append(built)
        return built, stream, notes

    yield recognizer
    for each in made:
        each.close()


def until(condition, what='it', timeout=5.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f'{what} did not happen'
        time.sleep(0.002)


SENTENCE = 'S' * 20 + '_' * 8


class TestPolicy:
    def test_a_queue_answers_in_order(self, make):
        recognizer, stream, _ = make()
        settings = with_settings(requests__policy='queue', requests__queue_length=2)
        first = recognizer.record(settings)
        until(lambda: recognizer._current is first)
        second, third = recognizer.record(settings), recognizer.record(settings)
        with pytest.raises(BusyError, match='2 requests wait already'):
            recognizer.record(settings)
        for request in (first, second, third):
            stream.say(SENTENCE)
            assert request.result(5).accepted
        assert [r.result().id for r in (first, second, third)] == [1, 2, 3]

    def test_a_waiting_request_can_be_canceled_alone(self, make):
        recognizer, stream, _ = make()
        settings = with_settings(requests__policy='queue')
        first, second = recognizer.record(settings), recognizer.record(settings)
        until(lambda: recognizer._current is first)
        assert recognizer.cancel(second)
        assert second.result(5).outcome is Outcome.CANCELED
        stream.say(SENTENCE)
        assert first.result(5).accepted

    def test_a_newer_request_preempts(self, make):
        recognizer, stream, notes = make()
        settings = with_settings(requests__policy='preempt')
        first = recognizer.record(settings)
        stream.say('S' * 10)
        until(lambda: State.HEARING in notes.states)
        second = recognizer.record(settings)
        assert first.result(5).outcome is Outcome.CANCELED
        assert 'newer request' in first.result().reason
        stream.say(SENTENCE)
        assert second.result(5).accepted

    def test_a_canceled_transcription_does_not_keep_the_next_waiting(self, make):
        def slow(utterance, settings, turn):
            for _ in range(1000):
                turn.check()
                time.sleep(0.005)
            return said(utterance)

        recognizer, stream, notes = make(slow)
        first = recognizer.record(SETTINGS)
        stream.say(SENTENCE)
        until(lambda: State.TRANSCRIBING in notes.states)
        begun = time.monotonic()
        assert recognizer.cancel(first)
        assert first.result(5).outcome is Outcome.CANCELED
        recognizer.record(SETTINGS)  # not busy
        assert time.monotonic() - begun < 1.0
        assert notes.transcripts == []  # nothing is published


class TestHandsFree:
    def test_every_utterance_is_heard(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        for count in range(1, 6):
            stream.say('_' * 10 + SENTENCE)
            until(lambda count=count: len(notes.transcripts) == count)
        assert all(t.accepted for t in notes.transcripts)
        assert [t.id for t in notes.transcripts] == sorted(t.id for t in notes.transcripts)
        assert State.READY not in notes.states

    def test_none_is_lost_while_one_is_transcribed(self, make):
        gate = threading.Event()

        def slow(utterance, *_):
            gate.wait(5)
            return said(utterance)

        recognizer, stream, notes = make(slow)
        settings = with_settings(utterance__speculative=False)
        recognizer.hear_hands_free(lambda: settings)
        for _ in range(4):
            stream.say('_' * 10 + SENTENCE)
        stream.wait_empty()
        assert not notes.transcripts
        gate.set()
        until(lambda: len(notes.transcripts) == 4)
        durations = [round(t.utterance.duration / FRAME_DURATION) for t in notes.transcripts]
        assert durations == [31] * 4  # each with its pre-roll and the pause behind it
        assert recognizer.dropped == 0

    def test_beyond_the_queue_the_oldest_is_dropped_counted_and_reported(self, make):
        gate = threading.Event()

        def slow(utterance, *_):
            gate.wait(5)
            return said(utterance)

        recognizer, stream, notes = make(slow)
        settings = with_settings(utterance__speculative=False, hands_free__queue_length=2)
        recognizer.hear_hands_free(lambda: settings)
        stream.say('_' * 10 + SENTENCE)
        until(lambda: not recognizer._worker.idle)
        for _ in range(4):
            stream.say('_' * 10 + SENTENCE)
        stream.wait_empty()
        until(lambda: recognizer.dropped == 2)
        gate.set()
        until(lambda: len(notes.transcripts) == 5)
        dropped = [t for t in notes.transcripts if not t.accepted]
        assert [t.id for t in dropped] == [2, 3]
        assert 'utterances come faster than they are transcribed' in dropped[0].reason

    def test_a_request_gets_the_utterance_that_is_being_heard(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        stream.say('S' * 15)
        until(lambda: State.HEARING in notes.states)
        request = recognizer.record(SETTINGS)
        stream.say(SENTENCE)
        assert request.result(5).accepted
        assert len(notes.transcripts) == 1  # published once
        assert request.result().utterance.voiced == pytest.approx(35 * FRAME_DURATION)
        stream.say('_' * 5 + SENTENCE)  # and hearing goes on
        until(lambda: len(notes.transcripts) == 2)

    def test_a_request_while_nobody_speaks_has_its_own_limits(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        stream.say('_' * 50)
        stream.wait_empty()
        request = recognizer.record(SETTINGS)
        stream.say('_' * 25)
        assert request.result(5).outcome is Outcome.NO_SPEECH
        stream.say('_' * 5 + SENTENCE)
        until(lambda: [t.outcome for t in notes.transcripts][-1] is Outcome.TRANSCRIBED)

    def test_it_ends(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.hear_hands_free(None)
        until(lambda: notes.states[-1] is State.READY)
        assert not stream.listening
        assert notes.transcripts == []

    def test_a_lost_microphone_is_told_once_and_comes_back(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        stream.say('S' * 20)
        stream.wait_empty()
        stream.lost = True
        until(lambda: len(notes.transcripts) == 1)
        assert notes.transcripts[0].accepted  # what was heard before
        assert notes.transcripts[0].utterance.ending is Ending.MICROPHONE_LOST
        until(lambda: State.LOST in notes.states)
        time.sleep(0.5)
        assert notes.states.count(State.LOST) == 1
        stream.lost = False
        stream.say('_' * 10 + SENTENCE)
        until(lambda: len(notes.transcripts) == 2)
        assert notes.states[-1] is State.WAITING

    def test_a_recording_ends_it(self, make):
        script = Script(('_' * 10 + SENTENCE) * 5)
        recognizer, _, notes = make(source=script)
        recognizer.hear_hands_free(lambda: SETTINGS)
        until(lambda: len(notes.transcripts) == 5)
        until(lambda: not recognizer.hands_free and notes.states[-1] is State.READY)


class TestMute:
    def test_it_closes_the_microphone(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        stream.say('S' * 10)
        until(lambda: State.HEARING in notes.states)
        recognizer.mute(True)
        assert stream.opened == 0
        assert request.result(5).outcome is Outcome.MUTED
        until(lambda: notes.states[-1] is State.MUTED)
        again = recognizer.record(SETTINGS).result(5)
        assert again.outcome is Outcome.MUTED
        assert 'speech/mute' in again.reason
        recognizer.mute(False)
        assert stream.opened == 1
        assert notes.states[-1] is State.READY
        request = recognizer.record(SETTINGS)
        stream.frames.clear()
        stream.say(SENTENCE)
        assert request.result(5).accepted

    def test_hands_free_survives_it(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.mute(True)
        until(lambda: not stream.listening)
        stream.frames.clear()
        recognizer.mute(False)
        until(lambda: stream.listening)
        stream.say('_' * 10 + SENTENCE)
        until(lambda: len(notes.transcripts) == 1)


class TestTheRobotsOwnVoice:
    def test_it_is_not_heard_and_what_follows_is(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.hush.begin('say')
        stream.say('S' * 60)  # the robot
        stream.wait_empty()
        assert notes.states[-1] is State.MUTED
        recognizer.hush.end('say', 0.0)
        stream.say('_' * 6)
        stream.say(SENTENCE)
        transcript = request.result(5)
        assert transcript.accepted
        assert transcript.utterance.voiced == pytest.approx(20 * FRAME_DURATION)

    def test_its_tail_is_not_heard_either(self, make):
        recognizer, stream, _ = make()
        recognizer.hush.begin('say')
        recognizer.hush.end('say', 0.3)
        assert recognizer.hush.covers(time.monotonic() + 0.25)
        assert not recognizer.hush.covers(time.monotonic() + 0.35)

    def test_a_sentence_that_it_interrupts_is_dropped_whole(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        stream.say('S' * 20)
        until(lambda: State.HEARING in notes.states)
        stream.wait_empty()
        recognizer.hush.begin('say')
        stream.say('S' * 5)
        transcript = request.result(5)
        assert transcript.outcome is Outcome.MUTED
        assert 'the robot began to speak' in transcript.reason

    def test_a_sentence_that_was_over_is_transcribed(self, make):
        recognizer, stream, _ = make()
        settings = with_settings(utterance__end_silence=1.0)
        request = recognizer.record(settings)
        stream.say('S' * 20 + '_' * 10)
        stream.wait_empty()
        recognizer.hush.begin('say')
        stream.say('S' * 5)
        transcript = request.result(5)
        assert transcript.accepted
        assert transcript.utterance.ending is Ending.MUTED

    def test_a_sentence_that_began_meanwhile_is_not_cut_in_half(self, make):
        recognizer, stream, notes = make()
        recognizer.hear_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.hush.begin('say')
        stream.say('S' * 10)
        stream.wait_empty()
        recognizer.hush.end('say', 0.0)
        time.sleep(0.01)
        stream.say('S' * 20 + '_' * 8)  # the rest of it
        stream.say('_' * 5 + 'S' * 25 + '_' * 8)
        until(lambda: len(notes.transcripts) == 1)
        time.sleep(0.05)
        (transcript,) = notes.transcripts
        assert transcript.utterance.voiced == pytest.approx(25 * FRAME_DURATION)


class TestPartial:
    def test_text_grows_and_settles_while_the_person_speaks(self, make):
        def grows(utterance, *_):
            count = max(1, round(utterance.voiced / FRAME_DURATION / 5))
            text = ' '.join(f'w{number}' for number in range(count))
            return Hypothesis((Segment(text, 0.0, 1.0, -0.1, 0.01, 0.8),))

        recognizer, stream, notes = make(grows)
        notes.reads_along = True
        settings = with_settings(
            partial__period=0.1, hallucination_filter__max_words_per_second=50.0
        )
        request = recognizer.record(settings)
        for _ in range(60):
            stream.say('S')
            stream.wait_empty()
        stream.say('_' * 8)
        final = request.result(5).text
        assert len(notes.partial) > 3
        for before, after in zip(notes.partial, notes.partial[1:]):
            assert after.startswith(before)
        assert final.startswith(notes.partial[-1])

    def test_without_a_reader_it_costs_nothing(self, make):
        calls = []

        def counts(utterance, *_):
            calls.append(utterance)
            return said(utterance)

        recognizer, stream, notes = make(counts)
        request = recognizer.record(SETTINGS)
        for _ in range(60):
            stream.say('S')
            time.sleep(0.002)
        stream.say('_' * 8)
        assert request.result(5).accepted
        assert len(calls) == 1
        assert notes.partial == []

    def test_it_gives_way_to_the_final_text(self, make):
        aborted = threading.Event()

        def slow(utterance, settings, turn):
            if not settings.word_timestamps:  # a partial one
                try:
                    while True:
                        turn.check()
                        time.sleep(0.002)
                except JobAborted:
                    aborted.set()
                    raise
            return said(utterance)

        recognizer, stream, notes = make(slow)
        notes.reads_along = True
        request = recognizer.record(with_settings(partial__period=0.1))
        for _ in range(20):
            stream.say('S')
            stream.wait_empty()
        stream.say('_' * 8)
        assert request.result(5).accepted
        assert aborted.is_set()

    def test_agreement(self):
        agreement = LocalAgreement()
        assert agreement.push('go for') == ''
        assert agreement.push('Go forward ten') == 'Go'
        assert agreement.push('go forward ten me') == 'Go forward ten'
        assert agreement.push('go backward') == 'Go forward ten'  # what is settled stays
        assert agreement.settle('go forward ten meters.') == 'Go forward ten meters.'


class TestWorker:
    def test_the_most_urgent_is_done_first(self):
        worker, order, gate = Scheduler(), [], threading.Event()
        worker.submit(Priority.FINAL, lambda turn: gate.wait(5))
        jobs = [
            worker.submit(rank, lambda turn, rank=rank: order.append(rank))
            for rank in (Priority.FOREIGN, Priority.PARTIAL, Priority.FINAL, Priority.SPECULATIVE)
        ]
        gate.set()
        for job in jobs:
            job.future.result(5)
        assert order == sorted(order)
        worker.close()

    def test_a_long_job_gives_way(self):
        worker, order = Scheduler(), []
        started, submitted = threading.Event(), threading.Event()

        def long(turn):
            order.append('first part')
            started.set()
            submitted.wait(5)
            turn.yield_control()
            order.append('second part')

        job = worker.submit(Priority.FOREIGN, long)
        started.wait(5)
        worker.submit(Priority.FOREIGN, lambda turn: order.append('later'))
        worker.submit(Priority.FINAL, lambda turn: order.append('urgent'))
        submitted.set()
        job.future.result(5)
        until(lambda: len(order) == 4)
        assert order == ['first part', 'urgent', 'second part', 'later']
        worker.close()

    def test_a_failed_job_fails_alone(self):
        worker = Scheduler()

        def fails(turn):
            raise ValueError('no')

        with pytest.raises(ValueError, match='no'):
            worker.submit(Priority.FINAL, fails).future.result(5)
        assert worker.submit(Priority.FINAL, lambda turn: 1).future.result(5) == 1
        worker.close()
