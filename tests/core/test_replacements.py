"""Words that are written in place of those of the model."""

import time

import pytest

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.replacements import rewritten, rewritten_so_far
from distil_whisper_ros.core.settings import settings_from

RULES = 'hell oh -> HELO', r'/(\d+) point (\d+)/ -> \1.\2', 'point five -> .5', 'um ->'


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('hell oh', 'HELO'),
        ('Hell, oh, come here!', 'HELO, come here!'),
        ('Shell oh', 'Shell oh'),
        ('hell ohm', 'hell ohm'),
        ('It is 3 point 14 meters.', 'It is 3.14 meters.'),
        ('Set it to point five.', 'Set it to .5.'),
        ('um go um there', 'go there'),
        ('um', ''),
        ('Um.', ''),
        ('Um, go left.', 'go left.'),
        ('Go left um.', 'Go left.'),
        ('Is it um?', 'Is it?'),
        ('Um. Go left.', 'Go left.'),
        ('Go left um .5 meters.', 'Go left .5 meters.'),
        ('', ''),
    ],
)
def test_words_are_replaced(text, expected):
    assert rewritten(text, RULES) == (expected, '')


def test_rules_apply_in_their_order_also_to_what_an_earlier_one_wrote():
    assert rewritten('one', ['one -> two', 'two -> three'])[0] == 'three'
    assert rewritten('one', ['two -> three', 'one -> two'])[0] == 'two'


@pytest.mark.parametrize('written', [r'C:\new', r'\1', 'a -> b', '$1', r'\g<0>'])
def test_the_text_of_a_literal_rule_is_literal(written):
    assert rewritten('say it now', [f'it -> {written}'])[0] == f'say {written} now'


@pytest.mark.parametrize('written', ["don't", 'don’t'])
@pytest.mark.parametrize('said', ["don't", 'don’t', 'Don’t'])
def test_one_apostrophe_is_as_good_as_another(said, written):
    assert rewritten(f'{said} go', [f'{written} -> do not'])[0] == 'do not go'


def test_scripts_without_spaces_have_no_ends_of_words():
    assert rewritten('请左转吧', ['左转 -> 右转'])[0] == '请右转吧'


@pytest.mark.parametrize(
    ('rule', 'reason'),
    [
        ('abc', 'not a rule'),
        ('-> x', 'not a rule'),
        ('x' * 600 + ' -> y', 'not a rule'),
        ('/(/ -> x', 'no regular expression'),
        (r'/a/ -> \1', 'no regular expression'),
        (r'/a/ -> \q', 'no regular expression'),
        ('/a*/ -> x', 'matches where nothing is written'),
        (r'/\b/ -> x', 'matches where nothing is written'),
        (r'/$/ -> x', 'matches where nothing is written'),
        ('/((a{100}){100}){1000}/ -> x', 'more than 10000 times'),
        ('/(?:(?:(?:(?:(?:x{99}){99}){0}){99}){99}){99}/ -> y', 'more than 10000 times'),
        ('/((a{100,}){100,}?){1000}+/ -> x', 'more than 10000 times'),
        ('/(?<=((a{ 100}){100,200}){1000})b/ -> x', 'more than 10000 times'),
        ('/(?x)(((((x{9 9}){9 9}){9 9}){9 9}){9 9})/ -> x', 'more than 10000 times'),
        ('/(?x)(((((x{9#c\n9}){9#\n9}){9#c\n9}){9#c\n9}){9#\n9})/ -> x', 'more than 10000 times'),
        (f'/({"[a-z]." * 60}){{9999}}/ -> x', 'more than 100000 letters'),
        ('/(?R)|a/ -> x', 'no regular expression'),
        (r'/a/ -> \ud800', 'no regular expression'),
        (r'/a/ -> \x00', 'zero character'),
    ],
)
def test_what_is_no_rule_is_refused_when_it_is_set(rule, reason):
    with pytest.raises(SettingError, match=reason) as caught:
        settings_from({'text.replacements': [rule]})
    assert 'text.replacements has ' in str(caught.value)
    assert len(str(caught.value)) < 900


@pytest.mark.parametrize(
    'pattern',
    [
        r'(?:(?:(?:x{,99}){,99}){,99}){,99}\x01',
        r'(?:(?:(?:x{5,}){5,}){5,}){5,}\x01',
        r'(?:a{0,99999}){0,99999}b',
        r'(.+)+\x01',
        r'(?<=(.+)+)\x01',
        r'((\w*)*)*\x01',
        '|'.join(f'(?:.*)*{letter}!' for letter in 'abcdefghijklmno'),
        r'(?:[a-z ]+){e<=50}Q',
        '(' * 200 + 'a' + ')' * 200,
    ],
)
def test_a_rule_has_limits_of_time_and_memory(pattern):
    text = 'Go forward ten meters and then turn left and go to the kitchen ' * 4
    begun = time.monotonic()
    settings_from({'text.replacements': [f'/{pattern}/ -> x']})
    rewritten(text, [f'/{pattern}/ -> x'])
    rewritten_so_far(text, [f'/{pattern}/ -> x'])
    assert time.monotonic() - begun < 5.0


def test_all_rules_together_have_a_limit():
    many = [f'/(?:[a-z]x){{5000}}{number}/ -> x' for number in range(100)]
    with pytest.raises(SettingError, match='text.replacements has more than 2000000 letters'):
        settings_from({'text.replacements': many})
    settings_from({'text.replacements': [r'/(\d{4})-(\d{4})-(\d{4})-(\d{4})-(\d{4})/ -> #']})


def test_a_rule_that_takes_too_long_is_left_out_and_told():
    begun = time.monotonic()
    slow = ['one -> two', *50 * ['/(a|aa)+$/ -> x']]
    text, problem = rewritten('one ' + 'a' * 5000 + 'b', slow)
    assert time.monotonic() - begun < 5.0
    assert text.startswith('two aaa')
    assert 'text.replacements has ' in problem and 'write it simpler' in problem
    assert rewritten_so_far('a' * 5000 + 'b', slow[:2]).startswith('aaa')


@pytest.mark.parametrize('rules', [RULES, [r'/\d+( \d+)*/ -> #'], ['stop -> Halt'], []])
def test_a_text_that_grows_only_grows(rules):
    words = 'so 3 point 14 hell oh there point 5 hell 1 2 3 um stop'.split()
    shown = [
        rewritten_so_far(' '.join(words[:count]), rules) for count in range(1, len(words) + 1)
    ]
    for before, now in zip(shown, shown[1:]):
        assert now.startswith(before), now
    complete = rewritten(' '.join(words), rules)[0]
    assert complete == shown[-1]


def test_a_rule_that_matches_nothing_at_the_end_ends():
    assert rewritten_so_far('go left', ['/(?<= )$/ -> x']) == 'go left'
    assert rewritten_so_far('go, left', ['/(?<=, )/ -> x']) == 'go, xleft'


def test_a_text_does_not_grow_without_limit():
    text, problem = rewritten('e', 20 * [f'e -> {"e " * 200}'])
    assert len(text) < 20_000 and 'has more than 10000 letters' in problem


def test_many_rules_apply_to_the_first_text_too_and_are_read_once():
    many = [f'word{number} oh -> W{number}' for number in range(400)]
    assert rewritten('word399 oh', many) == ('W399', '')
    begun = time.thread_time()
    for _ in range(10):
        settings_from({'text.replacements': many})
    assert time.thread_time() - begun < 2.0
    with pytest.raises(SettingError, match='text.replacements has 1001 texts, but may have 1000'):
        settings_from({'text.replacements': 1001 * ['a -> b']})


def test_a_thread_that_waits_has_its_time_left(monkeypatch):
    late = iter(range(1000))
    monkeypatch.setattr(time, 'monotonic', lambda: next(late))
    assert rewritten('hell oh', RULES) == ('HELO', '')
