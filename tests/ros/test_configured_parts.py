"""What configure makes: the commands are prepared before the first utterance."""

from types import SimpleNamespace
from typing import Any

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.scheduler import Priority, Scheduler
from distil_whisper_ros.core.settings import CommandSettings, Settings
from distil_whisper_ros.ros.configured_parts import ConfiguredParts


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
