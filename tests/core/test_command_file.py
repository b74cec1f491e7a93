"""Commands from a YAML file."""

import os

import pytest

from distil_whisper_ros.core.errors import SettingError
from distil_whisper_ros.core.settings import settings_from

FILE = """
phrases: [turn left, "go to the {room}", 5]
urgent: [stop]
slots:
  room: [kitchen, living room]
  floor: [1, 2]
"""


def read(path, **more):
    return settings_from({'commands.file': str(path), **more}).commands


def test_what_is_in_the_file_is_known_beside_the_parameters(tmp_path):
    path = tmp_path / 'commands.yaml'
    path.write_text(FILE)
    commands = read(
        path,
        **{'commands.phrases': ['wait on floor {floor}'], 'commands.slots': ['floor: 3']},
    )
    assert [each.text for each in commands.wordings] == [
        'wait on floor 1', 'wait on floor 2', 'turn left', 'go to the kitchen',
        'go to the living room', '5', 'stop',
    ]  # fmt: skip
    assert commands.all_urgent == ('stop',)
    only = commands.only(['go to the {room}', 'yes'])
    assert [each.text for each in only.wordings] == [
        'go to the kitchen', 'go to the living room', 'yes', 'stop',
    ]  # fmt: skip


def test_it_is_read_when_the_parameter_is_set(tmp_path):
    path = tmp_path / 'commands.yaml'
    path.write_text('phrases: [one]')
    commands = read(path)
    path.write_text('phrases: [two]')
    assert [each.text for each in commands.wordings] == ['one']
    assert [each.text for each in read(path).wordings] == ['two']
    path.unlink()
    assert [each.text for each in commands.wordings] == ['two']


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (None, 'must be a file of at most'),
        ('', 'must have nothing but phrases, urgent, slots'),
        ('[stop]', 'must have nothing but'),
        ('commands: [stop]', 'must have nothing but'),
        ('{1: [stop]}', 'must have nothing but'),
        ('phrases: [', 'is no YAML'),
        ('a: &a [*a]', 'must have nothing but'),
        ('phrases: stop', 'whose phrases must be a list of texts'),
        ('phrases: {a: b}', 'whose phrases must be a list of texts'),
        ('phrases: [yes]', 'quote words as "yes"'),
        ('urgent: [[stop]]', 'whose urgent must be a list of texts'),
        ('slots: [room]', 'whose slots must be lists with names'),
        ('slots: {room: kitchen}', r'whose slots\.room must be a list of texts'),
        ('phrases: ["go to the {room}"]', 'whose slot {room} is not known'),
        ('slots: {number: [one]}', 'use another name'),
        ('phrases: 5', 'whose phrases must be a list of texts'),
        ('urgent: true', 'whose urgent must be a list of texts'),
        ('slots: {room: 3}', r'whose slots\.room must be a list of texts'),
        ('slots: {room: ["living, room"]}', r"whose slots\.room has 'living, room'"),
        ('slots: {"a:b": [c]}', "has 'a:b'"),
        (b'phrases: [\xff]', 'cannot be read'),
        ('phrases: !!python/object/apply:os.system [ls]', 'is no YAML'),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_sentence(tmp_path, content, reason):
    path = tmp_path / 'commands.yaml'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match=reason) as caught:
        read(path)
    assert '\n' not in str(caught.value)


def test_an_empty_text_is_no_command(tmp_path):
    path = tmp_path / 'commands.yaml'
    path.write_text('urgent: [""]')
    assert read(path).all_urgent == ()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'commands.yaml')
    with pytest.raises(SettingError, match='must be a file'):
        read(tmp_path / 'commands.yaml')
