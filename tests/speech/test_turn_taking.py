"""When an utterance ends at a pause: the decision by data alone, then in the listener."""

from dataclasses import replace
import threading
import time

import pytest
from scripted import build, Notes, Stream, until, with_settings

from distil_whisper_ros.core.audio_format import frame_count, FRAME_DURATION
from distil_whisper_ros.core.scheduler import Job, Priority
from distil_whisper_ros.core.settings import UtteranceSettings
from distil_whisper_ros.core.types import Ending, Hypothesis, Segment
from distil_whisper_ros.speech.request import Stage
from distil_whisper_ros.speech.turn_taking import (
    Evidence,
    required_pause,
    SHORT_PAUSE,
    text_evidence,
    TextEvidence,
)
from distil_whisper_ros.speech.turn_watch import ASKED
from distil_whisper_ros.speech.utterance_buffer import MARGIN

USUAL = UtteranceSettings()
AT_ONCE, SILENCE, WAIT = SHORT_PAUSE, USUAL.end_silence, USUAL.max_pause
LATE = {'s': 'S', '-': '_'}  # symbols of frames that come a second late


def hypothesis(text: str, end_confidence: float | None = 0.9) -> Hypothesis:
    segment = Segment(text, 0.0, 2.0, -0.1, 0.01, 0.8, end_confidence=end_confidence)
    return Hypothesis((segment,))


@pytest.mark.parametrize(
    ('text', 'end_confidence', 'evidence'),
    [
        ('Go somewhere and do something.', 0.9, TextEvidence.COMPLETE),
        ('Where are you?', 0.9, TextEvidence.COMPLETE),
        ('He was.', 0.9, TextEvidence.RARE),
        ('To consider how.', 0.9, TextEvidence.RARE),
        ('What are you looking at?', 0.9, TextEvidence.COMPLETE),
        ('Kommst du mit?', 0.9, TextEvidence.COMPLETE),
        ('Go somewhere and do something.', None, TextEvidence.COMPLETE),
        ('And Mr. John Dashwood.', 0.3, TextEvidence.DOUBTFUL),
        ('Remember where you found the keys.', 0.36, TextEvidence.POSSIBLE),
        ('Remember where you found the keys.', 0.35, TextEvidence.DOUBTFUL),
        ('Stop.', 0.9, TextEvidence.WORD),
        ('Stop', 0.9, TextEvidence.UNKNOWN),
        ('Go somewhere', 0.4, TextEvidence.UNFINISHED),
        ('He might even...', 0.9, TextEvidence.BROKEN_OFF),
        ('Four queen of f-', 0.9, TextEvidence.BROKEN_OFF),
        ('Turn left,', 0.9, TextEvidence.UNFINISHED),
        ('Go to the', 0.4, TextEvidence.OPEN),
        ('Go to the.', 0.9, TextEvidence.OPEN),
        ('Turn left and', 0.4, TextEvidence.OPEN),
        ('He was', 0.4, TextEvidence.OPEN),
        ('And', 0.4, TextEvidence.OPEN),
        ('I', 0.4, TextEvidence.OPEN),
        ('No', 0.4, TextEvidence.UNKNOWN),
        ('On.', 0.9, TextEvidence.WORD),
        ('Go forward 10', 0.4, TextEvidence.OPEN),
        ('Go forward ten.', 0.9, TextEvidence.OPEN),
        ('Turn left 45.', 0.9, TextEvidence.OPEN),
        ('Turn right one hundred and eighty', 0.9, TextEvidence.OPEN),
        ('10 20', 0.9, TextEvidence.UNKNOWN),
        ('Go forward 10 meters.', 0.9, TextEvidence.COMPLETE),
        ('Where are you from?', 0.9, TextEvidence.COMPLETE),
        ('Where are you from?', 0.3, TextEvidence.OPEN),
        ('Where are you from.', 0.9, TextEvidence.OPEN),
        ('Where is the?', 0.9, TextEvidence.OPEN),
        ('"I have done it."', 0.9, TextEvidence.COMPLETE),
        ('(I have done it.)', 0.9, TextEvidence.COMPLETE),
        ('He said, “I might even...”', 0.9, TextEvidence.BROKEN_OFF),
        ('Turn around.', 0.3, TextEvidence.DOUBTFUL),
        ('Bring me some more', 0.9, TextEvidence.UNFINISHED),
        ('« Je viens. »', 0.9, TextEvidence.COMPLETE),
        ('„Ich komme.“', 0.9, TextEvidence.COMPLETE),
        ('هل أنت هنا؟', 0.9, TextEvidence.COMPLETE),
        ('Turn by 90.', 0.9, TextEvidence.OPEN),
        ('Turn clockwise 90.', 0.9, TextEvidence.OPEN),
        ('Go forward 0.5.', 0.9, TextEvidence.OPEN),
        ('Take the left one.', 0.9, TextEvidence.COMPLETE),
        ('3 1 0 0 2', 0.7, TextEvidence.UNKNOWN),
        ('...', 0.9, TextEvidence.UNKNOWN),
        ('', 0.9, TextEvidence.UNKNOWN),
    ],
)
def test_what_a_text_tells(text, end_confidence, evidence):
    assert text_evidence(hypothesis(text, end_confidence)) is evidence


@pytest.mark.parametrize(
    ('text', 'language', 'evidence'),
    [
        ('Mach das Licht an.', 'de', TextEvidence.COMPLETE),
        ('Mach das Licht an', 'de', TextEvidence.UNFINISHED),
        ('Il y en a.', 'fr', TextEvidence.COMPLETE),
        ('This is an.', 'en', TextEvidence.OPEN),
        ('An.', 'de', TextEvidence.WORD),
        ('An.', 'en', TextEvidence.OPEN),
    ],
)
def test_the_words_that_want_more_are_english(text, language, evidence):
    assert text_evidence(replace(hypothesis(text), language=language)) is evidence


def test_a_command_counts_only_whole():
    commands = ['stop', 'turn left', '']
    assert text_evidence(hypothesis('Stop!'), commands) is TextEvidence.COMMAND
    assert text_evidence(hypothesis('turn left', 0.1), commands) is TextEvidence.COMMAND
    assert text_evidence(hypothesis('Turn left at the'), commands) is TextEvidence.OPEN
    assert text_evidence(hypothesis(''), commands) is TextEvidence.UNKNOWN
    longer = ['go', 'go forward']
    assert text_evidence(hypothesis('Go.'), longer) is TextEvidence.UNKNOWN
    assert text_evidence(hypothesis('Go forward.'), longer) is TextEvidence.COMMAND


@pytest.mark.parametrize(
    ('probability', 'text', 'voiced', 'pause', 'ending'),
    [
        # Both agree that the speaker is done.
        (0.97, TextEvidence.COMPLETE, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.75, TextEvidence.COMPLETE, 2.0, AT_ONCE, Ending.TEXT),
        (0.97, TextEvidence.DOUBTFUL, 0.9, AT_ONCE, Ending.SMART_TURN),
        (0.92, TextEvidence.DOUBTFUL, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.75, TextEvidence.POSSIBLE, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.5, TextEvidence.COMPLETE, 2.0, AT_ONCE, Ending.TEXT),
        (0.98, TextEvidence.UNFINISHED, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.99, TextEvidence.UNFINISHED, 0.8, AT_ONCE, Ending.SMART_TURN),
        (0.95, TextEvidence.RARE, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.97, TextEvidence.WORD, 0.4, AT_ONCE, Ending.SMART_TURN),
        (0.75, TextEvidence.COMPLETE, 0.5, SILENCE, Ending.SILENCE),
        # A command is a command, however it sounds.
        (0.01, TextEvidence.COMMAND, 0.4, AT_ONCE, Ending.COMMAND),
        # They disagree, or know too little.
        (0.05, TextEvidence.COMPLETE, 2.0, SILENCE, Ending.SILENCE),
        (0.97, TextEvidence.UNFINISHED, 2.0, SILENCE, Ending.SILENCE),
        (0.89, TextEvidence.DOUBTFUL, 2.0, SILENCE, Ending.SILENCE),
        (0.4, TextEvidence.DOUBTFUL, 2.0, SILENCE, Ending.SILENCE),
        (0.7, TextEvidence.POSSIBLE, 2.0, SILENCE, Ending.SILENCE),
        (0.05, TextEvidence.POSSIBLE, 2.0, SILENCE, Ending.SILENCE),
        (0.87, TextEvidence.DOUBTFUL, 0.9, SILENCE, Ending.SILENCE),
        (0.4, TextEvidence.UNFINISHED, 2.0, SILENCE, Ending.SILENCE),
        (0.94, TextEvidence.RARE, 2.0, SILENCE, Ending.SILENCE),
        (0.05, TextEvidence.RARE, 2.0, SILENCE, Ending.SILENCE),
        (0.99, TextEvidence.BROKEN_OFF, 2.0, SILENCE, Ending.SILENCE),
        (0.97, TextEvidence.UNKNOWN, 2.0, SILENCE, Ending.SILENCE),
        (0.97, None, 2.0, SILENCE, Ending.SILENCE),
        (None, TextEvidence.COMPLETE, 2.0, SILENCE, Ending.SILENCE),
        # The speaker goes on.
        (0.05, TextEvidence.UNFINISHED, 2.0, WAIT, Ending.SILENCE),
        (0.97, TextEvidence.BROKEN_OFF, 2.0, WAIT, Ending.SILENCE),
        (0.39, TextEvidence.DOUBTFUL, 2.0, WAIT, Ending.SILENCE),
        (0.39, TextEvidence.UNFINISHED, 2.0, WAIT, Ending.SILENCE),
        (0.97, TextEvidence.OPEN, 0.3, WAIT, Ending.SILENCE),
        (0.98, TextEvidence.OPEN, 2.0, SILENCE, Ending.SILENCE),
        (0.05, TextEvidence.WORD, 2.0, SILENCE, Ending.SILENCE),
        # A short word never waits for longer than before.
        (0.05, TextEvidence.UNFINISHED, 0.5, SILENCE, Ending.SILENCE),
        (0.05, TextEvidence.DOUBTFUL, 0.5, SILENCE, Ending.SILENCE),
    ],
)
def test_the_pause_that_ends_an_utterance(probability, text, voiced, pause, ending):
    evidence = Evidence(voiced, probability, text)
    assert required_pause(evidence, USUAL) == (pause, ending)
    assert required_pause(evidence, replace(USUAL, turn_detection='silence')) == (
        SILENCE,
        Ending.SILENCE,
    )


@pytest.mark.parametrize(
    'text', [TextEvidence.COMPLETE, TextEvidence.POSSIBLE, TextEvidence.DOUBTFUL]
)
def test_a_higher_threshold_counts_for_each_text(text):
    careful = replace(USUAL, turn_threshold=0.95)
    assert required_pause(Evidence(2.0, 0.9, text), careful) == (SILENCE, Ending.SILENCE)


@pytest.mark.parametrize(
    ('probability', 'voiced', 'pause', 'ending'),
    [
        (0.75, 2.0, AT_ONCE, Ending.SMART_TURN),
        (0.45, 2.0, WAIT, Ending.SILENCE),
        (0.45, 0.5, SILENCE, Ending.SILENCE),
        (None, 2.0, SILENCE, Ending.SILENCE),
    ],
)
def test_smart_turn_alone_reads_no_text(probability, voiced, pause, ending):
    settings = replace(USUAL, turn_detection='smart_turn')
    for text in (None, *TextEvidence):
        assert required_pause(Evidence(voiced, probability, text), settings) == (pause, ending)
    no_work_ahead = replace(USUAL, speculative=False)
    assert required_pause(Evidence(voiced, probability), no_work_ahead) == (pause, ending)


def test_a_pause_is_never_longer_than_asked_for_nor_shorter_than_end_silence():
    done = Evidence(2.0, 0.99, TextEvidence.COMPLETE)
    assert required_pause(done, replace(USUAL, end_silence=0.05))[0] == 0.05
    goes_on = Evidence(2.0, 0.01, TextEvidence.OPEN)
    assert required_pause(goes_on, replace(USUAL, end_silence=3.0, max_pause=1.0))[0] == 3.0


def test_all_that_begins_at_a_pause_begins_at_the_same_one():
    assert ASKED == frame_count(SHORT_PAUSE) == frame_count(MARGIN)


class Scripted:
    """A turn detector that answers at once, with the probability of the test."""

    def __init__(self, probability: float | list[float] | None) -> None:
        self.probability = probability
        self.heard: list[int] = []

    def ask(self, samples):
        self.heard.append(len(samples))
        if self.probability is None:
            return None
        job = Job(Priority.SPECULATIVE, lambda context: None)
        several = self.probability if isinstance(self.probability, list) else None
        job.finish(several.pop(0) if several else self.probability)
        return job


@pytest.fixture
def hear():
    made = []

    def utterance(probability, text, script, partial=False, **more):
        """Say a script; return the request, the detector, and the frames that were said."""
        detector, stream, notes = Scripted(probability), Stream(), Notes()

        def transcribe(utterance, *_):
            return hypothesis(text if isinstance(text, str) else next(text))

        recognizer = build(stream, notes, transcribe, turn_detector=detector)
        made.append(recognizer)
        settings = with_settings(
            utterance__end_silence=30 * FRAME_DURATION,
            utterance__max_pause=60 * FRAME_DURATION,
            utterance__wait_for_speech=5.0,
            partial__period=10.0,
            **more,
        )
        request = recognizer.record(settings, partial)
        until(lambda: recognizer._agenda.heard is request)
        said = 0
        for symbol in script:
            late = time.monotonic() - 1.0 if symbol in LATE else None
            stream.say(LATE[symbol] if symbol in LATE else symbol, late)
            if symbol == '_':  # as in real time, the evidence comes before the next frame
                stream.wait_empty()
            said += 1
            if recognizer._agenda.heard is not request:
                break
        return request, detector, said

    yield utterance
    for recognizer in made:
        recognizer.close()


def test_the_listener_ends_at_once_where_the_speaker_is_done(hear):
    request, detector, said = hear(0.97, 'Go on and on.', 'S' * 40 + '_' * 29)
    transcript = request.result(5)
    assert transcript.accepted and transcript.utterance.ending is Ending.SMART_TURN
    assert said < 40 + 20
    assert len(detector.heard) == 1


def test_the_listener_waits_where_the_speaker_goes_on(hear):
    script = 'S' * 40 + '_' * 45 + 'S' * 5 + '_' * 59
    request, detector, _ = hear(0.05, 'Go on and', script)
    until(lambda: request.utterance is None, 'waiting')
    time.sleep(0.05)
    assert not request.future.done()
    assert len(detector.heard) == 2 and detector.heard[1] > detector.heard[0]


def test_evidence_that_comes_late_ends_the_utterance_without_another_frame(hear):
    gate = threading.Event()

    def texts():
        gate.wait(20)
        yield 'Go on and on.'

    request, _, said = hear(0.97, texts(), 'S' * 40 + '_' * 12)
    assert said == 52 and not request.future.done()
    gate.set()
    assert request.result(5).utterance.ending is Ending.SMART_TURN


def test_evidence_of_a_pause_that_is_over_ends_nothing(hear):
    gate = threading.Event()

    def texts():
        gate.wait(20)
        yield 'Go on and on.'

    request, _, _ = hear(0.97, texts(), 'S' * 40 + '_' * 12 + 'S' * 5)
    until(lambda: request.stage is Stage.LISTENING)
    gate.set()
    time.sleep(0.1)
    assert not request.future.done()


def test_evidence_of_a_pause_before_frames_that_came_late_is_forgotten(hear):
    script = 'S' * 40 + '_' * 12 + 's' * 5 + '-' * 4 + '_' * 30
    request, _, said = hear(0.97, 'Go on and', script)
    assert request.result(5).utterance.ending is Ending.SILENCE
    assert said <= 40 + 12 + 5 + 30 + 1  # end_silence, not max_pause


def test_without_an_answer_silence_decides(hear):
    request, _, said = hear(None, 'Go on and on.', 'S' * 40 + '_' * 40)
    assert request.result(5).utterance.ending is Ending.SILENCE
    assert said >= 40 + 30


def test_a_goal_may_leave_it_to_silence(hear):
    more = {'utterance__turn_detection': 'silence'}
    request, detector, said = hear(0.97, 'Go on and on.', 'S' * 40 + '_' * 40, **more)
    assert request.result(5).utterance.ending is Ending.SILENCE
    assert said >= 40 + 30 and not detector.heard


def test_the_text_of_an_earlier_pause_is_no_evidence(hear):
    gate = threading.Event()

    def texts():
        yield 'Go on and on.'
        gate.wait(20)
        yield 'Go on and on and'

    # Somebody reads along, so that the work ahead of the first pause is kept.
    script = 'S' * 40 + '_' * 12 + 'S' * 5 + '_' * 20
    request, detector, _ = hear([0.05, 0.97], texts(), script, partial=True)
    stage, asked = request.stage, len(detector.heard)
    gate.set()
    assert stage is Stage.LISTENING and asked == 2
