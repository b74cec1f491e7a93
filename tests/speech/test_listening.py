"""Hearing beyond one request: policies, hands-free, mute, the robot's own voice, partial text."""

from contextlib import suppress
import threading
import time

import pytest
from scripted import BEHIND, build, Notes, said, Script, SETTINGS, Stream, until, with_settings

from distil_whisper_ros.core.audio_format import FRAME_DURATION
from distil_whisper_ros.core.errors import BusyError, DeviceError
from distil_whisper_ros.core.scheduler import JobAborted
from distil_whisper_ros.core.types import Ending, Hypothesis, Outcome, Segment, State
from distil_whisper_ros.speech.partial_text import LocalAgreement


@pytest.fixture
def make():
    made = []

    def recognizer(transcribe=said, source=None):
        stream, notes = source or Stream(), Notes()
        built = build(stream, notes, transcribe)
        made.append((built, notes))
        return built, stream, notes

    yield recognizer
    for each, notes in made:
        each.close()
        assert not any('must not become' in str(error) for error in notes.failures)


SENTENCE = 'S' * 20 + '_' * 8


class TestPolicy:
    def test_a_queue_answers_in_order(self, make):
        recognizer, stream, _ = make()
        settings = with_settings(requests__policy='queue', requests__queue_length=2)
        first = recognizer.record(settings)
        until(lambda: recognizer._agenda.heard is first)
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
        until(lambda: recognizer._agenda.heard is first)
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
        recognizer.set_hands_free(lambda: SETTINGS)
        for count in range(1, 6):
            stream.say('_' * 10 + SENTENCE)
            until(lambda count=count: len(notes.transcripts) == count)
        assert all(t.accepted for t in notes.transcripts)
        assert [t.id for t in notes.transcripts] == sorted(t.id for t in notes.transcripts)
        assert State.READY not in notes.states[notes.states.index(State.WAITING) :]

    def test_none_is_lost_while_one_is_transcribed(self, make):
        gate = threading.Event()

        def slow(utterance, *_):
            gate.wait(5)
            return said(utterance)

        recognizer, stream, notes = make(slow)
        settings = with_settings(utterance__speculative=False)
        recognizer.set_hands_free(lambda: settings)
        for _ in range(4):
            stream.say('_' * 10 + SENTENCE)
        stream.wait_empty()
        assert not notes.transcripts
        gate.set()
        until(lambda: len(notes.transcripts) == 4)
        durations = [round(t.utterance.duration / FRAME_DURATION) for t in notes.transcripts]
        assert durations == [25 + BEHIND] * 4  # each with its pre-roll and the pause behind it
        assert recognizer.dropped == 0

    def test_beyond_the_queue_the_oldest_is_dropped_counted_and_reported(self, make):
        gate = threading.Event()

        def slow(utterance, *_):
            gate.wait(5)
            return said(utterance)

        recognizer, stream, notes = make(slow)
        settings = with_settings(utterance__speculative=False, hands_free__queue_length=2)
        recognizer.set_hands_free(lambda: settings)
        stream.say('_' * 10 + SENTENCE)
        until(lambda: not recognizer._scheduler.idle)
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
        recognizer.set_hands_free(lambda: SETTINGS)
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
        recognizer.set_hands_free(lambda: SETTINGS)
        stream.say('_' * 50)
        stream.wait_empty()
        request = recognizer.record(SETTINGS)
        stream.say('_' * 25)
        assert request.result(5).outcome is Outcome.NO_SPEECH
        stream.say('_' * 5 + SENTENCE)
        until(lambda: [t.outcome for t in notes.transcripts][-1] is Outcome.TRANSCRIBED)

    def test_it_ends(self, make):
        recognizer, stream, notes = make()
        recognizer.set_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.set_hands_free(None)
        until(lambda: notes.states[-1] is State.READY)
        assert not stream.listening
        assert notes.transcripts == []

    def test_a_lost_microphone_is_told_once_and_comes_back(self, make):
        recognizer, stream, notes = make()
        recognizer.set_hands_free(lambda: SETTINGS)
        stream.say('S' * 20)
        stream.wait_empty()
        stream.lost = True
        until(lambda: len(notes.transcripts) == 1)
        assert notes.transcripts[0].accepted  # the speech before it
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
        recognizer.set_hands_free(lambda: SETTINGS)
        until(lambda: len(notes.transcripts) == 5)
        until(lambda: not recognizer.hands_free and notes.states[-1] is State.READY)


class TestMute:
    def test_it_closes_the_microphone(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        stream.say('S' * 10)
        until(lambda: State.HEARING in notes.states)
        recognizer.set_muted(True)
        assert stream.opened == 0
        assert request.result(5).outcome is Outcome.MUTED
        until(lambda: notes.states[-1] is State.MUTED)
        again = recognizer.record(SETTINGS).result(5)
        assert again.outcome is Outcome.MUTED
        assert 'speech/mute' in again.reason
        recognizer.set_muted(False)
        assert stream.opened == 1
        assert notes.states[-1] is State.READY
        request = recognizer.record(SETTINGS)
        stream.frames.clear()
        stream.say(SENTENCE)
        assert request.result(5).accepted

    def test_it_does_not_wait_for_a_microphone_that_is_being_opened(self):
        opening, closed = threading.Event(), threading.Event()

        class Slow(Stream):
            def open(self) -> None:
                opening.set()
                if closed.wait(30):
                    raise DeviceError('closed while it was opened')

            def close(self) -> None:
                closed.set()

        recognizer = build(Slow(), Notes(), muted=True)
        refused = []

        def unmute() -> None:
            try:
                recognizer.set_muted(False)
            except DeviceError as error:
                refused.append(error)

        closed.clear()
        thread = threading.Thread(target=unmute)
        thread.start()
        assert opening.wait(5)
        begun = time.monotonic()
        recognizer.set_muted(True)
        assert time.monotonic() - begun < 10
        thread.join(5)
        assert refused and recognizer.muted
        recognizer.close()

    @pytest.mark.parametrize('refuses', [False, True])
    def test_the_state_is_not_muted_while_the_microphone_is_being_opened(self, refuses):
        opening, opened = threading.Event(), threading.Event()

        class Slow(Stream):
            def open(self) -> None:
                opening.set()
                assert opened.wait(30)
                if refuses:
                    raise DeviceError('refused')
                super().open()

        recognizer = build(Slow(), Notes(), muted=True)
        assert recognizer._machine.state is State.MUTED

        def unmute() -> None:
            with suppress(DeviceError):
                recognizer.set_muted(False)

        thread = threading.Thread(target=unmute)
        thread.start()
        assert opening.wait(5)
        assert recognizer._machine.state is State.LOST
        recognizer.source_changed()
        assert recognizer._machine.state is State.LOST
        with pytest.raises(DeviceError, match='the microphone is being opened'):
            recognizer.record(SETTINGS)
        opened.set()
        thread.join(5)
        assert recognizer._machine.state is (State.MUTED if refuses else State.READY)
        recognizer.close()

    def test_hands_free_survives_it(self, make):
        recognizer, stream, notes = make()
        recognizer.set_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.set_muted(True)
        until(lambda: not stream.listening)
        stream.frames.clear()
        recognizer.set_muted(False)
        until(lambda: stream.listening)
        stream.say('_' * 10 + SENTENCE)
        until(lambda: len(notes.transcripts) == 1)


class TestTheRobotsOwnVoice:
    def test_it_is_not_heard_and_what_follows_is(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.self_speech.begin('say')
        stream.say('S' * 60)  # the robot
        stream.wait_empty()
        assert notes.states[-1] is State.SELF_SPEECH
        recognizer.self_speech.end('say', 0.0)
        stream.say('_' * 6)
        stream.say(SENTENCE)
        transcript = request.result(5)
        assert transcript.accepted
        assert transcript.utterance.voiced == pytest.approx(20 * FRAME_DURATION)

    def test_its_tail_is_not_heard_either(self, make):
        recognizer, stream, _ = make()
        recognizer.self_speech.begin('say')
        recognizer.self_speech.end('say', 0.3)
        assert recognizer.self_speech.covers(time.monotonic() + 0.25)
        assert not recognizer.self_speech.covers(time.monotonic() + 0.35)

    def test_a_sentence_that_it_interrupts_is_dropped_whole(self, make):
        recognizer, stream, notes = make()
        request = recognizer.record(SETTINGS)
        stream.say('S' * 20)
        until(lambda: State.HEARING in notes.states)
        stream.wait_empty()
        recognizer.self_speech.begin('say')
        stream.say('S' * 5)
        transcript = request.result(5)
        assert transcript.outcome is Outcome.SELF_SPEECH
        assert 'the robot started to speak' in transcript.reason

    def test_a_sentence_that_was_over_is_transcribed(self, make):
        recognizer, stream, _ = make()
        settings = with_settings(utterance__end_silence=1.0)
        request = recognizer.record(settings)
        stream.say('S' * 20 + '_' * 10)
        stream.wait_empty()
        recognizer.self_speech.begin('say')
        stream.say('S' * 5)
        transcript = request.result(5)
        assert transcript.accepted
        assert transcript.utterance.ending is Ending.SELF_SPEECH

    def test_a_sentence_that_began_meanwhile_is_not_cut_in_half(self, make):
        recognizer, stream, notes = make()
        recognizer.set_hands_free(lambda: SETTINGS)
        until(lambda: State.WAITING in notes.states)
        recognizer.self_speech.begin('say')
        stream.say('S' * 10)
        stream.wait_empty()
        recognizer.self_speech.end('say', 0.0)
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
        assert notes.partial in ([], ['go forward'])  # the text at the pause

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

    @pytest.mark.parametrize('width, partial', [(0, 1), (1, 1), (5, 5)])
    def test_what_is_in_doubt_is_not_searched(self, make, width, partial):
        widths: list[tuple[bool, int]] = []

        def transcribe(utterance, settings, turn):
            widths.append((settings.word_timestamps, settings.beam_width))
            return said(utterance)

        recognizer, stream, notes = make(transcribe)
        notes.reads_along = True
        request = recognizer.record(with_settings(partial__period=0.1, model__beam_width=width))
        for _ in range(20):
            stream.say('S')
            stream.wait_empty()
        stream.say('_' * 8)
        assert request.result(5).accepted
        assert set(widths) == {(False, partial), (True, width)}

    def test_agreement(self):
        agreement = LocalAgreement()
        assert agreement.push('go for') == ''
        assert agreement.push('Go forward ten') == 'Go'
        assert agreement.push('go forward ten me') == 'Go forward ten'
        assert agreement.push('go backward') == 'Go forward ten'  # settled words stay
        assert agreement.settle('go forward ten meters.') == 'Go forward ten meters.'
