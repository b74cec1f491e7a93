"""What the tests share: the tools on the path, and a robot to try things on."""

from pathlib import Path
import sys

import pytest

ROOT = Path(__file__).resolve().parent.parent
for folder in ('tools', 'benchmarks', 'tests'):
    sys.path.insert(0, str(ROOT / folder))


def pytest_collection_modifyitems(items):
    """Give tests that hear sound in real time a second try, which the summary tells of.

    Nothing waits for the virtual sound card: on a machine that stalls for a tenth of a second a
    word is lost. A defect fails twice.
    """
    for item in items:
        if {'room', 'microphone'} & set(item.fixturenames):
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=2))


def pytest_terminal_summary(terminalreporter):
    """Tell why a test had its second try: one that needs it often is a defect."""
    for report in terminalreporter.stats.get('rerun', []):
        terminalreporter.section(f'second try: {report.nodeid}')
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope='session')
def transcriber():
    """Load the small real Whisper once, as exact as it can be."""
    from robot import MODEL

    from distil_whisper_ros.core.settings import ModelSettings
    from distil_whisper_ros.whisper.transcriber import Transcriber

    return Transcriber(ModelSettings(id=str(MODEL), dtype='float32', audio_context_margin=30.0))


@pytest.fixture(scope='module')
def room():
    """Be in a room with a virtual microphone, for a whole file of tests."""
    from robot import VirtualMicrophone

    with VirtualMicrophone() as virtual:
        yield virtual


@pytest.fixture
def microphone():
    """Be in a quiet room with a virtual microphone."""
    from robot import VirtualMicrophone

    with VirtualMicrophone() as virtual:
        yield virtual
