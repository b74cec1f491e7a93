"""What configure makes: commands that are prepared, and parts that share the cores."""

from itertools import count
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
from robot import MODEL, TURN_MODEL, wait_for

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.scheduler import Priority, Scheduler
from distil_whisper_ros.core.settings import (
    CommandSettings,
    ModelSettings,
    Settings,
    UtteranceSettings,
)
from distil_whisper_ros.ros.configured_parts import ConfiguredParts, load
from distil_whisper_ros.speech import turn_detector


def parts(prepared: list, failures: list) -> ConfiguredParts:
    transcriber = SimpleNamespace(prepare=lambda settings, job: prepared.append(settings))
    unused: Any = None
    return ConfiguredParts('tiny', transcriber, Scheduler(failures.append), unused, unused, 0.0)


def finish(scheduler: Scheduler) -> None:
    scheduler.submit(Priority.BATCH, lambda _: None).future.result(timeout=10)


def test_the_commands_are_prepared():
    prepared, failures = [], []
    made = parts(prepared, failures)
    settings = Settings(commands=CommandSettings(phrases=['turn {left,right}']))
    made.prepare(lambda: settings)
    finish(made.scheduler)
    assert [each.wordings for each in prepared] == [('turn left', 'turn right')]
    made.scheduler.close()


def test_settings_that_are_wrong_are_told_by_an_utterance_alone():
    prepared, failures = [], []
    made = parts(prepared, failures)

    def wrong():
        raise SettingError('commands.phrases: "turn {" has no end')

    made.prepare(wrong)
    finish(made.scheduler)
    assert not prepared
    assert not failures
    made.scheduler.close()


def test_the_transcriber_leaves_a_core_to_turn_detection(monkeypatch):
    answer = Event()
    model = ModelSettings(id=str(MODEL), warm_up=False)
    reports: Any = SimpleNamespace(
        on_progress=lambda step, share: None,
        on_warning=[].append,
        on_resting=lambda resting: None,
        on_idle=None,
        on_failure=None,
        on_late_failure=None,
    )
    turns = UtteranceSettings(turn_model=str(TURN_MODEL))
    parts = load(Settings(model=model, utterance=turns), count(), reports)
    try:
        shares = parts.transcriber._whisper.encoder.shares_cores
        assert parts.turn_detector.load().future.result(30) and not shares()
        monkeypatch.setattr(turn_detector, 'judged', lambda *_: answer.wait(30) and 0.5)
        job = parts.turn_detector.ask(np.zeros(1600, np.float32))
        assert job is not None and shares()
        answer.set()
        assert job.future.result(30) == 0.5
        wait_for(lambda: not shares(), 5, 'the end of its work')
    finally:
        answer.set()
        parts.close()
