"""The doctor's checks of a GPU, with files and programs that stand in for a Jetson's."""

import os

import pytest
import torch

from distil_whisper_ros.cli import doctor
from distil_whisper_ros.cli.gpu_checks import arithmetic, call, condition, device_nodes, may_open
from distil_whisper_ros.whisper import attention


@pytest.fixture
def jetson(tmp_path):
    for name in ('dev/nvmap', 'dev/nvhost-ctrl', 'dev/nvgpu/igpu0/as', 'dev/dri/renderD128'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def put(folder, **files):
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f'{text}\n')


def test_device_nodes_that_this_user_may_not_open(jetson):
    (finding,) = device_nodes(jetson, lambda path: 'dri' in str(path))
    good, text, remedy = finding
    group = (jetson / 'dev/nvmap').stat().st_gid
    assert not good
    assert text.startswith('this user may not open /dev/nvgpu/igpu0/as, /dev/nvhost-ctrl, /dev/nv')
    assert text.endswith(f'which belong to group {group}')
    assert f'group_add: [{group}]' in remedy


def test_a_node_that_its_group_may_only_read(jetson, monkeypatch):
    """Root may open all, so the answer for a user who may only read stands in."""
    monkeypatch.setattr(os, 'access', lambda _path, mode: not mode & os.W_OK)
    (jetson / 'dev/nvmap').chmod(0o440)
    assert may_open(jetson / 'dev/nvmap')
    (jetson / 'dev/nvmap').chmod(0o660)
    assert not may_open(jetson / 'dev/nvmap')


def test_the_graphics_card_of_a_pc_is_not_asked_for(tmp_path):
    (tmp_path / 'dev/dri').mkdir(parents=True)
    (tmp_path / 'dev/dri/renderD128').touch()
    assert [*device_nodes(tmp_path, lambda _: False)] == []


def test_device_nodes_that_cuda_does_not_need(jetson):
    for name in ('nvgpu/igpu0/power', 'nvgpu/igpu0/dbg', 'nvhost-prof-gpu'):
        (jetson / 'dev' / name).touch()
    ((good, text, _),) = device_nodes(
        jetson, lambda path: path.name in ('as', 'nvmap', 'nvhost-ctrl', 'renderD128')
    )
    assert good and 'all 4 device nodes' in text


def test_a_link_to_nothing_is_no_device_node(tmp_path):
    (tmp_path / 'dev').mkdir()
    (tmp_path / 'dev/nvhost-gpu').symlink_to('nvgpu/igpu0/channel')
    assert [*device_nodes(tmp_path)] == []


def test_device_nodes_that_it_may_open(jetson, tmp_path_factory):
    assert [*device_nodes(jetson)] == [
        (True, 'this user may open all 4 device nodes of the GPU', '')
    ]
    assert [*device_nodes(tmp_path_factory.mktemp('none'))] == []


def test_power_mode_clock_and_temperature(tmp_path):
    put(tmp_path / 'sys/class/devfreq/17000000.gpu', cur_freq=306000000, max_freq=918000000)
    put(tmp_path / 'sys/class/devfreq/13e00000.host1x', cur_freq=1, max_freq=2)
    put(tmp_path / 'sys/class/thermal/thermal_zone0', type='cpu-thermal', temp=99000)
    put(tmp_path / 'sys/class/thermal/thermal_zone1', type='gpu-thermal', temp=91500)
    answers = {'nvpmodel': 'NV Power Mode: 15W\n0', 'nvidia-smi': 'A GPU, 40, 300 MHz'}
    findings = [*condition(tmp_path, lambda command: answers[command[0]])]
    assert [(good, text) for good, text, _ in findings] == [
        (True, 'NV Power Mode: 15W'),
        (True, 'GPU clock 306 of at most 918 MHz'),
        (False, 'GPU temperature 92 °C'),
        (True, 'A GPU: 40 °C, clock 300 MHz'),
    ]
    assert 'fan' in findings[2][2]


def test_a_machine_that_tells_nothing(tmp_path):
    assert [*condition(tmp_path, lambda _command: '')] == []
    assert call(['no-such-program']) == call(['false']) == ''


def test_arithmetic_that_is_right():
    findings = [*arithmetic('cpu')]
    assert len(findings) == 2
    assert all(good and 'is right' in text for good, text, _ in findings)


@pytest.mark.parametrize(
    ('factor', 'said'), [(2.0, 'wrong by 100 %'), (torch.nan, 'wrong by inf')]
)
def test_arithmetic_that_is_wrong(monkeypatch, factor, said):
    right = attention.fused_attention
    monkeypatch.setattr(attention, 'fused_attention', lambda *parts: factor * right(*parts))
    _, (good, text, remedy) = arithmetic('cpu')
    assert not good
    assert f'attention with a mask on cpu is {said}' in text
    assert 'set model.attention to math' in remedy


def test_a_gpu_that_fails(monkeypatch):
    """This build has no CUDA: each check is one line."""
    if torch.cuda.is_available():
        pytest.skip('there is a GPU')
    monkeypatch.setattr(
        torch.Tensor, 'to', lambda *_: (_ for _ in ()).throw(RuntimeError('CUDA error: x\ny'))
    )
    findings = [*arithmetic('cuda:0')]
    assert len(findings) == 3
    assert all(not good and text.endswith('fails: CUDA error: x') for good, text, _ in findings)


@pytest.fixture
def gpu(monkeypatch):
    """Let PyTorch find two GPUs, which compute on the CPU; return the doctor's lines."""
    for name, answer in {
        'is_available': True,
        'device_count': 2,
        'get_device_name': 'Orin',
        'mem_get_info': (4e9, 8e9),
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(doctor, 'device_nodes', lambda: iter(()))
    monkeypatch.setattr(doctor, 'condition', lambda: iter(()))
    monkeypatch.setattr(doctor, 'arithmetic', lambda device: iter([(True, device, '')]))
    return lambda: [*doctor.gpu()]


def test_each_gpu_is_tried(gpu):
    lines = [text for _, text, _ in gpu()]
    assert lines[1::2] == ['cuda:0', 'cuda:1']
    assert lines[0].startswith('torch uses Orin (cuda:0), 4.0 of 8.0 GB free')


def test_a_gpu_that_does_not_tell_its_memory_is_one_line(gpu, monkeypatch):
    def full(*_):
        raise RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "x"\nmore')

    monkeypatch.setattr(torch.cuda, 'mem_get_info', full)
    good, text, remedy = gpu()[0]
    assert not good and 'memory' in remedy
    assert text == 'torch cannot use cuda:0: NVML_SUCCESS == r INTERNAL ASSERT FAILED at "x"'


def test_why_torch_finds_no_gpu(gpu, monkeypatch):
    """In a container only the kernel's name tells that this is a Jetson."""

    def fail():
        raise RuntimeError('Unexpected error from cudaGetDeviceCount(): error 801\nmore')

    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'init', fail)
    monkeypatch.setattr(torch.version, 'cuda', '12.6')
    monkeypatch.setattr(doctor.shutil, 'which', lambda _: None)
    monkeypatch.setattr(doctor.platform, 'release', lambda: '5.15.148-tegra')
    good, text, remedy = gpu()[0]
    assert not good and 'the nvidia runtime' in remedy and 'groups' in remedy
    assert text.endswith(
        'runs on the CPU: it finds no GPU (Unexpected error from cudaGetDeviceCount(): error 801)'
    )


def test_what_nvidia_smi_does_not_know_is_left_out(tmp_path):
    answers = {'nvidia-smi': 'Orin (nvgpu), [N/A], [N/A], [N/A], [N/A]', 'nvpmodel': ''}
    findings = [*condition(tmp_path, lambda command: answers[command[0]])]
    assert [text for _, text, _ in findings] == ['Orin (nvgpu)']
