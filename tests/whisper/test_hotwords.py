"""Hotwords in a beam search: what they add to the score of a text, and what they never add."""

import pytest
from rare_words import NAMES, PATTERNS
from robot import MODEL, spoken
import torch
from word_timestamps import utterance

from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.whisper.decoding import beam
from distil_whisper_ros.whisper.decoding import hotwords as hotwords_module
from distil_whisper_ros.whisper.decoding.hotwords import BONUS, Hotwords

END, COMMA, LETTERS = 0, 1, 2
ZOR, BLAX, STOP, NOW = 10, 11, 20, 21
FAR = 100.0  # nats behind the likeliest token


@pytest.fixture
def hotwords():
    """Return the words "Zorblax", "stop" and "stop now"."""
    return Hotwords([[ZOR, BLAX], [STOP], [STOP, NOW]], frozenset({LETTERS}))


def scores(hotwords, *tokens, behind=FAR) -> list[float]:
    """Return the sum of the bonuses after each token."""
    place, sums = hotwords.start, [0.0]
    for token in tokens:
        place, more = hotwords.follow(place, token, behind)
        sums.append(sums[-1] + more)
    return sums[1:]


def test_a_word_gets_a_bonus_and_keeps_it(hotwords):
    assert scores(hotwords, COMMA, ZOR, BLAX, COMMA, END) == [0, BONUS, BONUS, BONUS, BONUS]


def test_the_bonus_lifts_a_token_at_most_to_the_likeliest(hotwords):
    assert scores(hotwords, ZOR, BLAX, END, behind=1.5) == [1.5, 3.0, 3.0]
    assert scores(hotwords, ZOR, BLAX, END, behind=0.0) == [0, 0, 0]


@pytest.mark.parametrize('after', [COMMA, END, LETTERS])
def test_a_part_of_a_word_loses_it(hotwords, after):
    assert scores(hotwords, ZOR, after) == [BONUS, 0]


def test_a_longer_word_is_another_word(hotwords):
    assert scores(hotwords, ZOR, BLAX, LETTERS) == [BONUS, BONUS, 0]
    assert scores(hotwords, STOP, LETTERS) == [BONUS, 0]


def test_a_word_counts_once(hotwords):
    """Else a text that repeats it would be better with each repeat."""
    assert scores(hotwords, STOP, COMMA, STOP, COMMA, STOP)[-1] == BONUS
    assert scores(hotwords, ZOR, BLAX, ZOR, BLAX, ZOR, BLAX, END)[-1] == BONUS


def test_a_repeat_is_noticed(hotwords):
    def last(*tokens):
        place = hotwords.start
        for token in tokens:
            place, _ = hotwords.follow(place, token, FAR)
        return place

    assert not last(ZOR, BLAX, STOP, COMMA).repeated
    assert last(ZOR, BLAX, STOP, COMMA, ZOR, BLAX, COMMA).repeated


def test_two_words_count_each(hotwords):
    assert scores(hotwords, ZOR, BLAX, STOP, END)[-1] == 2 * BONUS


def test_what_goes_on_or_begins(hotwords):
    assert hotwords.tokens(hotwords.start) == {ZOR, STOP}
    place, _ = hotwords.follow(hotwords.start, STOP, FAR)
    assert hotwords.tokens(place) == {NOW, ZOR, STOP}


def test_the_search_takes_the_bonus(hotwords):
    """It orders the texts; the log probabilities stay those of the model."""
    search = beam._Search([], [])

    def continued(scores, ids, words):
        return beam._continued(search, 0, [scores], [ids], 2, words)

    first = [-0.1, -4.0, -6.0], [COMMA, LETTERS, ZOR]
    assert [step.token for step in continued(*first, None)] == [COMMA, LETTERS, ZOR]
    steps = continued(*first, hotwords)
    assert [step.token for step in steps] == [COMMA, ZOR, LETTERS]
    assert (steps[1].total, steps[1].weight) == (-6.0, BONUS - 6.0)
    search.running = [steps[1]]
    left, _ = continued([-0.1, -5.0], [COMMA, BLAX], hotwords)
    assert (left.token, left.weight) == (BLAX, BONUS - 11.0)  # the comma leaves the word


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
    assert first.start.node.children.keys() != other.start.node.children.keys()
    assert used(5) is used(1, 'Zorblax') is None


def test_a_token_of_a_hotword_is_a_candidate_however_unlikely(transcriber):
    whisper = transcriber._whisper
    rare = whisper.tokenizer(' Zorblax', add_special_tokens=False).input_ids[0]
    logits = torch.full((1, whisper.model.config.vocab_size), 0.0)
    logits[0, rare] = -50.0
    scores, ids = [[-1.0]], [[rare + 1]]
    whisper.decoders.beam._add_hotwords(
        [beam._Search([], [])], logits, Hotwords([[rare]], frozenset()), scores, ids
    )
    assert ids == [[rare + 1, rare]] and scores[0][1] < -50.0


def test_invented_names_are_heard(transcriber, monkeypatch):
    said = {
        (name, pattern): utterance(spoken(pattern.format(name), 'en-us', 140))
        for name in NAMES
        for pattern in PATTERNS
    }
    settings = ModelSettings(
        id=str(MODEL), beam_width=5, hotwords=list(NAMES), word_timestamps=False
    )

    def heard() -> int:
        texts = {key: transcriber(audio, settings).text for key, audio in said.items()}
        return sum(name.lower() in text.lower() for (name, _), text in texts.items())

    with_bonus = heard()
    monkeypatch.setattr(hotwords_module, 'BONUS', 0.0)
    prompt_alone = heard()
    print(f'of {len(said)} names: prompt alone {prompt_alone}, with the bonus {with_bonus}')
    assert with_bonus > prompt_alone >= 11  # rounding differs between processors


def test_the_tokens_inside_a_word(transcriber):
    whisper = transcriber._whisper
    pieces = whisper.tokenizer.convert_ids_to_tokens(sorted(whisper.inside_words)[:2000])
    assert 'ing' in pieces and '7' in pieces
    assert not any(piece.startswith(('Ġ', ',', '.', '<|')) for piece in pieces)
