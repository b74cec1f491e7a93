"""Hotwords beside a beam search: which come into a text, and that nobody's words become others."""

from dataclasses import replace
from typing import Any

import pytest
from rare_words import NAMES, PATTERNS
from robot import MODEL, spoken
from test_decoding import alike, task
import torch
from utterances import every, utterances
from word_timestamps import utterance

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding import hotword_search
from distil_whisper_ros.whisper.decoding.hotword_search import _replaced, _Search, _Try
from distil_whisper_ros.whisper.decoding.hotwords import BONUS, Hotwords, is_similar, Node
from distil_whisper_ros.whisper.transcriber import Transcriber

WORDS = ['', ' tell', ' mor', 'bl', 'ax', ' zor', '.', ' stop', ' now', ' Stop']
END, TELL, MOR, BL, AX, ZOR, DOT, STOP, NOW, CAPITAL = range(10)
INSIDE = frozenset({BL, AX})
TEXT = [TELL, MOR, BL, AX, DOT, END]


def words(*forms) -> Hotwords:
    return Hotwords(forms, INSIDE, lambda tokens: ''.join(WORDS[token] for token in tokens))


class Script:
    """A reading of TEXT in which each token is as likely as a table says."""

    def __init__(self, own: list[float], likely: dict[tuple[int, int], float], text=TEXT) -> None:
        """`likely` has the scores of tokens behind tokens; what is not in it is not likely."""
        self.text, self.own = text, own
        self._likely = likely
        self.scores = self._rows([None, *text[:-1]])
        for place, (token, score) in enumerate(zip(text, own)):
            self.scores[place, token] = score
        self.best = torch.full((len(text),), -0.1)

    def _rows(self, before) -> torch.Tensor:
        rows = torch.full((len(before), len(WORDS)), -50.0)
        for row, token in enumerate(before):
            for (one, other), score in self._likely.items():
                if one == token:
                    rows[row, other] = score
        return rows

    def has_room(self, one) -> bool:
        return True

    def predict(self, tries):
        return self._rows([each.tokens[-1] for each in tries]), [-0.1] * len(tries)


OWN = [-0.1, -2.0, -0.1, -0.1, -0.2, -0.1]
FITS = {(TELL, ZOR): -4.0, (ZOR, BL): -0.1, (BL, AX): -0.1, (AX, DOT): -0.1, (DOT, END): -0.1}


def heard(hotwords, own=OWN, likely=FITS, text=TEXT) -> list[int]:
    reading: Any = Script(own, likely, text)
    tries = _Search(reading, hotwords).likely(JobContext())
    return _replaced(text, tries)


def test_a_hotword_replaces_a_word_like_it():
    assert heard(words([ZOR, BL, AX])) == [TELL, ZOR, BL, AX, DOT, END]


@pytest.mark.parametrize(
    'less',
    [
        {(TELL, ZOR): -BONUS - 0.2},
        {(TELL, ZOR): -BONUS + 1, (ZOR, BL): -1.2},  # all its tokens together
        {(AX, DOT): -8.0},  # the words behind it do not fit
    ],
)
def test_a_hotword_that_is_too_unlikely_replaces_nothing(less):
    assert heard(words([ZOR, BL, AX]), likely={**FITS, **less}) == TEXT


def test_a_word_that_is_not_in_doubt_stays():
    assert heard(words([ZOR, BL, AX]), own=[-0.1, -0.2, -0.1, -0.1, -0.2, -0.1]) == TEXT


def test_a_word_of_other_letters_stays():
    likely = {(TELL, STOP): -0.1, (STOP, NOW): -0.1, (NOW, DOT): -0.1, (DOT, END): -0.1}
    assert heard(words([STOP, NOW]), likely=likely) == TEXT


def test_a_part_of_a_hotword_replaces_nothing():
    assert heard(words([ZOR, BL, AX, STOP])) == TEXT


def test_a_hotword_that_the_text_has_does_not_come_again():
    text = [TELL, MOR, BL, AX, ZOR, BL, AX, END]
    own = [-0.1, -2.0, -0.1, -0.1, -9.0, -0.1, -0.1, -0.1]
    likely = {**FITS, (AX, ZOR): -0.1, (AX, END): -0.1}
    assert heard(words([ZOR, BL, AX]), own, likely, text) == text
    assert heard(words([ZOR, BL, AX]), own, likely, [*text[:4], *text[:4], END][:8]) != text


def test_each_place_and_each_hotword_counts_once():
    one, other = Node(word='zorblax'), Node(word='stop')

    def found(node, begin, end, *tokens):
        return _Try(begin, node, (*tokens, DOT), 0.0, 0.0, length=len(tokens), end=end + 1)

    best = found(one, 1, 4, ZOR, BL, AX)
    assert _replaced(TEXT, [best, found(other, 3, 5, STOP)]) == [TELL, ZOR, BL, AX, DOT, END]
    assert _replaced(TEXT, [best, found(one, 0, 1, ZOR)]) == [TELL, ZOR, BL, AX, DOT, END]
    both = _replaced(TEXT, [best, found(other, 0, 1, STOP)])
    assert both == [STOP, ZOR, BL, AX, DOT, END]


def test_letters_tell_which_words_may_be_a_hotword():
    assert is_similar('morblax', 'zorblax') and is_similar('il besto', 'ilvesto')
    assert not is_similar('there', 'marvotek') and not is_similar('', 'marvotek')


def test_hotwords_are_compared_without_case_and_punctuation():
    hotwords = words([CAPITAL, NOW])
    assert hotwords.plain([STOP, DOT, CAPITAL]) == 'stop stop'
    assert [*hotwords.root.words()] == ['stop now']


def names(transcriber, width) -> int:
    """Return how many of the invented names are heard."""
    settings = ModelSettings(
        id=str(MODEL), beam_width=width, hotwords=list(NAMES), word_timestamps=False
    )
    return sum(
        name.lower() in transcriber(audio, settings).text.lower()
        for name, audio in (
            (name, utterance(spoken(pattern.format(name), 'en-us', 140)))
            for name in NAMES
            for pattern in PATTERNS
        )
    )


def test_invented_names_are_heard(transcriber, monkeypatch):
    with_bonus = names(transcriber, 5)
    monkeypatch.setattr(hotword_search, 'BONUS', -float('inf'))
    prompt_alone = names(transcriber, 5)
    print(f'of 18 names: prompt alone {prompt_alone}, with the bonus {with_bonus}')
    assert with_bonus > prompt_alone >= 11  # rounding differs between processors


@pytest.mark.timeout(3600)  # minutes, where other programs keep the processor busy
def test_without_a_name_the_texts_are_those_without_the_bonus(monkeypatch):
    """In int8, in which a row more would change how all others are rounded."""
    transcriber = Transcriber(ModelSettings(id=str(MODEL), dtype='int8', warm_up=False))
    settings = ModelSettings(id=str(MODEL), beam_width=5, hotwords=list(NAMES))
    clips = [Utterance.whole(samples) for samples, _ in every(11)]
    found = [transcriber(clip, settings).text for clip in clips]
    monkeypatch.setattr(hotword_search, 'BONUS', -float('inf'))
    assert found == [transcriber(clip, settings).text for clip in clips]


def test_a_name_comes_with_its_probabilities_and_times(transcriber, monkeypatch):
    """Those of the new text, which has another number of tokens."""
    seen = []

    def search(self, found, *others):
        seen[:] = found, original(self, found, *others)
        return seen[1]

    original = hotword_search.HotwordSearch.search
    monkeypatch.setattr(hotword_search.HotwordSearch, 'search', search)
    audio = utterance(spoken('Zorblax is waiting in the kitchen.', 'en-us', 140))
    heard = transcriber(audio, ModelSettings(id=str(MODEL), beam_width=5, hotwords=[*NAMES]))
    assert heard.text == 'Zorblax is waiting in the kitchen.'
    assert [word.text for word in heard.segments[0].words] == heard.text.split()
    plain, found = seen
    assert len(plain.tokens) != len(found.tokens)
    count = len(found.tokens) + 1
    assert found.attention.shape == (len(plain.attention), count, plain.attention.shape[2])
    assert len(found.log_probabilities) == count
    assert torch.allclose(found.attention[:, :1], plain.attention[:, :1], atol=1e-3)


def test_a_text_read_again_is_what_was_searched(transcriber):
    """Also one with other tokens from some place on, which do not see what they replace."""
    whisper = transcriber._whisper
    greedy = whisper.decoders.greedy
    options = replace(task(transcriber), beam_width=3)
    with torch.inference_mode():
        states = whisper.encode(whisper.features([utterances()[3][0]] * 2, FULL_CONTEXT))
        begun = greedy.begin(states, options)
        start = begun.cache.length
        found = whisper.decoders.beam.decode_on(begun, options, JobContext())[1]
        tokens = [*found.tokens, greedy.end]

        def read(text) -> hotword_search._Reading:
            return hotword_search._Reading(greedy, begun, 1, start, text, True)

        reading = read(tokens)
        again = replace(found, log_probabilities=reading.own, attention=reading.attention())
        tries = [_Try(2, Node(), (tokens[0],), 0.0, 0.0), _Try(1, Node(), (tokens[1],), 0.0, 0.0)]
        reading.predict(tries)
        longer = [each.then(tokens[4], 0.0, row) for row, each in enumerate(tries)][::-1]
        scores, _ = reading.predict(longer)
        for each, row in zip(longer, scores):
            other = read([*tokens[: each.begin], *each.tokens, greedy.end])
            assert torch.allclose(row, other.scores[-1], atol=1e-3)
    alike(again, found)
    assert torch.allclose(again.attention, found.attention, atol=1e-3)


def test_the_hotwords_of_a_request_reach_its_search(transcriber, monkeypatch):
    seen = []

    def decode(states, options, context):
        seen.append(options.hotwords)
        return original(states, options, context)

    decoders = transcriber._whisper.decoders
    original = decoders.decode
    monkeypatch.setattr(decoders, 'decode', decode)
    audio = utterance(spoken('Tell Zorblax.', 'en-us', 140))

    def used(width, *words):
        seen.clear()
        settings = ModelSettings(id=str(MODEL), beam_width=width, hotwords=list(words))
        transcriber(audio, settings)
        (each,) = set(seen)
        return each

    first, other = used(5, 'Zorblax'), used(0, 'Kovrin')
    assert first.root.children.keys() != other.root.children.keys()
    assert used(5) is used(1, 'Zorblax') is None


def test_the_tokens_inside_a_word(transcriber):
    whisper = transcriber._whisper
    pieces = whisper.tokenizer.convert_ids_to_tokens(sorted(whisper.inside_words)[:2000])
    assert 'ing' in pieces and '7' in pieces
    assert not any(piece.startswith(('Ġ', ',', '.', '<|')) for piece in pieces)
