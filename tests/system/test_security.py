"""The security policy names exactly the interface that the nodes have."""

from pathlib import Path
import subprocess
import time
import xml.etree.ElementTree as ET

import pytest
from robot import Client, executable, goforward, isolation, RATE, robot
import soundfile

POLICY = Path(__file__).resolve().parents[2] / 'security/speech_recognizer.policy.xml'
# Not in every distribution, or only with use_sim_time, a source "topic", or a parameter callback.
OPTIONAL = {'/clock', '/audio', '/parameter_events', '*/get_type_description'}


def named(node: str, kind: str, mode: str) -> set[str]:
    """Return the resolved names that a profile allows: kind 'topics', mode 'publish', ..."""
    profile = next(p for p in ET.parse(POLICY).iter('profile') if p.get('node') == node)
    return {
        resolve(node, (name.text or '').strip())
        for group in profile.findall(kind)
        if group.get(mode) == 'ALLOW'
        for name in group
    }


def resolve(node: str, name: str) -> str:
    return f'/{node}/{name[2:]}' if name.startswith('~/') else '/' + name.lstrip('/')


def optional(name: str) -> bool:
    return name in OPTIONAL or '*/' + name.rsplit('/', 1)[-1] in OPTIONAL


def real(client: Client, node: str) -> dict[tuple[str, str], set[str]]:
    """Return the interface of a running node, its actions apart."""
    graph, names = client.node, {}
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            names = {
                ('topics', 'publish'): graph.get_publisher_names_and_types_by_node(node, '/'),
                ('topics', 'subscribe'): graph.get_subscriber_names_and_types_by_node(node, '/'),
                ('services', 'reply'): graph.get_service_names_and_types_by_node(node, '/'),
            }
        except Exception:  # it is not discovered yet
            names = {}
        if names and all(names.values()):
            break
        time.sleep(0.5)
    found = {key: {name for name, _ in pairs} for key, pairs in names.items()}
    actions = {
        name.split('/_action/')[0]
        for name in found['services', 'reply']
        if '/_action/' in name
    }  # fmt: skip
    found = {key: {n for n in some if '/_action/' not in n} for key, some in found.items()}
    return {**found, ('actions', 'execute'): actions}


def agree(node: str, interface: dict[tuple[str, str], set[str]]) -> None:
    for (kind, mode), names in interface.items():
        allowed = named(node, kind, mode)
        assert names <= allowed, f'{node}: the policy lacks {sorted(names - allowed)} ({mode})'
        unused = {name for name in allowed - names if not optional(name)}
        assert not unused, f'{node} has no {sorted(unused)}, which the policy allows ({mode})'


@pytest.fixture
def recording(tmp_path) -> str:
    path = tmp_path / 'goforward.wav'
    soundfile.write(path, goforward(), RATE)
    return str(path)


def test_the_recognizer_needs_what_the_policy_allows(recording):
    with robot(audio__source='file', audio__file=recording) as (client, _):
        client.wait_state('ready')
        agree('speech_recognizer', real(client, 'speech_recognizer'))


def test_the_microphone_needs_what_the_policy_allows(recording):
    surroundings = isolation()
    command = [
        str(executable('microphone')),
        *('--ros-args', '-p', 'audio.source:=file', '-p', f"audio.file:='{recording}'"),
    ]
    with Client(surroundings) as client:
        import os

        process = subprocess.Popen(command, env={**os.environ, **surroundings})
        try:
            agree('microphone', real(client, 'microphone'))
        finally:
            process.terminate()
            process.wait(20)


def test_a_client_may_not_change_the_node():
    requests = named('speech_client', 'services', 'request')
    assert requests == {name for name in requests if name.startswith('/speech/')}
    assert requests < named('speech_recognizer', 'services', 'reply')
    assert named('speech_client', 'topics', 'subscribe') < named(
        'speech_recognizer', 'topics', 'publish'
    )
