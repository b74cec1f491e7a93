"""The security policy is that of the nodes, nothing leaves the machine, and files have hashes."""

import ipaddress
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest
from robot import (
    Client,
    executable,
    fill_cache,
    goforward,
    isolation,
    MODEL,
    RATE,
    robot,
    wait_for,
)
import soundfile

POLICY = Path(__file__).resolve().parents[2] / 'security/speech_recognizer.policy.xml'
# Not in every distribution, or only with use_sim_time, a source "topic", a parameter callback, or
# hri_msgs.
OPTIONAL = {'/clock', '/audio', '/parameter_events', '*/get_type_description'}
VOICE = '/humans/voices/anonymous_speaker'
OPTIONAL |= {'/humans/voices/tracked', f'{VOICE}/is_speaking', f'{VOICE}/speech'}


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


# What leaves the machine

STRACE = [
    'strace',
    '-f',
    '-qq',
    '-e',
    'trace=connect,sendto,sendmsg,sendmmsg',
    '-e',
    'signal=none',
]
ADDRESS = re.compile(
    r'sin6?_port=htons\((\d+)\).*?inet_(?:addr\(|pton\(AF_INET6, )"([^"]+)"', re.DOTALL
)
DNS = 53


def can_trace() -> bool:
    """Return whether strace is installed, and this container lets it trace."""
    if shutil.which('strace') is None:
        return False
    return subprocess.run([*STRACE, 'true'], capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason='needs strace, and the right to trace')


def outside(trace: Path) -> set[tuple[str, int]]:
    """Return the addresses and ports of a trace that are not on this machine, or ask for names."""
    found = set()
    for line in trace.read_text(errors='replace').splitlines():
        for port, address in ADDRESS.findall(line):
            if int(port) == DNS or not ipaddress.ip_address(address).is_loopback:
                found.add((address, int(port)))
    return found


@needs_strace
def test_the_trace_shows_a_connection(tmp_path):
    trace = tmp_path / 'trace'
    program = (
        'import socket\n'
        'with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n'
        "    s.connect(('127.0.0.1', 9)); s.send(b'x')\n"
        'for kind, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):\n'
        '    with socket.socket(kind, socket.SOCK_DGRAM) as s:\n'
        '        try: s.sendto(b"x", (address, 443))\n'
        '        except OSError: pass\n'
    )
    subprocess.run([*STRACE, '-o', str(trace), sys.executable, '-c', program], check=True)
    assert {address for address, _ in outside(trace)} >= {'192.0.2.1'}


@needs_strace
@pytest.mark.parametrize('model', ['local', 'cached'])
def test_nothing_leaves_the_machine(tmp_path, recording, model):
    """From its start to its end, while it loads, hears, transcribes and is asked for all."""
    trace, surroundings = tmp_path / 'trace', isolation()
    surroundings['HF_HOME'] = str(tmp_path / 'cache')
    name = str(MODEL)
    if model == 'cached':
        name = 'openai/whisper-tiny.en'
        fill_cache(tmp_path / 'cache', name)
    # As a user keeps ROS on one machine; the tests' own way has multicasts, by the loopback.
    humble = os.environ.get('ROS_DISTRO') == 'humble'  # newer ones warn of the older name
    local = (
        {'ROS_LOCALHOST_ONLY': '1'} if humble else {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    )
    environment = {**os.environ, **surroundings, **local}
    for other in ('HF_HUB_OFFLINE', 'HF_HUB_CACHE', 'FASTRTPS_DEFAULT_PROFILES_FILE'):
        environment.pop(other, None)
    command = [
        *(*STRACE, '-o', str(trace), str(executable('speech_recognizer')), '--ros-args'),
        *('-p', f"model.id:='{name}'", '-p', 'audio.source:=file'),
        *('-p', f"audio.file:='{recording}'"),
    ]
    with (tmp_path / 'log').open('w') as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        with Client(surroundings) as client:
            client.wait_state('ready', timeout=120)
            assert client.trigger('record', timeout=60).success
            future = client.transcribe(goforward(), RATE)
            wait_for(future.done, 60, 'the transcript')
            assert future.result().success
            assert client.switch('hands_free', True).success
            wait_for(lambda: len(client.texts) > 1, 60, 'the text')
    finally:
        children = Path(f'/proc/{process.pid}/task/{process.pid}/children').read_text().split()
        for child in children:  # strace holds back its own signals until the node has ended
            os.kill(int(child), 2)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            for child in children:
                os.kill(int(child), 9)
            raise
    assert outside(trace) == set()
    assert '127.0.0.1' in trace.read_text(), 'the trace has nothing of DDS'


# What is installed


def test_every_package_of_the_locks_has_hashes():
    folder = POLICY.parents[1] / 'requirements'
    hashes = dict(line.split(' ', 1) for line in (folder / 'hashes.txt').read_text().splitlines())
    for lock in folder.glob('*.lock'):
        for line in lock.read_text().splitlines():
            name = line.split()[0]
            assert '--hash=sha256:' in hashes.get(name, ''), f'{lock.name}: run tools/lock.sh'
    assert '--require-hashes' in (folder.parent / 'tools/setup.sh').read_text()
