"""The container: its files by their own checkers, and the real thing where it can be built."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
from tempfile import TemporaryDirectory

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
        # A group that the image has, or the host's number.
        assert service['group_add'] == [
            '${AUDIO_GROUP:-audio}',
            '${VIDEO_GROUP:-video}',
            '${RENDER_GROUP:-render}',
        ]
    services = compose()['services']
    assert services['speech']['runtime'] == 'nvidia'
    assert 'runtime' not in services['speech-cpu']
    # Not every image names them, and without them the runtime gives no GPU.
    given = services['speech']['environment']
    assert given['NVIDIA_VISIBLE_DEVICES'] == given['NVIDIA_DRIVER_CAPABILITIES'] == 'all'
    # Without a GPU the node says so in one line, and does not fall back to the CPU.
    assert 'device:=cuda' in services['speech']['command']
    assert services['speech-cpu']['command'] == [
        word.replace('cuda', 'cpu') for word in services['speech']['command']
    ]


def test_the_service_without_a_gpu_may_be_built_on_arm64():
    assert compose()['services']['speech-cpu']['build']['args']['ALLOW_CPU'] == '1'
    text = (DOCKER / 'Dockerfile').read_text()
    torch = text.index('RUN /opt/distil_whisper/docker/install_torch')
    assert text.index('ARG ALLOW_CPU=\n') < torch
    workflow = (ROOT / '.github/workflows/container.yml').read_text()
    assert '--build-arg ALLOW_CPU=1' in workflow


def test_the_user_of_the_image_is_in_the_groups_of_the_devices():
    text = (DOCKER / 'Dockerfile').read_text()
    assert '--groups audio,video,render speech' in text
    assert text.index('groupadd --system') < text.index('useradd')
    assert 'CUDA_CACHE_PATH=/huggingface/' in text and 'VOLUME /huggingface' in text


@pytest.mark.parametrize(
    'script',
    [
        'build_package',
        'check_devices',
        'check_health',
        'check_torch',
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
    assert '--build-arg TORCH_INDEX' in run.stderr and '--build-arg ALLOW_CPU=1' in run.stderr


@pytest.mark.parametrize(
    ('machine', 'cuda', 'more'),
    [('aarch64', "'12.6'", {}), ('x86_64', 'None', {}), ('aarch64', 'None', {'ALLOW_CPU': '1'})],
)
def test_the_torch_of_an_image_is_kept(tmp_path, machine, cuda, more):
    run = install_torch(tmp_path, machine, cuda, **more)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith('torch 2.8.0, CUDA')


PIP = """\
#!/bin/sh
# Stands in for python3: pip finds torch in an index named "second" alone.
case "$*" in
  *"pip install --no-deps"*second*)
    mkdir "$HERE/torch" && touch "$HERE/torch/__init__.py"
    echo "__version__ = '2.8.0'; cuda = '12.6'" >"$HERE/torch/version.py" ;;
  *"pip install --no-deps"*) exit 1 ;;
  *"pip install"*) ;;
  *) exec "$PYTHON" -S "$@" ;;
esac
"""


def install_torch_from(folder, *indexes: str):
    """Run docker/install_torch on a machine without a torch, with these indexes."""
    program = folder / 'python3'
    program.write_text(PIP)
    program.chmod(0o755)
    environment = {
        'PATH': os.pathsep.join([str(folder), os.environ['PATH']]),
        'HERE': str(folder),
        'PYTHON': sys.executable,
        'PYTHONPATH': str(folder),
    }
    return subprocess.run(
        [DOCKER / 'install_torch', '2.8.0', *indexes],
        env=environment,
        capture_output=True,
        text=True,
    )


def test_the_second_index_is_tried_where_the_first_has_no_torch(tmp_path):
    run = install_torch_from(tmp_path, 'file:///first', 'file:///second')
    assert run.returncode == 0, run.stderr
    assert 'torch 2.8.0 is not available from file:///first\n' in run.stderr
    assert run.stdout == 'torch 2.8.0, CUDA 12.6\n'


def test_what_each_index_offers_is_listed_where_none_has_the_version(tmp_path):
    page = tmp_path / 'third/torch/index.html'
    page.parent.mkdir(parents=True)
    versions = [f'2.{minor}.0' for minor in range(10, 22)] + ['2.9.1']
    page.write_text(
        '\n'.join(
            f'<a href="x">torch-{version}-cp310-cp310-linux_aarch64.whl</a><br>'
            for version in versions
        )
    )
    run = install_torch_from(tmp_path, f'file://{tmp_path}/third', 'file:///fourth')
    assert run.returncode == 1
    assert 'the index may have moved; give another one with --build-arg TORCH_IND' in run.stderr
    listed = [line.split('-')[1] for line in run.stderr.splitlines() if '.whl' in line]
    assert listed == versions[:-1]  # the newest ones: 2.10 is newer than 2.9
    assert 'file:///fourth does not answer: ' in run.stderr


@pytest.mark.parametrize(
    ('torch', 'code', 'text'),
    [
        ('', 0, 'torch 2 works with numpy 1'),
        ("raise RuntimeError('Numpy is not available')", 1, 'torch 2 does not work with numpy 1'),
        ("raise ImportError('libcuda.so.1: cannot open')", 0, 'which a build does not have (libc'),
        ("raise OSError('libcudss.so.0: cannot open')", 1, 'cannot be imported: libcudss.so.0'),
    ],
)
def test_torch_is_tried_with_numpy_in_the_build(tmp_path, torch, code, text):
    fail = torch or 'pass'
    body = (
        f'__version__ = 2\nclass zeros:\n def __init__(self, n): pass\n def numpy(self): {fail}\n'
    )
    (tmp_path / 'torch.py').write_text(fail if 'lib' in fail else body)
    (tmp_path / 'numpy.py').write_text('__version__ = 1\n')
    run = subprocess.run(
        [DOCKER / 'check_torch'],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == code
    assert text in run.stdout + run.stderr
    assert 'Traceback' not in run.stderr


def test_a_base_image_without_colcon_is_named(tmp_path):
    run = subprocess.run(
        ['/bin/bash', DOCKER / 'build_package', 'x'],
        env={'PATH': str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.startswith('colcon is not in this image: take one that has ROS 2')


def test_a_build_without_cudss_says_what_to_type(tmp_path):
    """The step of the Dockerfile, on a stand-in of a Jetson that does not reach the address."""
    text = (DOCKER / 'Dockerfile').read_text()
    (step,) = re.findall(r'^RUN (if \[ "\$\(uname -m\)".*?\n    fi)\n', text, re.M | re.S)
    for name, body in {'uname': 'echo aarch64', 'wget': 'exit 8', 'ldconfig': 'exit 0'}.items():
        (tmp_path / name).write_text(f'#!/bin/sh\n{body}\n')
        (tmp_path / name).chmod(0o755)
    for address, code in (('https://nowhere/keyring.deb', 1), ('', 0)):
        path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
        run = subprocess.run(
            ['bash', '-o', 'pipefail', '-c', step],
            env={'PATH': path, 'CUDA_KEYRING': address},
            capture_output=True,
            text=True,
        )
        assert run.returncode == code
        wanted = f'cuDSS cannot be installed from {address}: give another' if code else ''
        assert run.stderr.startswith(wanted) and bool(run.stderr) == bool(code)


@pytest.fixture
def devices():
    """Make a stand-in for /dev of a Jetson, which a user without groups can list."""
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in (
            'snd/pcmC2D0c',
            'nvmap',
            'nvhost-ctrl-gpu',
            'nvgpu/igpu0/as',
            'dri/renderD128',
        ):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch(0o666)
            (root / name).chmod(0o666)
        for path in (root, *root.rglob('*')):
            if path.is_dir():
                path.chmod(0o755)
        yield root


def check_devices(folder, groups: str = '--clear-groups') -> str:
    """Return what docker/check_devices says to a user with these groups."""
    nobody = ['setpriv', '--reuid=65534', '--regid=65534', groups]
    # The user may not be able to reach the script itself.
    script = (DOCKER / 'check_devices').read_text()
    run = subprocess.run(
        [*nobody, 'bash', '-s', folder],
        input=script,
        env={'PATH': os.environ['PATH']},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_devices_that_the_user_may_not_open_are_explained(devices):
    assert check_devices(devices) == ''
    os.chown(devices / 'nvhost-ctrl-gpu', 0, 44)
    (devices / 'nvhost-ctrl-gpu').chmod(0o664)  # reading is not enough
    assert 'nvhost-ctrl-gpu, which belongs to group 44' in check_devices(devices)
    for name, group in {'nvmap': 44, 'nvgpu/igpu0/as': 44, 'dri/renderD128': 104}.items():
        os.chown(devices / name, 0, group)
        (devices / name).chmod(0o660)
    (line,) = check_devices(devices).splitlines()
    assert line.startswith('GPU: this user (')
    assert f'may not open {devices}/nvmap, which belongs to group 44: start the' in line
    assert '--group-add 44 --group-add 104' in line
    assert line.endswith("(compose: group_add: ['44', '104'])")


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_nodes_of_a_gpu_that_cuda_does_not_need_are_no_problem(devices):
    """On a Jetson some are for root alone, and those of debuggers have a group of their own."""
    for name, group, mode in (
        ('nvgpu/igpu0/power', 0, 0o600),
        ('nvhost-power-gpu', 0, 0o660),
        ('nvhost-dbg-gpu', 995, 0o660),
        ('nvgpu/igpu0/prof-dev', 995, 0o660),
    ):
        (devices / name).touch()
        os.chown(devices / name, 0, group)
        (devices / name).chmod(mode)
    assert check_devices(devices) == ''


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_a_node_that_its_group_may_only_read_is_no_problem(devices):
    os.chown(devices / 'nvmap', 0, 44)
    (devices / 'nvmap').chmod(0o440)
    assert 'nvmap, which belongs to group 44' in check_devices(devices)
    assert check_devices(devices, '--groups=44,104') == ''
    (devices / 'nvmap').rename(devices / 'other')  # its owner and its rights count, not the link's
    (devices / 'nvmap').symlink_to('other')
    assert check_devices(devices, '--groups=44,104') == ''
    assert 'nvmap, which belongs to group 44' in check_devices(devices)


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_the_graphics_card_of_a_pc_is_not_asked_for(devices):
    for name in ('nvmap', 'nvhost-ctrl-gpu', 'nvgpu/igpu0/as'):
        (devices / name).unlink()
    (devices / 'dri/renderD128').chmod(0o600)
    assert check_devices(devices) == ''


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_where_there_is_no_gpu_nothing_is_said(devices):
    for name in ('nvmap', 'nvhost-ctrl-gpu', 'nvgpu/igpu0/as', 'dri/renderD128'):
        (devices / name).unlink()
    assert check_devices(devices) == ''


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can become another user')
def test_a_microphone_that_the_user_may_not_open_or_that_is_missing(devices):
    os.chown(devices / 'snd/pcmC2D0c', 0, 29)
    (devices / 'snd/pcmC2D0c').chmod(0o660)
    assert 'snd/pcmC2D0c, which belongs to group 29: start' in check_devices(devices)
    (devices / 'snd/pcmC2D0c').unlink()
    assert check_devices(devices).startswith('microphone: this container sees none. Start it')


def check_health(tmp_path, text: str, uptime: str = '1000.52 3000.00'):
    """Run docker/check_health on a file with this text."""
    (tmp_path / 'health').write_text(text)
    (tmp_path / 'uptime').write_text(f'{uptime}\n')
    return subprocess.run(
        [DOCKER / 'check_health', tmp_path / 'health'],
        env={**os.environ, 'UPTIME_FILE': str(tmp_path / 'uptime')},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ('text', 'code', 'said'),
    [
        ('998 ok ready\n', 0, 'ready\n'),
        ('998 ok loading downloading it\n', 0, 'loading downloading it\n'),
        ('998 bad lost the microphone is gone\n', 1, 'lost the microphone is gone\n'),
        ('900 ok ready\n', 1, '100 s ago, last state: ready\n'),
        ('5000 ok ready\n', 1, 'does not answer'),
    ],
)
def test_the_health_check_reads_the_file_of_the_node(tmp_path, text, code, said):
    run = check_health(tmp_path, text)
    assert run.returncode == code
    assert said in run.stdout + run.stderr


def test_the_health_check_without_a_node(tmp_path):
    run = subprocess.run(
        [DOCKER / 'check_health', tmp_path / 'none'], capture_output=True, text=True
    )
    assert run.returncode == 1
    assert run.stderr == f'no node runs here: there is no {tmp_path}/none\n'


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
