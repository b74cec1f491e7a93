"""Scripts without spaces between words."""

import pytest

from distil_whisper_ros.core.scripts import join_texts, width, without_wide_spaces
from distil_whisper_ros.core.types import Hypothesis, Segment


@pytest.mark.parametrize(
    ('texts', 'joined'),
    [
        (['Go forward.', '', 'Turn left.'], 'Go forward. Turn left.'),
        (['前进。', '向左转。'], '前进。向左转。'),
        (['おはようございます。', 'Robot', 'です'], 'おはようございます。 Robot です'),
        (['สวัสดี', 'ครับ'], 'สวัสดีครับ'),
        (['नमस्ते', 'राहुल'], 'नमस्ते राहुल'),
        (['안녕', '로봇'], '안녕 로봇'),
        ([], ''),
    ],
)
def test_texts_are_joined_as_their_script_is_written(texts, joined):
    assert join_texts(texts) == joined
    segments = tuple(Segment(text, 0.0, 1.0, -0.1, 0.0, 1.0) for text in texts)
    assert Hypothesis(segments).text == joined


def test_the_width_of_a_text():
    assert width('robot') == 5
    assert width('前进。') == 6
    assert width('สวัสดี') == 4


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('早上好。 今天， 我们去。', '早上好。今天，我们去。'),
        ('สวัสดี ครับ', 'สวัสดี ครับ'),
        ('Go. Stop, now.', 'Go. Stop, now.'),
        ('おはよう ございます', 'おはよう ございます'),
    ],
)
def test_no_space_behind_punctuation_of_full_width(text, expected):
    assert without_wide_spaces(text) == expected
