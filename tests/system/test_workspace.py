"""The README's commands for a workspace of one's own."""

from pathlib import Path
import shutil
import subprocess

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_colcon_finds_both_packages_in_a_workspace_of_ones_own(tmp_path):
    if not shutil.which('colcon'):
        pytest.skip('needs colcon')
    source = tmp_path / 'src'
    source.mkdir()
    (source / 'distil_whisper_ros').symlink_to(ROOT)
    lines = (ROOT / 'README.md').read_text().splitlines()
    (link,) = (line for line in lines if line.startswith('ln -s distil_whisper_ros'))
    assert unknown(tmp_path) == ['distil_whisper_msgs']  # colcon stops at the clone's package.xml
    subprocess.run(link.split(), cwd=source, check=True)
    assert unknown(tmp_path) == []


def unknown(workspace: Path) -> list[str]:
    """Return which of the packages colcon does not find; nothing is built."""
    packages = ['distil_whisper_msgs', 'distil_whisper_ros']
    command = ['colcon', '--log-base', str(workspace / 'log'), 'build']
    command += ['--packages-select', *packages, '--packages-skip', *packages]
    run = subprocess.run(command, cwd=workspace, check=True, capture_output=True, text=True)
    text = run.stdout + run.stderr
    return [name for name in packages if f"unknown package '{name}'" in text]
