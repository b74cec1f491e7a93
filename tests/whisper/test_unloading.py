"""A model that rests: its memory is freed, and the next call loads it again."""

from pathlib import Path
import threading
from typing import ClassVar

import pytest
from robot import goforward, MODEL

from distil_whisper_ros.core.errors import ModelError
from distil_whisper_ros.core.scheduler import JobContext
from distil_whisper_ros.core.settings import ModelSettings
from distil_whisper_ros.core.types import Utterance
from distil_whisper_ros.whisper.transcriber import Transcriber


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder with a model, which a test may take away."""
    link = tmp_path_factory.mktemp('models') / 'tiny.en'
    link.symlink_to(Path(MODEL).resolve())
    return link


@pytest.fixture(scope='module')
def told():
    return []


@pytest.fixture(scope='module')
def model(folder, told):
    return Transcriber(ModelSettings(id=str(folder)), on_resting=told.append)


def text(model) -> str:
    return model(Utterance.whole(goforward())).text


def test_a_model_that_rests_writes_the_same_text_again(model, told):
    before = text(model)
    assert model.rest() and model.resting
    assert not model.rest(), 'it rests already'
    assert told == [True]
    model.wake()
    assert not model.resting
    assert told == [True, False]
    assert model.rest()
    assert text(model) == before
    assert told == [True, False, True, False]


def test_it_does_not_rest_while_a_call_uses_it(model):
    class Asking(JobContext):
        rested: ClassVar[list[bool]] = []

        def check(self) -> None:
            self.rested.append(model.rest())

    context = Asking()
    assert model(Utterance.whole(goforward()), context=context).text
    assert context.rested and not any(context.rested)


def test_calls_at_once_load_it_once(model, told):
    model.rest()
    told.clear()
    threads = [threading.Thread(target=model.wake) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [False]


def test_a_model_that_is_gone_is_told_and_loaded_once_it_is_back(model, folder):
    assert model.rest()
    away = folder.with_name('away')
    folder.rename(away)
    try:
        with pytest.raises(ModelError, match='tiny.en'):
            text(model)
        assert model.resting
    finally:
        away.rename(folder)
    assert text(model)


def test_a_model_that_was_closed_stays_closed(model):
    model.rest()
    model.close()
    assert not model.resting
    with pytest.raises(ModelError, match='was unloaded'):
        model.wake()
