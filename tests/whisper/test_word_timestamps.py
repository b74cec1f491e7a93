"""Word timestamps and confidences."""

import numpy as np
import pytest
from robot import goforward, MODEL, spoken
from sounds import speech
from word_timestamps import confidences, curve, time_errors, utterance

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.command_matcher import plain
from distil_whisper_ros.whisper.word_timestamps import (
    group_words,
    token_times,
    warp,
    within_speech,
)


def test_each_word_starts_where_the_recordings_have_it(transcriber):
    """Compared with forced alignment: see benchmarks/word_timestamps.py."""
    errors = time_errors(transcriber)
    found = [(name, *row) for name, rows in errors.items() for row in rows]
    assert len(found) > 65
    assert [row for row in found if abs(row[3]) > 0.3] == []
    assert abs(np.median([row[3] for row in found])) < 0.06


def test_words_are_those_of_the_text(transcriber):
    hypothesis = transcriber(utterance(goforward()))
    words = [word for part in hypothesis.segments for word in part.words]
    assert ' '.join(word.text for word in words) == hypothesis.text
    assert all(0 <= w.start < w.end <= 2.9 and 0 < w.confidence <= 1 for w in words)
    starts = [word.start for word in words]
    assert starts == sorted(starts)


def test_times_count_from_the_utterance_also_after_a_cut(transcriber):
    before = np.concatenate([samples for name, (samples, _) in speech().items() if 'vox' in name])
    settings = ModelSettings(id=str(MODEL), segment_length=20.0)
    hypothesis = transcriber(utterance(np.concatenate((before, goforward()))), settings)
    assert len(hypothesis.segments) == 2
    words = [word for part in hypothesis.segments for word in part.words]
    (forward,) = [word for word in words if word.text.startswith('forward')]
    assert forward.start == pytest.approx(len(before) / 16_000 + 0.72, abs=0.3)
    starts = [word.start for word in words]
    assert starts == sorted(starts)


def test_word_timestamps_can_be_switched_off(transcriber):
    settings = ModelSettings(id=str(MODEL), word_timestamps=False)
    hypothesis = transcriber(Utterance.whole(goforward()), settings)
    assert hypothesis.text == 'Go forward 10 meters.'
    assert hypothesis.segments[0].words == ()


def test_confidence_is_calibrated(transcriber, monkeypatch):
    """Words of a confidence are right about that often: see benchmarks/word_timestamps.py."""
    monkeypatch.setattr('word_timestamps.RATIOS', (None, 10, 0))
    monkeypatch.setattr('word_timestamps.SENTENCES', ())
    values, right = confidences(transcriber)
    _, error = curve(values, right)
    assert error < 0.15
    assert right[values > 0.9].mean() > 0.85
    assert right[values < 0.3].mean() < 0.6


def test_a_path_through_a_diagonal():
    cost = np.ones((4, 12), np.float32)
    for row in range(4):
        cost[row, row * 3 : row * 3 + 3] = 0
    assert warp(cost).tolist() == [0, 3, 6, 9]


def test_attention_to_one_place_after_the_other():
    attention = np.full((2, 3, 60), -5.0, np.float32)
    for token in range(3):
        attention[:, token, token * 20 : token * 20 + 20] = 5.0
    np.testing.assert_allclose(token_times(attention), [0.0, 0.3, 0.7], atol=0.03)


def test_words_of_tokens():
    pieces = [' Go', ' for', 'ward', ',', ' "', 'ten', '"', ' meters', '.']

    def decode(tokens):
        return ''.join(pieces[token] for token in tokens)

    found = group_words(range(len(pieces)), decode)
    assert [text for text, _, _ in found] == ['Go', 'forward,', '"ten"', 'meters.']
    assert found[1][1:] == (1, 4)


@pytest.mark.parametrize(
    ('pieces', 'words'),
    [
        (['前', '进', '。'], ['前', '进。']),
        (
            ['我', '用', ' Py', 'thon', '写', '2', '5', '行', '。'],
            ['我', '用', 'Python', '写', '25', '行。'],
        ),
        (
            ['「', '行', 'って', '」', 'と', 'スー', 'パ', 'ー'],
            ['「行って」', 'と', 'スー', 'パー'],
        ),
        (['ส', 'ว', 'ั', 'ส', 'ด', 'ี', ' เ', 'ม', 'า'], ['ส', 'วั', 'ส', 'ดี', 'เมา']),
        (['న', 'మ', 'స్', 'కారం', ' న', 'ా', '।'], ['నమస్కారం', 'నా।']),
    ],
)  # fmt: skip
def test_words_in_scripts_without_spaces(pieces, words):
    """The characters decide: a translation from Japanese is English, with spaces."""

    def decode(tokens):
        return ''.join(pieces[token] for token in tokens)

    found = group_words(range(len(pieces)), decode)
    assert [text for text, _, _ in found] == words
    assert [first for _, first, _ in found[1:]] == [last for _, _, last in found[:-1]]


def test_a_pause_does_not_belong_to_a_word():
    voiced = np.array([False] * 10 + [True] * 10 + [False] * 10)
    assert within_speech(0.1, 0.9, voiced) == (0.32, 0.64)
    assert within_speech(0.4, 0.5, voiced) == (0.4, 0.5)
    assert within_speech(0.7, 0.9, voiced) == (0.7, 0.9)  # no speech at all: as it was


NAMES = ('Zorblax', 'Quintavia', 'Brindlewick', 'Marvotek', 'Tessaly', 'Kovrin')
PATTERNS = (
    'Please bring the red cup to {}.',
    '{} is waiting in the kitchen.',
    'Tell {} that dinner is ready.',
)


def test_hotwords_and_prompt_help_with_invented_names(transcriber):
    said = {
        (name, pattern): utterance(spoken(pattern.format(name), 'en-us', 140))
        for name in NAMES
        for pattern in PATTERNS
    }

    def heard(**options) -> int:
        settings = ModelSettings(id=str(MODEL), **options)
        return sum(
            name.lower() in transcriber(audio, settings).text.lower()
            for (name, _), audio in said.items()
        )

    without = heard()
    with_hotwords, with_prompt = heard(hotwords=list(NAMES)), heard(prompt=', '.join(NAMES))
    print(f'of {len(said)} names: {without}, hotwords {with_hotwords}, prompt {with_prompt}')
    assert with_hotwords >= without + 6
    assert with_prompt >= without + 6


def test_numbers_in_words():
    assert plain('Go 0, 7, 13, 20 and 42 steps; 100 more') == (
        'go zero seven thirteen twenty and forty two steps one hundred more'
    )
