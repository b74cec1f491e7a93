"""The container: its files by their own checkers, and the real thing where it can be built."""

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / 'docker'


def test_hadolint_passes():
    tool = Path(sys.executable).with_name('hadolint')
    checked = subprocess.run([tool, DOCKER / 'Dockerfile'], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def compose() -> dict:
    whole = yaml.safe_load((DOCKER / 'compose.yaml').read_text())
    # The schema allows extensions at the top, the model that was made from it does not.
    return {key: value for key, value in whole.items() if not key.startswith('x-')}


def test_compose_file_fits_the_schema():
    from compose_pydantic import ComposeSpecification
    from pydantic import ValidationError

    ComposeSpecification.model_validate(compose())
    wrong = compose()
    wrong['services']['speech']['runtimee'] = 'nvidia'
    with pytest.raises(ValidationError, match='runtimee'):
        ComposeSpecification.model_validate(wrong)


def test_compose_gives_what_the_node_needs():
    for service in compose()['services'].values():
        assert service['network_mode'] == 'host'
        assert service['devices'] == ['/dev/snd']
        assert service['volumes'] == ['models:/huggingface']
        assert service['read_only'] is True
    assert compose()['services']['speech']['runtime'] == 'nvidia'
    assert 'runtime' not in compose()['services']['speech-cpu']


@pytest.mark.parametrize(
    'script',
    [
        'build_package',
        'entrypoint',
        'install_packages',
        'install_torch',
        'test/run',
        'test/make_base',
    ],
)
def test_scripts_are_executable_and_parse(script):
    assert os.access(DOCKER / script, os.X_OK)
    assert subprocess.run(['bash', '-n', DOCKER / script]).returncode == 0


def test_everything_that_is_copied_exists():
    for line in (DOCKER / 'Dockerfile').read_text().splitlines():
        if line.startswith('COPY '):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source


def install_torch(tmp_path, machine: str, cuda: str, **more: str):
    """Run docker/install_torch on a stand-in of a machine with a torch of that CUDA."""
    package = tmp_path / 'torch'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / 'version.py').write_text(f"__version__ = '2.8.0'\ncuda = {cuda}\n")
    uname = tmp_path / 'uname'
    uname.write_text(f'#!/bin/sh\necho {machine}\n')
    uname.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
    return subprocess.run(
        [DOCKER / 'install_torch', '2.8.0', 'file:///nowhere'],
        env={**os.environ, 'PATH': path, 'PYTHONPATH': str(tmp_path), **more},
        capture_output=True,
        text=True,
    )


def test_a_torch_without_cuda_on_arm64_fails_the_build(tmp_path):
    run = install_torch(tmp_path, 'aarch64', 'None')
    assert run.returncode == 1
    assert 'is a build for the CPU: the Jetson would not use its GPU' in run.stderr
    assert '--build-arg TORCH_INDEX' in run.stderr


@pytest.mark.parametrize(
    ('machine', 'cuda', 'more'),
    [('aarch64', "'12.6'", {}), ('x86_64', 'None', {}), ('aarch64', 'None', {'ALLOW_CPU': '1'})],
)
def test_the_torch_of_an_image_is_kept(tmp_path, machine, cuda, more):
    run = install_torch(tmp_path, machine, cuda, **more)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith('torch 2.8.0, CUDA')


@pytest.mark.timeout(1800)
def test_the_container_is_built_and_hears(tmp_path):
    """Build this Dockerfile with buildah, run the node in it, call it from outside."""
    if os.geteuid() != 0:
        pytest.skip('building a container needs root: sudo make container-test')
    if not (os.environ.get('CI') or os.environ.get('CONTAINER_TEST')):
        pytest.skip('takes six minutes: make container-test, or set CONTAINER_TEST=1')
    environment = {**os.environ, 'CONTAINER_WORK': str(tmp_path)}
    try:
        run = subprocess.run(
            [DOCKER / 'test/run'], env=environment, capture_output=True, text=True, check=False
        )
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert run.stdout.count("ok: /speech/text from outside: ['Go forward 10 meters.']") == 2
