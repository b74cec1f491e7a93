"""Which utterances are commands: by the text alone, by the decoder's comparison, and never."""

import numpy as np
import pytest

from distil_whisper_ros.core.command_grammar import wordings
from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import (
    CommandSettings,
    DecodingSettings,
    Settings,
    settings_from,
)
from distil_whisper_ros.core.spelling import spell
from distil_whisper_ros.core.types import Hypothesis, Segment, Utterance
from distil_whisper_ros.speech.command_matcher import match, overruled, plain
from distil_whisper_ros.speech.hallucination_filter import filtered

COMMANDS = [
    'turn left',
    'turn right',
    'go forward {number} meters',
    'stop',
    'go to the {room}',
    'do not move',
    'pick up the {red,green} ball',
    'turn {left,right} {number} degrees',
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
    'Stop! Stop! STOP!': 'stop',
    'Stop, stop.': 'stop',
    'Turn left. Turn left.': 'turn left',
    "I'd like you to turn left.": 'turn left',
    'Turn left, will you?': 'turn left',
    'Yes, turn left.': 'turn left',
    "Let's stop.": 'stop',
    'No, stop!': 'stop',
    "'Stop!'": 'stop',
    "Don't move!": 'do not move',
    'Don’t move!': 'do not move',
    'Go forward one hundred and twenty meters.': 'go forward {number} meters',
    'Go forward 1,000 meters.': 'go forward {number} meters',
    'Stop, stop, stop, please.': 'stop',
    'Please stop! Stop!': 'stop',
    'Stop! Please stop!': 'stop',
    'Stop, robot, stop!': 'stop',
    'No, no, stop!': 'stop',
    'No no no stop!': 'stop',
    'Oh, stop!': 'stop',
    'Turn left. Robot, turn left!': 'turn left',
    'Turn left 30°.': 'turn {left,right} {number} degrees',
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
    'No need to turn left.',
    'No left.',
    'Turn left? No.',
    "Ain't going to stop.",
    'Hardly stop.',
    'No one should stop.',
    'None of you stop.',
    'Cant turn left.',
    'You wont turn left.',
    'Turn left is wrong.',
    'Could your brother turn left?',
    'Okay, do you turn left?',
    'Ready to turn left?',
    'Turn left or turn right.',
    'Stop and turn left.',
    'Go forward -5 meters.',
    'Go forward 117 meters.',
    'Go forward one thousand two meters.',
    'Stop. No stop.',
    'Oh no.',
    'Turn left -30 degrees.',
    'Turn left minus thirty degrees.',
    'Turn left 1000000 degrees.',
    'Turn left 3.5 degrees.',
    'Turn left 30 or 40 degrees.',
    'Go to the kitchen or the garden.',
    'You always turn left.',
    'My brother will turn left.',
    'Let me turn left.',
    'Let him turn left.',
    'Turn left later.',
    'Turn left tomorrow.',
    'Turn left after the door.',
    'Imagine you turn left.',
    'Suppose you turn left.',
    'My mother wants you to stop.',
    'According to him, turn left.',
    'Repeat after me, turn left.',
    'He said, turn left.',
    'She told me: "Turn right!"',
    'If it rains, turn left.',
    'When you see the ball, stop.',
    'Turn left, I mean right.',
    'Turn left, I mean turn right.',
    'Turn left. No, right.',
    'Turn left. No, turn right.',
    'Turn left, sorry, right.',
    'Turn left, or right.',
    'Turn left... right.',
    'Turn left, right?',
    'Bus stop.',
    'The bus stop is here.',
]
WITHIN = (
    'The stop is over there.',
    'A bus stop.',
    'Bus stop.',
    'The bus stop is here.',
)  # these have a command as a part


def utterance(voiced: float = 1.0) -> Utterance:
    samples = np.zeros(int(voiced * 16_000), np.float32)
    return Utterance.whole(samples, (0.95,) * round(voiced / 0.032))


def hypothesis(text: str, scores: dict[str, float] | None = None, language: str = 'en'):
    return Hypothesis((Segment(text, 0.0, 1.0, -0.2, 0.01, 1.0, phrases=scores),), language)


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
    within = within and text not in WITHIN
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


@pytest.mark.parametrize(
    ('text', 'wording'),
    [
        ('I am tired, stop.', 'stop'),
        ('Stop, I mean it.', 'stop'),
        ('The bus stop is here.', 'stop'),
        ('I am so tired. Please stop.', 'stop'),
        ('Now turn left 30 degrees and wait.', 'turn left 30 degrees'),
        ('Look, the living room, go to the living room now.', 'go to the living room'),
    ],
)
def test_the_longest_command_within_a_sentence_counts(text, wording):
    known = [*COMMANDS, 'turn {left,right} {number} degrees']
    rooms = ['room: kitchen, living, living room']
    commands = settings(phrases=known, slots=rooms, within_sentences=True)
    found = match(hypothesis(text), utterance(), commands)
    assert found.command.wording == wording
    assert overruled(found, hypothesis(text)).text == text


def test_a_number_within_a_sentence_is_all_of_it():
    commands = settings(phrases=['go forward {number}'], within_sentences=True)
    for text, value in {'Go forward 25.': '25', 'Now go forward 25 I mean it.': ''}.items():
        found = match(hypothesis(text), utterance(), commands)
        assert ''.join(found.command.values) == value, text
    for text in ('Yes go forward 2.5.', 'We may go forward 5 thousand.'):
        assert match(hypothesis(text), utterance(), commands).command.text == '', text


def test_a_part_of_a_sentence_in_another_language_is_no_command():
    commands = settings(phrases=['links abbiegen'], within_sentences=True)
    said = hypothesis('Nein, nicht links abbiegen!', language='de')
    assert match(said, utterance(), commands).command.text == ''
    said = hypothesis('Links abbiegen!', language='de')
    assert match(said, utterance(), commands).command.text == 'links abbiegen'


def test_a_reported_command_does_not_act_although_it_is_as_long():
    commands = settings(phrases=['bring me the ball'])
    heard = hypothesis('He brought the ball.', {'bring me the ball': -4.0})
    assert match(heard, utterance(1.4), commands).command.text == ''


def test_another_number_does_not_act():
    commands = settings(phrases=['turn {number} degrees'])
    heard = hypothesis('Turn 117 degrees.', {'turn 115 degrees': -2.0, 'turn 17 degrees': -9.0})
    assert match(heard, utterance(1.4), commands).command.text == ''


def test_the_same_words_in_two_commands_are_no_rivals():
    commands = settings(phrases=['turn left', 'turn {left,right}', 'stop'])
    heard = hypothesis('Turned left.', {'turn left': -1.0, 'turn right': -8.0})
    found = match(heard, utterance(0.8), commands)
    assert found.command.text == 'turn left'
    assert [each.wording for each in found.alternatives] == ['turn left', 'turn right']
    assert found.command.score > 0.8


@pytest.mark.parametrize(
    ('text', 'command'),
    [('Yes, please.', 'yes'), ('No, thank you.', 'no'), ('Okay, robot.', 'okay'), ('Yes.', 'yes')],
)
def test_an_answer_may_be_polite(text, command):
    commands = settings(phrases=['yes', 'no', 'okay'])
    assert match(hypothesis(text), utterance(), commands).command.text == command


@pytest.mark.parametrize('within', [False, True])
@pytest.mark.parametrize(
    'text', ['Yes and no.', 'No, yes.', 'Yes or no?', 'No problem.', 'Oh no.', 'No idea.']
)
def test_this_is_no_answer(text, within):
    commands = settings(phrases=['yes', 'no'], within_sentences=within)
    for scores in (None, {'yes': -12.0, 'no': -3.0}):
        found = match(hypothesis(text, scores), utterance(0.6), commands)
        assert found.command.text == '', scores


@pytest.mark.parametrize('within', [False, True])
@pytest.mark.parametrize(
    ('text', 'command'), [('No, no, no!', 'no'), ('Yes, yes, please.', 'yes'), ('Okay, no.', 'no')]
)
def test_an_answer_may_be_repeated(text, command, within):
    commands = settings(phrases=['yes', 'no'], within_sentences=within)
    assert match(hypothesis(text), utterance(1.2), commands).command.text == command


@pytest.mark.parametrize('text', ['Let me turn left.', 'Turn left later.', 'Turn left tomorrow.'])
def test_what_is_for_later_or_others_does_not_act_by_its_sound(text):
    heard = hypothesis(text, {'turn left': -3.0, 'turn right': -12.0})
    assert match(heard, utterance(0.9), settings()).command.text == ''


def test_polite_words_may_belong_to_the_command():
    commands = settings(phrases=['come here now', 'hello robot', 'turn_left'])
    for text in ('Please come here now.', 'Okay, hello robot.', 'Turn left.'):
        assert match(hypothesis(text, {}), utterance(), commands).command.text, text


def test_by_its_letters_alone_a_text_between_two_commands_is_none():
    commands = settings(phrases=['turn fight', 'turn might'])
    assert match(hypothesis('Turn sight.'), utterance(), commands).alternatives == ()
    found = match(hypothesis('Turn fights.'), utterance(), commands)
    assert found.command.text == 'turn fight'


def test_a_word_that_is_repeated_may_take_as_long_as_all_of_them():
    commands = settings(phrases=['stop', 'five'])
    shouted = hypothesis('Shop! Shop! Shop!', {'stop': -2.0, 'five': -9.0})
    assert match(shouted, utterance(1.6), commands).command.text == 'stop'


def test_one_word_by_its_letters_alone_must_be_right():
    commands = settings(phrases=['stop', 'nine', 'five', 'right'])
    for text in ('Shop.', 'Fine.', 'Night.', 'None.'):
        assert match(hypothesis(text), utterance(), commands).command.text == '', text


def test_what_must_not_act_is_no_alternative():
    found = match(hypothesis("Don't turn left."), utterance(), settings(within_sentences=True))
    assert found.alternatives == ()


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


@pytest.mark.parametrize(('text', 'command'), [('Wrong.', 'front'), ('Never.', ''), ('No.', '')])
def test_a_word_that_was_heard_wrong_is_no_negation_unless_it_is_an_answer(text, command):
    heard = hypothesis(text, {'front': -2.0, 'one': -9.0})
    found = match(heard, utterance(0.4), settings(phrases=['front', 'one']))
    assert found.command.text == command


def test_a_digit_twice_is_another_number_and_not_the_same_command_twice():
    commands = settings(phrases=['five', 'stop'])
    digits = hypothesis('5 5', {'five': -0.5, 'stop': -9.0})
    assert match(digits, utterance(0.8), commands).command.text == ''
    shouted = hypothesis('Stop! Stop!', {'five': -9.0, 'stop': -0.5})
    assert match(shouted, utterance(0.8), commands).command.text == 'stop'


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
        ({'slots': ['number: one, two']}, ['{number} has its meaning']),
        ({'phrases': ['!!!']}, ["'!!!'", 'must have words']),
        ({'phrases': ['  ']}, ['must have words']),
        ({'phrases': ['go ' * 99]}, ['200 letters']),
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
     ('300', 'three hundred'), ('1000', 'one thousand'), ('10000', '10000'),
     ('x', 'x'), ('²', '²')],
)  # fmt: skip
def test_numbers_are_spelled(number, text):
    assert spell(number) == text
    assert plain('Turn 30 degrees!') == 'turn thirty degrees'


@pytest.mark.parametrize(
    ('scores', 'command'),
    [
        ({'four': -0.7, 'one': -10.0}, 'four'),
        ({'four': -3.5, 'one': -10.0}, ''),  # a dog has that much
        ({'four': -1.0, 'one': -3.0}, ''),
    ],
)
def test_a_clear_sound_acts_although_voice_activity_found_almost_nothing(scores, command):
    heard = hypothesis('4.', scores)
    whole = Settings(commands=CommandSettings(phrases=['four', 'one']))
    samples = np.zeros(16_000, np.float32)
    said = Utterance.whole(samples, (0.1,) * 15 + (0.9,) + (0.1,) * 15)
    assert said.voiced < whole.hallucination_filter.min_speech
    transcript = filtered(heard, said, whole)
    assert transcript.command.text == command
    assert transcript.accepted is bool(command)


def test_a_text_does_not_act_if_the_sound_is_another_command_just_as_well():
    commands = settings(phrases=['back', 'five'])
    heard = hypothesis('5.', {'five': -2.1, 'back': -2.7})
    found = match(heard, utterance(0.4), commands)
    assert found.command.text == ''
    assert [each.text for each in found.alternatives] == ['five', 'back']
    # The polite word may be the wrong one.
    heard = hypothesis("Let's go.", {'stop': -3.7, 'go': -5.6})
    found = match(heard, utterance(0.4), settings(phrases=['go', 'stop']))
    assert found.command.text != 'go'


def test_an_urgent_text_acts_in_doubt():
    commands = settings(phrases=['start'], urgent=['stop'])
    heard = hypothesis('Stop!', {'stop': -2.1, 'start': -2.2})
    assert match(heard, utterance(0.4), commands).command.text == 'stop'


@pytest.mark.parametrize('text', ['Top!', 'Step.', 'Shop!'])
def test_a_word_like_stop_is_stop_if_the_sound_is(text):
    heard = hypothesis(text, {'stop': -4.0, 'left': -8.0})
    commands = settings(phrases=['stop', 'left'])
    assert match(heard, utterance(0.4), commands).command.text == 'stop'
