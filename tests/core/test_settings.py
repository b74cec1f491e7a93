"""Every parameter has its metadata, and wrong values and names get one clear line."""

import pytest

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import (
    parameter_specs,
    RENAMED,
    Settings,
    settings_from,
)


@pytest.mark.parametrize('spec', list(parameter_specs()), ids=lambda spec: spec.name)
def test_metadata_is_complete(spec):
    assert spec.text.endswith('.')
    spec.check(spec.default)
    if isinstance(spec.default, (int, float)) and not isinstance(spec.default, bool):
        assert spec.low is not None
        assert spec.high is not None
        assert spec.low <= spec.default <= spec.high


def test_defaults():
    assert settings_from({}) == Settings()
    assert Settings().model.id == 'distil-whisper/distil-medium.en'
    assert Settings().utterance.max_duration == 10.0


def test_values_reach_their_place():
    settings = settings_from({'utterance.end_silence': 1.5, 'model.id': 'x', 'autostart': False})
    assert settings.utterance.end_silence == 1.5
    assert settings.model.id == 'x'
    assert settings.autostart is False


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        (
            'utterance.end_silence',
            99.0,
            'utterance.end_silence is 99.0, but must be from 0.1 to 10.0 s',
        ),
        (
            'utterance.end_silence',
            1,
            'utterance.end_silence is 1, but must be a number, with a decimal point: 1.0',
        ),
        ('model.beam_width', -1, 'model.beam_width is -1, but must be from 0 to 16'),
        ('model.beam_width', 'two', "model.beam_width is 'two', but must be a whole number"),
        ('model.id', 7, 'model.id is 7, but must be a text: quote it, as "7"'),
        (
            'hallucination_filter.enabled',
            'yes',
            "hallucination_filter.enabled is 'yes', but must be true or false",
        ),
        *(
            (name, [text], f'{name} has {text!r}, but must not have a zero character')
            for name, text in (
                ('commands.phrases', 'turn\0left'),
                ('commands.urgent', 'st\0op'),
                ('commands.slots', 'room: kit\0chen'),
                ('hands_free.wake_phrases', 'hey ro\0bot'),
            )
        ),
        (
            'model.dtype',
            'int4',
            "model.dtype is 'int4', but must be one of: auto, float32, float16, " 'bfloat16, int8',
        ),
        (
            'utterance.vad_threshold',
            float('nan'),
            'utterance.vad_threshold is nan, but must be from 0.05 to 0.95',
        ),
    ],
)
def test_wrong_values(name, value, message):
    with pytest.raises(SettingError) as error:
        settings_from({name: value})
    assert str(error.value) == message


@pytest.mark.parametrize(('old', 'new'), RENAMED.items())
def test_a_former_name_is_refused_with_the_new_one(old, new):
    names = {spec.name for spec in parameter_specs()}
    assert new in names
    assert old not in names
    with pytest.raises(SettingError) as error:
        settings_from({old: 1})
    assert str(error.value) == f'{old} is now called {new}: use the new name'


def test_an_unknown_name_is_refused_with_a_near_one():
    with pytest.raises(SettingError) as error:
        settings_from({'utterance.end_silnce': 1.0})
    expected = (
        "there is no parameter 'utterance.end_silnce'; did you mean 'utterance.end_silence'?"
    )
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        (
            'prompt',
            'x' * 10_001,
            'model.prompt has a text of 10001 letters, but it may have 10000 at most',
        ),
        (
            'hotwords',
            ['Zora', *50 * ['x' * 100_000]],
            'model.hotwords has a text of 100000 letters, but it may have 200 at most',
        ),
        ('hotwords', 1001 * ['Zora'], 'model.hotwords has 1001 texts, but may have 1000 at most'),
    ],
)
def test_a_prompt_that_is_far_too_long_is_refused_in_parameters_and_goals(name, value, message):
    with pytest.raises(SettingError, match=message):
        settings_from({f'model.{name}': value})
    with pytest.raises(SettingError, match=f'^{message[6:]}'):
        Settings().model.replaced(**{name: value})
