"""Beam search: the same texts as transformers' generation.

`make exact` compares all utterances, `make test` a few.
"""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from robot import MODEL, spoken
from test_decoding import alike, task
import torch
from utterances import every, utterances

from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.beam import BeamDecoder
from distil_whisper_ros.whisper.decoding.cache import DecoderCache
from distil_whisper_ros.whisper.decoding.fallback import is_better, is_doubtful
from distil_whisper_ros.whisper.decoding.types import DecodingResult
from distil_whisper_ros.whisper.transcriber import Transcriber


def both(transcriber: Transcriber, samples, options):
    """Return the results of the beam search and of transformers' generation, for 30 s."""
    whisper = transcriber._whisper
    with torch.inference_mode():
        states = whisper.encode(whisper.features([samples], FULL_CONTEXT))
        (ours,) = whisper.decoders.beam.decode(states, options, JobContext())
        (theirs,) = whisper.decoders.transformers.decode(states, options, JobContext())
    return ours, theirs


@pytest.mark.timeout(3600)  # minutes, where other programs keep the processor busy
def test_the_texts_are_those_of_generate(transcriber):
    options = task(transcriber, max_new_tokens=128)
    options = replace(options, beam_width=5)
    clips = every(31)
    same = 0
    for samples, _ in clips:
        ours, theirs = both(transcriber, samples, options)
        if ours.tokens == theirs.tokens:
            alike(ours, theirs)
            same += 1
    print(f'{same} of {len(clips)} texts are the same')
    assert same >= 0.99 * len(clips)  # rounding decides between equal texts


@pytest.mark.parametrize(
    ('width', 'more'),
    [
        (2, {'prompt': 'Go forward. Zorblax and Quintavia.'}),
        (3, {'max_new_tokens': 5}),
        (8, {'max_new_tokens': 1}),
    ],
)
def test_also_with_a_prompt_and_with_few_tokens(transcriber, width, more):
    options = replace(task(transcriber, **more), beam_width=width)
    samples = spoken('Please bring the cup to Zorblax.', 'en-us', 140)
    alike(*both(transcriber, samples, options))


def test_a_batch_gives_the_same_texts(transcriber):
    whisper = transcriber._whisper
    clips = [samples for samples, _ in utterances()[2:17:7]]
    options = replace(task(transcriber), beam_width=3)
    with torch.inference_mode():
        states = whisper.encode(whisper.features(clips, FULL_CONTEXT))
        together = whisper.decoders.beam.decode(states, options, JobContext())
        alone = [
            whisper.decoders.beam.decode(row[None], options, JobContext())[0] for row in states
        ]
    assert len({len(each.tokens) for each in alone}) > 1  # they end at different steps
    for one, other in zip(alone, together):
        alike(one, other)


def test_beside_greedy_decoding_both_give_what_they_give_alone(transcriber):
    """Also where one of both ends long before the other, and in a batch."""
    decoders, encode = transcriber._whisper.decoders, transcriber._whisper.encode
    clips = [samples for samples, _ in utterances()[2:44:6]]
    options = replace(task(transcriber, max_new_tokens=60), beam_width=4)
    lengths = set()
    with torch.inference_mode():
        states = encode(transcriber._whisper.features(clips, FULL_CONTEXT))
        for batch in (*states[:, None].unbind(), states[:2]):
            begun = decoders.greedy.begin(batch, options)
            found = decoders.beam.decode_beside_greedy(begun, options, JobContext())
            searched = decoders.beam.decode(batch, options, JobContext())
            greedy = decoders.greedy.decode(batch, options, JobContext())
            for pair, *alone in zip(found, searched, greedy):
                for together, each in zip(pair, alone):
                    alike(together, each)
                lengths.add(len(pair[0].tokens) - len(pair[1].tokens))
    assert min(lengths) < 0 < max(lengths)


def test_the_rows_of_the_cache_are_reordered_in_place():
    keys, values = torch.randn(2, 4, 1, 3, 2)
    cache = DecoderCache([keys.clone()], [values.clone()], [], [], length=2)
    before = cache.self_keys[0].data_ptr()
    cache.reorder([1, 1, 0, 3])
    assert cache.self_keys[0].data_ptr() == before
    assert torch.equal(cache.self_keys[0][:, :, :2], keys[[1, 1, 0, 3], :, :2])
    assert torch.equal(cache.self_values[0][:, :, :2], values[[1, 1, 0, 3], :, :2])


def test_what_it_does_not_cover_goes_through_transformers(transcriber, monkeypatch):
    assert BeamDecoder.supports(transcriber._whisper.model.generation_config)
    assert not BeamDecoder.supports(SimpleNamespace(early_stopping=True))
    assert not BeamDecoder.supports(SimpleNamespace(num_beam_groups=2))
    whisper, used = transcriber._whisper, []
    monkeypatch.setattr(whisper.decoders.beam, 'decode', lambda *_: used.append('ours'))
    monkeypatch.setattr(whisper.decoders.transformers, 'decode', lambda *_: used.append('theirs'))
    options = replace(task(transcriber), beam_width=2)
    whisper.decoders.decode(torch.zeros(1), options, JobContext())
    monkeypatch.setattr(whisper.decoders, 'beam', None)
    whisper.decoders.decode(torch.zeros(1), options, JobContext())
    assert used == ['ours', 'theirs']


def test_the_length_penalty_of_the_model_counts(transcriber, monkeypatch):
    generation = transcriber._whisper.model.generation_config
    monkeypatch.setattr(generation, 'length_penalty', -2.0)
    monkeypatch.setattr(
        transcriber._whisper.decoders,
        'beam',
        BeamDecoder(transcriber._whisper.decoders.greedy, generation),
    )
    options = replace(task(transcriber, max_new_tokens=40), beam_width=4)
    alike(*both(transcriber, utterances()[5][0], options))


def test_int8_hears_the_same():
    int8 = Transcriber(ModelSettings(id=str(MODEL), dtype='int8', beam_width=5, warm_up=False))
    found = int8(Utterance.whole(spoken('Turn left at the end of the corridor.', 'en-us', 140)))
    assert found.text == 'Turn left at the end of the corridor.'
    assert len(found.segments[0].words) == 8


def test_only_what_is_in_doubt_is_searched():
    clear, noisy = (utterances()[number][0] for number in (3, 43))
    whisper = Transcriber(ModelSettings(id=str(MODEL), warm_up=False))
    for samples, searched in ((clear, False), (noisy, True)):
        found, greedy, beam = (
            whisper(Utterance.whole(samples), ModelSettings(id=str(MODEL), beam_width=width))
            for width in (0, 1, 5)
        )
        assert found.searched == searched
        assert found.text == (beam if searched else greedy).text
        assert not greedy.searched
    assert greedy.text != beam.text  # so that the search had an effect


@pytest.mark.parametrize('memory', [0, 1])
def test_a_search_without_memory_leaves_the_greedy_text(monkeypatch, memory):
    noisy, notices = utterances()[43][0], []
    whisper = Transcriber(ModelSettings(id=str(MODEL), warm_up=False), on_notice=notices.append)
    decoders, left = whisper._whisper.decoders, [memory]

    def full(call):
        def attempt(*args):
            if left[0] == 0:
                raise torch.OutOfMemoryError('out of memory')
            left[0] -= 1
            return call(*args)

        return attempt

    for name in ('decode', 'decode_on', 'decode_beside_greedy'):
        monkeypatch.setattr(decoders.beam, name, full(getattr(decoders.beam, name)))
    greedy, found = (
        whisper(Utterance.whole(noisy), ModelSettings(id=str(MODEL), beam_width=width))
        for width in (1, 0)
    )
    assert found.searched == bool(memory)
    if not memory:
        assert found.text == greedy.text
        assert notices == [
            'a beam search failed (out of memory): the text is that of greedy decoding'
        ]


def test_one_unlikely_token_makes_a_text_doubtful():
    assert not is_doubtful([1, 2], [-0.1, -0.4, -1.9], True)  # the end token does not count
    assert is_doubtful([1, 2], [-0.1, -0.8, -0.1], True)
    assert not is_doubtful([1, 2], [-0.1, -1.3, -0.1], False)
    assert not is_doubtful([1, 2], [-0.1, -3.3, -0.1], True)  # a guess
    assert not is_doubtful([], [-3.0], True)


@pytest.mark.parametrize(
    ('searched', 'ended', 'better'),
    [
        ('Turn left at the corridor.', True, True),
        ('Turn left at the corridor.', False, False),
        ('Thank you for watching. Please like and subscribe.', True, False),
        ('Turn left.', True, False),
        ('Turn left, turn left.', True, False),
    ],
)
def test_a_loop_or_another_length_is_not_better(searched, ended, better):
    assert is_better(searched, ended, 'Turn left at the car door.') == better


@pytest.mark.parametrize(
    ('text', 'taken'), [('Turn left at the corridor.', True), ('Turn left, turn left.', False)]
)
def test_the_text_of_a_search_is_taken_only_if_it_is_better(transcriber, text, taken):
    whisper = transcriber._whisper
    searched, greedy = (
        DecodingResult(
            whisper.tokenizer.encode(each, add_special_tokens=False), [], 0.0, True, None
        )
        for each in (text, 'Turn left at the car door.')
    )
    chosen = whisper.decoders._better(searched, greedy)
    assert chosen == replace(searched if taken else greedy, searched=True)
