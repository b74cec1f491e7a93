"""The decoder tells which of the commands was said."""

import pytest
from robot import MODEL
from sounds import speech
import torch

from distil_whisper_ros.core.settings import CommandSettings, ModelSettings, Settings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.speech.command_matcher import match
from distil_whisper_ros.whisper.decoding.phrases import phrase_scores, PhraseTree
from distil_whisper_ros.whisper.phrase_trees import PhraseTrees
from distil_whisper_ros.whisper.transcriber import Transcriber, UNINTERRUPTED
from distil_whisper_ros.whisper.written_forms import written_forms

COMMANDS = ['go forward {number} meters', 'go back {number} meters', 'turn {left,right}', 'stop']


@pytest.fixture(scope='module')
def transcriber():
    return Transcriber(ModelSettings(id=str(MODEL), dtype='float32', warm_up=False))


@pytest.fixture(scope='module')
def goforward():
    samples, _ = speech()['goforward']
    return Utterance.whole(samples, (0.95,) * (len(samples) // 512))


def test_a_spoken_command_is_found_with_its_number(transcriber, goforward):
    commands = CommandSettings(phrases=COMMANDS)
    settings = Settings(model=transcriber.settings, commands=commands)
    hypothesis = transcriber(goforward, settings.decoding)
    assert hypothesis.phrases is not None
    found = match(hypothesis, goforward, commands, trusted=False)  # by the sound alone
    assert found.command.text == 'go forward {number} meters'
    assert found.command.values == ('10',)
    assert found.command.score > 0.5
    assert 'commands' in hypothesis.parts


def test_without_commands_nothing_is_compared(transcriber, goforward):
    hypothesis = transcriber(goforward, Settings(model=transcriber.settings).decoding)
    assert hypothesis.phrases is None
    assert 'commands' not in hypothesis.parts


def test_the_scores_are_those_of_one_decoder_pass_for_each_form(transcriber, goforward):
    """The tree and its rows give what decoding each form by itself gives."""
    whisper = transcriber._whisper
    phrases = ['go forward 10 meters', 'stop']
    forms = [
        (number, whisper.tokenizer(form, add_special_tokens=False).input_ids)
        for number, phrase in enumerate(phrases)
        for form in written_forms(phrase)
    ]
    tree = PhraseTree()
    for number, tokens in forms:
        tree.add(number, tokens)
    assert tree.depth == max(len(tokens) for _, tokens in forms)
    start = whisper.special_tokens.prefix('', 'transcribe')
    with torch.inference_mode():
        size = 480_000
        states = whisper.encode(whisper.features([goforward.samples], size))
        found = phrase_scores(whisper.decoders.greedy, states, start, tree, UNINTERRUPTED)
        alone = [
            likelihood(whisper.decoders.greedy, states, start, tokens)
            for number, tokens in forms
            if number == 0
        ]
    together = float(torch.tensor(alone).logsumexp(0))
    assert found[0] == pytest.approx(together, abs=0.05)  # forms too unlikely are left out
    assert found.get(1, -99.0) < found[0] - 10


def likelihood(decoder, states, start, tokens) -> float:
    """Return the log probability of one text with its end, from one pass of the decoder."""
    ids = torch.tensor([[*start, *tokens]])
    network = decoder.network
    hidden = network.forward(ids, network.new_cache(states, ids.shape[1]), False)
    scores = network.logits(hidden)[0, len(start) - 1 :].log_softmax(-1)
    wanted = [*tokens, decoder.end]
    return float(scores[range(len(wanted)), wanted].sum())


@pytest.mark.parametrize(
    ('phrase', 'form'),
    [
        ('stop', ' Stop.'),
        ('five', ' 5'),
        ('turn 30 degrees', ' Turn thirty degrees.'),
        ('go forward ten meters', ' Go forward 10 meters.'),
    ],
)
def test_written_forms(phrase, form):
    forms = written_forms(phrase)
    assert form in forms
    assert len(forms) == len(set(forms))


def test_the_tree_has_every_written_form(transcriber):
    """The forms are not tokenized one by one; odd ends of a command must not show it."""
    tokenizer = transcriber._whisper.tokenizer
    wordings = ('stop', 'turn 30 degrees', 'U.S.', 'größe', 'say "hi"', "don't", 'wait…', 'ไทยกี่')
    one_by_one = PhraseTree()
    for number, wording in enumerate(wordings):
        for tokens in tokenizer(written_forms(wording), add_special_tokens=False).input_ids:
            one_by_one.add(number, tokens)
    assert PhraseTrees(tokenizer).of(wordings, lambda: None) == one_by_one


def test_the_tree_can_be_made_before_the_first_utterance(transcriber, goforward, monkeypatch):
    commands = CommandSettings(phrases=['go forward {number} meters', 'sing'])
    settings = Settings(model=transcriber.settings, commands=commands)
    transcriber.prepare(settings.decoding)
    monkeypatch.setattr(PhraseTrees, '_add', None)  # nothing is to be made any more
    assert transcriber(goforward, settings.decoding).phrases


def test_nothing_is_made_without_commands(transcriber, monkeypatch):
    monkeypatch.setattr(PhraseTrees, '_add', None)
    transcriber.prepare(Settings(model=transcriber.settings).decoding)
