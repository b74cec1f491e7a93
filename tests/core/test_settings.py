"""Every knob has what a person needs, and wrong values get one clear line."""

import pytest

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import parameter_specs, Settings, settings_from


@pytest.mark.parametrize('spec', list(parameter_specs()), ids=lambda spec: spec.name)
def test_knob_is_complete(spec):
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
        ('model.beam_width', 0, 'model.beam_width is 0, but must be from 1 to 16'),
        ('model.beam_width', 'two', "model.beam_width is 'two', but must be a whole number"),
        ('model.id', 7, 'model.id is 7, but must be a text'),
        (
            'hallucination_filter.enabled',
            'yes',
            "hallucination_filter.enabled is 'yes', but must be true or false",
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
