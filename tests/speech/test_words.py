"""Words of a text, and partial text, in scripts of every kind."""

import pytest

from distil_whisper_ros.speech.partial_text import LocalAgreement
from distil_whisper_ros.speech.words import words


@pytest.mark.parametrize(
    ('text', 'found'),
    [
        ("Don't go_there, it's 3.", ["Don't", 'go_there', "it's", '3']),
        ('नमस्ते, मेरा नाम राहुल है।', ['नमस्ते', 'मेरा', 'नाम', 'राहुल', 'है']),
        ('నమస్కారం నా', ['నమస్కారం', 'నా']),
        ('我用 Python 写。', ['我用', 'Python', '写']),
        ('สวัสดีครับ', ['สวัสดี', 'ครับ']),
        ('...', []),
    ],
)
def test_words(text, found):
    """The filter counts them against the voiced time: more than were said would be rejected."""
    assert words(text) == found


def test_partial_text_grows_in_scripts_without_spaces():
    agreement = LocalAgreement()
    assert agreement.push('おはよう') == ''
    assert agreement.push('おはようござい') == 'おはよう'
    assert agreement.push('おはようございます') == 'おはようござい'
    assert agreement.settle('おはようございます。') == 'おはようございます。'


def test_partial_text_with_spaces():
    agreement = LocalAgreement()
    assert agreement.push('Go for') == ''
    assert agreement.push('Go forward now') == 'Go'
    assert agreement.push('Go forward now, please') == 'Go forward now,'
    assert agreement.settle('Go forward now, please.') == 'Go forward now, please.'
