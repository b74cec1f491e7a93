"""Texts are written to regular files, whole or not at all."""

import os

import pytest

from distil_whisper_ros.cli.text_files import write
from distil_whisper_ros.core.errors import FileError


def test_a_link_stays_and_its_target_is_written(tmp_path):
    (tmp_path / 'deeper').mkdir()
    target, link, chain = tmp_path / 'deeper/a.txt', tmp_path / 'b.txt', tmp_path / 'c.txt'
    link.symlink_to('deeper/a.txt')
    chain.symlink_to('b.txt')
    for text in ('new', 'replaced'):  # the target is missing at first
        write(chain, text)
        assert target.read_text() == text
    assert link.is_symlink() and chain.is_symlink() and not target.is_symlink()
    assert [path.name for path in target.parent.iterdir()] == ['a.txt']


@pytest.mark.parametrize('linked', [False, True])
def test_a_pipe_is_refused_and_stays(tmp_path, linked):
    pipe = tmp_path / 'pipe'
    os.mkfifo(pipe)
    file = pipe
    if linked:
        file = tmp_path / 'link'
        file.symlink_to(pipe)
    with pytest.raises(FileError) as refused:
        write(file, 'text')
    assert str(refused.value) == f'{file} cannot be written: it is not a regular file'
    assert pipe.is_fifo() and file.is_symlink() == linked


def test_a_link_to_itself_is_one_sentence(tmp_path):
    link = tmp_path / 'link'
    link.symlink_to('link')
    with pytest.raises(FileError, match='cannot be written: Too many levels of symbolic links'):
        write(link, 'text')
    assert link.is_symlink()
