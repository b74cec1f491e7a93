"""Subtitles in scripts without spaces."""

from distil_whisper_ros.cli.subtitles import cues, WIDEST
from distil_whisper_ros.cli.transcribe import arguments, model_settings
from distil_whisper_ros.core.scripts import width
from distil_whisper_ros.core.types import Hypothesis, Segment, Word


def segment(text: str, words: list[str]) -> Segment:
    timed = tuple(Word(w, i * 0.1, i * 0.1 + 0.1, 0.9) for i, w in enumerate(words))
    return Segment(text, 0.0, 9.0, -0.1, 0.0, 1.0, timed)


def test_subtitles_have_the_spaces_of_the_text():
    text = '我用Python写 25 行。'
    words = ['我', '用', 'Python', '写', '25', '行。']
    assert cues(Hypothesis((segment(text, words),))) == [(0.0, 0.6, text)]
    assert cues(Hypothesis((segment('', ['我', '用', 'a', 'b']),)))[0][2] == '我用 a b'


def test_a_chinese_character_takes_two_columns():
    text = '前' * 50
    found = cues(Hypothesis((segment(text, [*text]),)))
    assert [len(part) for _, _, part in found] == [42, 8]
    assert all(width(part) <= WIDEST for _, _, part in found)


def test_several_languages_on_the_command_line():
    def settings(*options):
        return model_settings(arguments().parse_args([*options, 'a.wav']))

    assert settings().language == ''
    assert settings('--language', 'de').language == 'de'
    two = settings('--language', 'de', '--language', 'en')
    assert (two.language, two.languages) == ('', ['de', 'en'])
