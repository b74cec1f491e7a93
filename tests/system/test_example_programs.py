"""The examples that join the node to other programs, each in its own process, with real speech."""

from collections.abc import Iterator
from contextlib import contextmanager
import io
import os
import socket
import subprocess
import sys

import numpy as np
import openai
import pytest
from robot import goforward, isolation, RATE, robot, ROOT, VirtualMicrophone, wait_for
import soundfile

GO = 'go forward 10 meters.'


@pytest.fixture(scope='module')
def there():
    """Start the node in a room with a microphone, for all examples."""
    with VirtualMicrophone() as room, robot(environment=room.environment) as (client, _):
        client.wait_state('ready')
        yield client, room


@contextmanager
def example(name: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen]:
    """Run an example in the domain of the client."""
    command = [sys.executable, str(ROOT / 'examples' / name), '--ros-args']
    for argument in arguments:
        command += ['-p', argument]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(('127.0.0.1', port)) == 0


@contextmanager
def http_server(**environment: str) -> Iterator[openai.OpenAI]:
    port = free_port()
    with example('http_server.py', f'port:={port}', **environment) as process:
        wait_for(lambda: answers(port) or process.poll() is not None, 20, 'the server')
        url = f'http://127.0.0.1:{port}/v1'
        yield openai.OpenAI(base_url=url, api_key='none', max_retries=0, timeout=120)


@pytest.fixture(scope='module')
def transcriptions(there):
    with http_server() as client:
        yield client.audio.transcriptions


def flac(samples: np.ndarray) -> tuple[str, bytes]:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format='FLAC')
    return 'talk.flac', file.getvalue()


def test_openais_client_transcribes(transcriptions):
    said = flac(goforward())
    plain = transcriptions.create(file=said, model='whisper-1', language='en', prompt='Robot.')
    assert plain.text.lower() == GO
    text = transcriptions.create(file=said, model='whisper-1', response_format='text')
    assert text.lower() == f'{GO}\n'
    silence = flac(np.zeros(2 * RATE, np.float32))
    assert transcriptions.create(file=silence, model='whisper-1').text == ''


def test_verbose_json_has_segments_and_words(transcriptions):
    got = transcriptions.create(
        file=flac(goforward()),
        model='whisper-1',
        response_format='verbose_json',
        timestamp_granularities=['word', 'segment'],
    )
    assert got.text.lower() == GO
    assert got.language == 'en'
    assert got.duration == pytest.approx(len(goforward()) / RATE, abs=0.05)
    (segment,) = got.segments
    assert segment.text.strip().lower() == GO
    assert -1 < segment.avg_logprob < 0
    assert [word.word.lower() for word in got.words] == GO.split()
    assert all(0 <= word.start <= word.end <= got.duration + 0.1 for word in got.words)


@pytest.mark.parametrize(
    ('options', 'status', 'message'),
    [
        ({'file': ('talk.wav', b'no sound')}, 400, 'talk.wav is not a recording that can be read'),
        ({'file': ('talk.wav', bytes(26_000_000))}, 413, 'the upload is larger than 25 MB'),
        ({'response_format': 'srt'}, 400, "response_format: Input should be 'json', 'text' or"),
    ],
)
def test_errors_are_openais(transcriptions, options, status, message):
    with pytest.raises(openai.APIStatusError) as caught:
        transcriptions.create(**{'file': flac(goforward()), 'model': 'whisper-1', **options})
    assert caught.value.status_code == status
    error = caught.value.body
    assert isinstance(error, dict)
    assert error['message'].startswith(message)
    assert error['type'] == 'invalid_request_error'


def test_audio_that_is_too_long_is_not_kept(transcriptions):
    with pytest.raises(openai.BadRequestError, match='the limit is 600 s'):
        transcriptions.create(file=flac(np.zeros(700 * RATE, np.float32)), model='whisper-1')


def test_without_a_recognizer_the_server_says_so():
    with http_server(**isolation()) as client:
        with pytest.raises(openai.InternalServerError, match='there is no recognizer') as caught:
            client.audio.transcriptions.create(file=flac(goforward()), model='whisper-1')
        assert caught.value.status_code == 503
