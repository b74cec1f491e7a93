"""What the tests share: the tools on the path, and a robot to try things on."""

import os
from pathlib import Path
import sys

import pytest

# As `distil_whisper_ros.whisper` does, for tests that import torch before it.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

ROOT = Path(__file__).resolve().parent.parent
for folder in ('tools', 'benchmarks', 'tests'):
    sys.path.insert(0, str(ROOT / folder))

LONGEST = (
    'system/test_docker.py',
    'system/test_node.py',
    'system/test_soak.py',
    'whisper/test_decoding.py',
    'ros/test_network_microphone.py',
    'speech/test_hallucination_filter.py',
)
"""Files that take minutes start first, so that no worker waits for one of them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    ranks = {ROOT / 'tests' / name: rank for rank, name in enumerate(LONGEST)}
    # Humble's pytest 6 has no item.path.
    items.sort(key=lambda item: ranks.get(Path(str(item.fspath)), len(LONGEST)))


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
