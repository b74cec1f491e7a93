"""Greedy decoding: the same tokens as transformers' generation.

`make exact` compares all utterances, `make test` each seventh.
"""

import jiwer
import pytest
from robot import MODEL, ROOT, spoken
import torch
from utterances import every, utterances
from whisper_normalizer.english import EnglishTextNormalizer

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.scheduler import Job, JobAborted, JobContext, Priority, Scheduler
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.audio_context import FULL_CONTEXT
from distil_whisper_ros.whisper.decoding.network import DecoderNetwork
from distil_whisper_ros.whisper.decoding.types import alignment_heads, DecodingOptions
from distil_whisper_ros.whisper.device import choose_dtype, choose_int8
from distil_whisper_ros.whisper.transcriber import Transcriber


def both(transcriber: Transcriber, samples, task: DecodingOptions):
    """Return the results of the greedy decoder and of transformers' generation, for 30 s."""
    whisper = transcriber._whisper
    features = whisper.features([samples], FULL_CONTEXT)
    with torch.inference_mode():
        (ours,) = whisper.decoders.greedy.decode(whisper.encode(features), task, JobContext())
        states = whisper.model.get_encoder()(features).last_hidden_state
        (theirs,) = whisper.decoders.transformers.decode(states, task, JobContext())
    return ours, theirs


def task(transcriber: Transcriber, **more) -> DecodingOptions:
    whisper = transcriber._whisper
    settings = ModelSettings(id=str(MODEL), **more)
    language = more.get('language', 'en')
    return DecodingOptions(
        prompt=transcriber._segments.decoder.prompts.tokens(settings),
        prefix=whisper.special_tokens.prefix(language, settings.task),
        language=language if transcriber.multilingual else '',
        task=settings.task,
        max_tokens=settings.max_new_tokens,
        beam_width=1,
        return_attention=True,
    )


def alike(ours, theirs) -> None:
    assert ours.tokens == theirs.tokens
    assert ours.log_probabilities == pytest.approx(theirs.log_probabilities, abs=0.01)
    assert ours.no_speech_probability == pytest.approx(theirs.no_speech_probability, abs=0.01)
    assert ours.attention.shape == theirs.attention.shape
    # Without an end token, the last row belongs to no token.
    count = len(ours.tokens)
    mine, other = ours.attention[:, :count], theirs.attention[:, :count]
    torch.testing.assert_close(mine, other, atol=0.3, rtol=0.05)


@pytest.mark.timeout(1500)  # minutes, where other programs keep the processor busy
def test_the_tokens_are_those_of_generate(transcriber):
    clips = every(7)
    assert len(clips) >= 20
    # More would only let a few texts loop for longer.
    wanted = task(transcriber, max_new_tokens=128)
    for samples, _ in clips:
        alike(*both(transcriber, samples, wanted))


@pytest.mark.parametrize(
    'more',
    [
        {'prompt': 'Go forward. Zorblax and Quintavia.'},
        {'hotwords': ['Zorblax', 'Quintavia']},
        {'max_new_tokens': 5},
        # An endless text, cut before the loop is noticed.
        {'prompt': 'word ' * 400, 'max_new_tokens': 100},
    ],
)
def test_also_with_a_prompt_and_with_few_tokens(transcriber, more):
    for text in ('Please bring the cup to Zorblax.', 'Turn left at the end of the corridor.'):
        alike(*both(transcriber, spoken(text, 'en-us', 140), task(transcriber, **more)))


@pytest.mark.parametrize('name', ['transcribe', 'translate'])
@pytest.mark.parametrize('language', ['es', 'de'])
def test_also_in_other_languages(language, name):
    base = Transcriber(
        ModelSettings(id=str(ROOT / 'models' / 'base'), dtype='float32', warm_up=False)
    )
    samples = spoken('Buenos días. Mein Name ist Peter.', language, 130)
    alike(*both(base, samples, task(base, language=language, task=name)))


def test_a_batch_gives_the_same_texts(transcriber):
    said = [Utterance.whole(samples) for samples, _ in utterances()[:6]]
    settings = ModelSettings(id=str(MODEL))
    alone = [transcriber(each, settings) for each in said]
    together = transcriber.transcribe_batch(said, settings)
    assert [each.text for each in together] == [each.text for each in alone]
    for one, other in zip(alone, together):
        words, others = one.segments[0].words, other.segments[0].words
        assert [w.text for w in words] == [w.text for w in others]
        assert [w.start for w in words] == pytest.approx([w.start for w in others], abs=0.05)


@pytest.mark.timeout(1500)  # minutes, where other programs keep the processor busy
def test_int8_and_a_short_audio_context_cost_no_words():
    """By word error rate: rounding can change a token where two are equally likely."""
    clips = every(4)
    normal = EnglishTextNormalizer()
    rates = {}
    for dtype, margin in (('float32', 30.0), ('auto', -1.0)):
        settings = ModelSettings(
            id=str(MODEL), dtype=dtype, audio_context_margin=margin, word_timestamps=False
        )
        transcriber = Transcriber(settings)
        assert transcriber.precision == ('int8' if dtype == 'auto' else dtype)  # the log tells it
        texts = [transcriber(Utterance.whole(samples)).text for samples, _ in clips]
        rates[dtype] = jiwer.wer([normal(text) for _, text in clips], [normal(t) for t in texts])
    print(rates)
    # 20 of 2000 words, or 10 of 500: chance decides on these.
    assert rates['auto'] <= rates['float32'] + (0.01 if len(clips) > 100 else 0.02)


def test_int8_is_for_a_cpu():
    assert choose_dtype('int8', torch.device('cpu')) is torch.float32
    assert choose_int8('auto', torch.device('cpu'))
    assert not choose_int8('float32', torch.device('cpu'))
    assert not choose_int8('auto', torch.device('cuda'))
    with pytest.raises(SettingError, match="model.dtype is 'int8', but int8 is for a CPU"):
        choose_dtype('int8', torch.device('cuda:0'))


def test_another_architecture_goes_through_transformers(transcriber, monkeypatch):
    assert DecoderNetwork.supports(transcriber._whisper.model)
    monkeypatch.setattr(transcriber._whisper.model.config, 'scale_embedding', True)
    assert not DecoderNetwork.supports(transcriber._whisper.model)


def test_a_distilled_model_has_its_own_alignment_heads(transcriber, monkeypatch):
    assert alignment_heads(transcriber._whisper.model)
    teacher = [[15, 3], [20, 1]]  # layers that a model of 4 does not have
    monkeypatch.setattr(transcriber._whisper.model.generation_config, 'alignment_heads', teacher)
    assert alignment_heads(transcriber._whisper.model) == {2: list(range(6)), 3: list(range(6))}


def test_each_decoder_can_be_aborted(transcriber):
    samples = utterances()[0][0]
    for beam_width in (1, 2):
        settings = ModelSettings(id=str(MODEL), beam_width=beam_width)
        job = Job(Priority.PARTIAL, lambda context: None)
        scheduler = Scheduler()
        context, checks = JobContext(scheduler, job), []

        def check(context=context, checks=checks, job=job) -> None:
            checks.append(1)
            job.aborted = len(checks) > 4
            JobContext.check(context)

        context.check = check
        with pytest.raises(JobAborted):
            transcriber(Utterance.whole(samples), settings, context)
        assert len(checks) == 5
        scheduler.close()
