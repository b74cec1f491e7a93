"""Which utterances are commands: by the text alone, by the decoder's comparison, and never."""

import numpy as np
import pytest

from distil_whisper_ros.core.command_grammar import wordings
from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import CommandSettings, DecodingSettings, settings_from
from distil_whisper_ros.core.spelling import spell
from distil_whisper_ros.core.types import Hypothesis, PhraseScores, Segment, Utterance
from distil_whisper_ros.speech.command_matcher import match, overruled, plain

COMMANDS = [
    'turn left',
    'turn right',
    'go forward {number} meters',
    'stop',
    'go to the {room}',
    'do not move',
    'pick up the {red,green} ball',
]
ROOMS = ['room: kitchen, living room']

ACT = {
    'Turn left.': 'turn left',
    'turn left': 'turn left',
    'TURN LEFT!': 'turn left',
    'Please turn left.': 'turn left',
    'Turn left, please.': 'turn left',
    'Turn left now.': 'turn left',
    'Okay, turn right.': 'turn right',
    'Robot, turn right!': 'turn right',
    'Hey robot, please turn right now.': 'turn right',
    'Can you turn left?': 'turn left',
    'Could you turn left, please?': 'turn left',
    'Would you turn right?': 'turn right',
    'I want you to turn left.': 'turn left',
    'Stop!': 'stop',
    'Stop, please.': 'stop',
    'Just stop.': 'stop',
    'Stop, thank you.': 'stop',
    'Go forward 10 meters.': 'go forward {number} meters',
    'Go forward ten meters.': 'go forward {number} meters',
    'Please go forward 25 meters.': 'go forward {number} meters',
    'Go to the kitchen.': 'go to the {room}',
    'Go to the living room, please.': 'go to the {room}',
    'Do not move.': 'do not move',
    'Please do not move!': 'do not move',
    'Pick up the red ball.': 'pick up the {red,green} ball',
    'Um, pick up the green ball.': 'pick up the {red,green} ball',
}
REFUSE = [
    "Don't turn left.",
    'Do not turn left.',
    'Never turn left.',
    'Not turn right.',
    "Please don't turn right.",
    "You can't turn left.",
    'I would not turn left.',
    'Should I turn left?',
    'Shall we turn left?',
    'Can I turn left?',
    'Did you turn left?',
    'Are we going to turn left?',
    'He said turn left.',
    'She told me to turn right.',
    'They say stop.',
    'I said stop.',
    'If you turn left, you see it.',
    'When we turn right, it rains.',
    'Why stop?',
    'Do I turn left?',
    "Don't stop.",
    'Never stop.',
    'We did not stop.',
    'Nobody can stop.',
    'Nonstop.',
    'The stop is over there.',
    'A bus stop.',
    'Turn.',
    'Left.',
    'Turn it left a little bit more.',
    'Turn around.',
    'I turn left.',
    'We went forward ten meters.',
    'Go forward.',
    'Go forward a few meters.',
    'Go to the garden.',
    "Don't go to the kitchen.",
    "I'm in the kitchen.",
    'Pick up the blue ball.',
    'Move.',
    'He was not an ill-disposed young man.',
    'Thank you.',
    '',
]


def utterance(voiced: float = 1.0) -> Utterance:
    samples = np.zeros(int(voiced * 16_000), np.float32)
    return Utterance.whole(samples, (0.95,) * round(voiced / 0.032))


def hypothesis(text: str, scores: dict[str, float] | None = None, free: float = -1.0):
    phrases = None if scores is None else PhraseScores(scores, free)
    return Hypothesis((Segment(text, 0.0, 1.0, -0.2, 0.01, 1.0, phrases=phrases),), 'en')


def settings(**changes) -> CommandSettings:
    return CommandSettings(phrases=COMMANDS, slots=ROOMS).replaced(**changes)


def test_there_are_enough_sentences():
    assert len(ACT) + len(REFUSE) >= 60


@pytest.mark.parametrize(('text', 'command'), ACT.items())
def test_this_sentence_is_a_command(text, command):
    assert match(hypothesis(text), utterance(), settings()).command.text == command
    assert match(hypothesis(text, {}), utterance(), settings()).command.text == command


@pytest.mark.parametrize('text', REFUSE)
@pytest.mark.parametrize('within', [False, True])
def test_this_sentence_is_no_command(text, within):
    within = within and text not in ('The stop is over there.', 'A bus stop.')  # a part is one
    for heard in (hypothesis(text), hypothesis(text, {})):
        found = match(heard, utterance(), settings(within_sentences=within))
        assert found.command.text == '', found


def test_a_command_within_a_sentence_counts_if_the_parameter_says_so():
    heard = hypothesis('This is enough, stop.')
    assert match(heard, utterance(), settings()).command.text == ''
    found = match(heard, utterance(), settings(within_sentences=True))
    assert found.command.text == 'stop'


@pytest.mark.parametrize(
    ('text', 'low', 'high'),
    [('turned left', 0.5, 0.99), ('What is the weather like?', 0.0, 0.0), ('', 0.0, 0.0)],
)
def test_without_the_comparison_a_similar_text_is_one_with_less_probability(text, low, high):
    found = match(hypothesis(text), utterance(), settings(phrases=['turn left', 'stop']))
    best = found.alternatives[0].score if found.alternatives else 0.0
    assert low <= best <= high
    assert found.command.text == ('turn left' if best else '')


def test_slots_have_values():
    found = match(hypothesis('Go forward twenty five meters.'), utterance(), settings())
    assert (found.command.values, found.command.wording) == (('25',), 'go forward 25 meters')
    found = match(hypothesis('Go to the living room.'), utterance(), settings())
    assert found.command.values == ('living room',)


def test_what_sounds_like_a_command_is_one_although_the_text_is_another():
    commands = settings(phrases=['five', 'nine', 'stop'])
    heard = hypothesis('Bye.', {'five': -2.0, 'nine': -6.0, 'stop': -9.0})
    found = match(heard, utterance(0.5), commands)
    assert found.command.text == 'five'
    assert [each.text for each in found.alternatives] == ['five', 'nine', 'stop']
    assert overruled(found, heard).text == 'Five.'
    assert match(heard, utterance(0.5), commands, trusted=False).command.text == 'five'


def test_two_commands_that_sound_alike_are_none():
    commands = settings(phrases=['five', 'nine'])
    heard = hypothesis('Bye.', {'five': -4.0, 'nine': -4.1})
    assert match(heard, utterance(0.5), commands).command.text == ''


def test_nobody_says_a_word_for_five_seconds_or_a_sentence_in_a_moment():
    word = hypothesis('Bye.', {'five': -2.0, 'nine': -9.0})
    assert match(word, utterance(5.0), settings(phrases=['five', 'nine'])).command.text == ''
    long = 'pick up the red ball and bring it to the table'
    sentence = hypothesis('Hm.', {long: -0.1})
    assert match(sentence, utterance(0.2), settings(phrases=[long])).command.text == ''


def test_a_text_that_nobody_said_is_no_command_by_its_letters():
    found = match(hypothesis('Stop.'), utterance(), settings(), trusted=False)
    assert found.command.text == ''


def test_a_negated_command_does_not_act_although_it_sounds_like_one():
    heard = hypothesis("Don't turn left.", {'turn left': -0.5, 'turn right': -9.0})
    assert match(heard, utterance(), settings()).command.text == ''


def test_a_word_that_was_heard_wrong_is_no_question():
    heard = hypothesis('When?', {'one': -3.0, 'five': -9.0})
    commands = settings(phrases=['one', 'five'])
    assert match(heard, utterance(0.4), commands).command.text == 'one'


def test_polite_words_stay_in_the_text():
    heard = hypothesis('Please turn left.', {})
    assert overruled(match(heard, utterance(), settings()), heard).text == 'Please turn left.'


@pytest.mark.parametrize(
    ('values', 'parts'),
    [
        ({'phrases': ['go to the {place}']}, ['go to the {place}', 'number, room']),
        ({'phrases': ['turn {left']}, ['turn {left', 'brace']),
        ({'phrases': ['{number} {number} {number}']}, ['wordings', 'fewer slots']),
        ({'slots': ['kitchen']}, ["'kitchen'", 'room: kitchen']),
    ],
)
def test_a_command_that_cannot_be_read_is_refused(values, parts):
    named = {'phrases': ['go'], 'slots': ROOMS} | values
    with pytest.raises(SettingError) as error:
        settings_from({f'commands.{name}': value for name, value in named.items()})
    for part in parts:
        assert part in str(error.value)


def test_the_decoder_gets_every_wording():
    known = settings_from({'commands.phrases': ['turn {left,right}', '', 'stop']}).decoding
    assert isinstance(known, DecodingSettings)
    assert known.wordings == ('turn left', 'turn right', 'stop')
    assert len(wordings(('wait {number} seconds',))) > 100
    assert type(settings_from({}).decoding) is not DecodingSettings


@pytest.mark.parametrize(
    ('number', 'text'),
    [('0', 'zero'), ('19', 'nineteen'), ('45', 'forty five'), ('120', 'one hundred twenty'),
     ('300', 'three hundred'), ('1000', '1000'), ('x', 'x'), ('²', '²')],
)  # fmt: skip
def test_numbers_are_spelled(number, text):
    assert spell(number) == text
    assert plain('Turn 30 degrees!') == 'turn thirty degrees'
