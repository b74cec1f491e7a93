"""Work ahead by the time that one transcription takes: shown by counting transcriptions."""

import time

import pytest
from scripted import build, Notes, said, Stream, with_settings

from distil_whisper_ros.speech.pace import Pace
from distil_whisper_ros.speech.utterance_buffer import MARGIN


def test_a_fast_machine_works_ahead_at_once():
    pace = Pace()
    assert (pace.pause(0.7), pace.partial_period(0.5)) == (MARGIN, 0.5)
    pace.count(0.4)
    assert (pace.pause(0.7), pace.partial_period(0.5)) == (MARGIN, 0.5)


def test_a_slow_machine_works_ahead_less():
    pace = Pace()
    pace.count(2.0)
    assert (pace.pause(0.7), pace.partial_period(0.5)) == (0.35, 4.0)
    assert pace.pause(0.15) == MARGIN  # half of it would be before the word has faded out


def test_a_machine_that_cools_down_is_fast_again():
    pace = Pace()
    pace.count(2.0)
    for _ in range(5):
        pace.count(0.2)
    assert pace.pause(0.7) == MARGIN


@pytest.mark.parametrize(
    ('duration', 'reads_along', 'least', 'most'),
    [(0.1, False, 2, 4), (1.5, False, 1, 1), (0.1, True, 10, 99), (1.5, True, 2, 4)],
)
def test_the_encoder_runs_less_often_where_it_is_slow(
    monkeypatch, duration, reads_along, least, most
):
    """Three short pauses and the end, with a model that is said to take `duration` s."""
    stream, notes, calls = Stream(), Notes(), []
    notes.reads_along = reads_along
    monkeypatch.setattr(Pace, 'count', lambda pace, _: setattr(pace, 'duration', duration))

    def transcribe(utterance, *_):
        calls.append(utterance)
        return said(utterance)

    recognizer = build(stream, notes, transcribe)
    try:
        recognizer._pace.count(0.0)
        request = recognizer.record(with_settings(utterance__end_silence=0.7, partial__period=0.5))
        for _ in range(3):
            for _ in range(10):
                stream.say('SSSS')
                stream.wait_empty()
            stream.say('_' * 9)  # 0.29 s: longer than 0.1 s, shorter than 0.35 s
            stream.wait_empty()
        stream.say('S' * 10 + '_' * 24)
        assert request.result(10).accepted
    finally:
        recognizer.close()
    assert least <= len(calls) <= most


def test_the_node_measures_its_transcriptions(monkeypatch):
    """Also without speculation: the final texts count, and the next utterance is paced by them."""
    stream, notes = Stream(), Notes()

    def transcribe(utterance, *_):
        time.sleep(0.2)
        return said(utterance)

    recognizer = build(stream, notes, transcribe)
    try:
        request = recognizer.record(with_settings(utterance__speculative=False))
        stream.say('S' * 30 + '_' * 40)
        assert request.result(10).accepted
        assert 0.2 <= recognizer._pace.duration < 5
    finally:
        recognizer.close()
