"""The examples that join the node to other programs, each in its own process, with real speech."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any, ClassVar

from distil_whisper_msgs.msg import RecognizerState
import numpy as np
import openai
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import goforward, isolation, RATE, robot, ROOT, spoken, VirtualMicrophone, wait_for
import soundfile
from std_msgs.msg import ColorRGBA, String

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
        command += argument.split() if argument.startswith('-r ') else ['-p', argument]
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


class Model(BaseHTTPRequestHandler):
    """A server of chat completions that repeats what was asked."""

    asked: ClassVar[list[Any]] = []
    answer: ClassVar[Any] = None

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
        self.asked.append((self.path, self.headers['Authorization'], body))
        said = body['messages'][-1]['content']
        status, answer = self.answer or (
            200,
            {'choices': [{'message': {'role': 'assistant', 'content': f'You said: {said}'}}]},
        )
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *args):
        pass


@pytest.fixture
def model_server():
    server = ThreadingHTTPServer(('127.0.0.1', 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Model.asked, Model.answer = [], None
    yield f'http://127.0.0.1:{server.server_port}/v1'
    server.shutdown()
    server.server_close()


def texts_of(client, topic: str) -> list[str]:
    texts: list[str] = []

    def take(message: Any) -> None:
        texts.append(message.data)

    client.node.create_subscription(String, topic, take, 10)
    return texts


def count(client, topic: str) -> int:
    return client.node.count_subscribers(topic)


def say(room, text: str) -> None:
    pause = np.zeros(RATE // 2, np.float32)
    room.say(np.concatenate((spoken(text, 'en-us', 140), pause)))


def test_a_language_model_answers_what_a_person_said(there, model_server):
    client, room = there
    replies = texts_of(client, 'say')
    arguments = (f'base_url:={model_server}', 'model:=small')
    with example('llm.py', *arguments, OPENAI_API_KEY='secret') as process:
        wait_for(lambda: count(client, 'speech/text') > 1, 20, 'the subscription')
        call = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(np.concatenate((goforward(), np.zeros(RATE, np.float32))))
        wait_for(lambda: replies, 20, 'the reply')
        assert call.result().message.lower() == GO
        assert replies[0].lower() == f'you said: {GO}'
        path, key, body = Model.asked[0]
        assert (path, key, body['model']) == ('/v1/chat/completions', 'Bearer secret', 'small')
        assert [turn['role'] for turn in body['messages']] == ['system', 'user']

        texts = client.node.create_publisher(String, 'speech/text', 10)
        wait_for(lambda: texts.get_subscription_count() > 1, 20, 'the discovery')
        for Model.answer in (
            (401, {'error': {'message': 'no such\nkey'}}),
            (500, b'<html>'),
            (200, b'nonsense'),
            (200, {'choices': []}),
            (200, {'choices': [{'message': {'content': None}}]}),
        ):
            asked = len(Model.asked)
            texts.publish(String(data='Hello.'))
            wait_for(lambda: len(Model.asked) > asked, 10, 'the question')
        Model.answer = None
        texts.publish(String(data='Are you there?'))
        wait_for(lambda: len(replies) > 1, 10, 'the reply after the errors')
        assert replies[1] == 'You said: Are you there?'
        turns = Model.asked[-1][2]['messages']
        assert [turn['role'] for turn in turns] == ['system', 'user', 'assistant', 'user']
        process.terminate()
        log = str(process.communicate(timeout=20)[0])
    lines = [line for line in log.splitlines() if 'gets no answer' in line]
    url = f'{model_server}/chat/completions'
    for line, reason in zip(
        lines,
        (
            'answered 401: no such key',
            'answered 500: Internal Server Error',
            'sent no chat completion',
            'sent no chat completion',
            'sent an empty reply',
        ),
        strict=True,
    ):
        assert line.endswith(f'"Hello." gets no answer: {url} {reason}')
    assert 'Traceback' not in log


def test_a_language_model_that_is_not_there(there):
    client, _ = there
    with example('llm.py', f'base_url:=http://127.0.0.1:{free_port()}/v1') as process:
        wait_for(lambda: count(client, 'speech/text') > 1, 20, 'the subscription')
        texts = client.node.create_publisher(String, 'speech/text', 10)
        wait_for(lambda: texts.get_subscription_count() > 1, 20, 'the discovery')
        texts.publish(String(data='Hello.'))
        assert process.stdout is not None
        assert 'cannot be reached: [Errno 111] Connection refused' in process.stdout.readline()


@pytest.mark.parametrize(
    ('name', 'argument', 'message'),
    [
        ('llm.py', 'base_url:=file:///etc', "llm: base_url is 'file:///etc', but must begin with"),
        ('llm.py', 'timeout:=soon', "llm: Trying to set parameter 'timeout' to 'soon'"),
        ('http_server.py', 'port:=80000', 'http_server: port is 80000, but must be from 1 to'),
        ('behavior_tree.py', 'wait:=long', "behavior_tree: Trying to set parameter 'wait' to"),
    ],
)
def test_a_wrong_parameter_is_one_line(name, argument, message):
    with example(name, argument) as process:
        assert process.wait(60) == 1
        assert process.stdout is not None
        (line,) = process.stdout.read().splitlines()
        assert line.startswith(message)


def answered(there, answer: str, *, deaf: bool = False) -> tuple[list[str], list[str], str]:
    """Run the behavior tree; return what it said, its destinations, and its output."""
    client, room = there
    says, destinations = texts_of(client, 'say'), texts_of(client, 'destination')
    with example('behavior_tree.py', 'wait:=1.0' if deaf else 'wait:=10.0') as process:
        if not deaf:
            wait_for(lambda: says, 20, 'the question')
            client.wait_state('waiting')
            say(room, answer)
        output = str(process.communicate(timeout=120)[0])
        assert process.returncode == 0, output
    wait_for(lambda: len(says) > 1, 10, 'the last words')
    return says, destinations, output


@pytest.mark.parametrize(
    ('answer', 'last', 'destination'),
    [('Yes, please.', 'I am on my way.', ['kitchen']), ('No.', 'I stay.', [])],
)
def test_a_behavior_tree_acts_on_the_answer(there, answer, last, destination):
    says, destinations, _ = answered(there, answer)
    assert says == ['Shall I go to the kitchen?', last]
    assert destinations == destination


def test_a_behavior_tree_asks_again_once_and_gives_up(there):
    says, destinations, output = answered(there, '', deaf=True)
    assert says == [*['Shall I go to the kitchen?'] * 2, 'I heard no answer.']
    assert destinations == []
    assert 'no speech was heard within 1 s' in output


def test_a_behavior_tree_without_a_recognizer():
    with example('behavior_tree.py', **isolation()) as process:
        assert process.wait(60) == 1
        assert process.stdout is not None
        assert process.stdout.read() == (
            'behavior_tree: there is no recognizer: start it, or name its namespace\n'
        )


def test_states_are_colours_and_tones(there):
    client, room = there
    earcons = texts_of(client, 'earcon')
    colours: list[tuple[float, float, float]] = []

    def take(colour: ColorRGBA) -> None:
        colours.append((colour.r, colour.g, colour.b))

    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    client.node.create_subscription(ColorRGBA, 'led', take, latched)
    with example('sounds_and_lights.py', **room.environment) as process:
        wait_for(lambda: colours, 20, 'the colour of the first state')
        client.switch('mute', True)
        wait_for(lambda: (1.0, 0.0, 0.0) in colours, 10, 'the colour of muted')
        client.switch('mute', False)
        client.wait_state('ready')
        process.terminate()
        assert 'Traceback' not in str(process.communicate(timeout=20)[0])
    assert earcons == []  # there is a loudspeaker


@pytest.mark.parametrize(
    ('topic', 'end'), [(f'flood_{n}', (signal.SIGTERM, signal.SIGINT)[n % 2]) for n in range(4)]
)
def test_an_end_in_the_middle_of_a_state_is_silent(there, tmp_path, topic, end):
    # A signal must not close the context under a callback that still publishes. Each has a topic
    # of its own: who was ended by a signal is still seen as a subscriber for some time.
    client, _ = there
    latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    states = client.node.create_publisher(RecognizerState, topic, latched)
    nowhere = {'HOME': str(tmp_path), 'PULSE_SERVER': 'none'}
    with example('sounds_and_lights.py', f'-r speech/state:={topic}', **nowhere) as process:
        wait_for(states.get_subscription_count, 20, 'the subscription')
        for number in range(1000):
            states.publish(RecognizerState(label='muted'))
            if number == 500:
                process.send_signal(end)
            time.sleep(0.0005)
        assert 'Traceback' not in str(process.communicate(timeout=20)[0])
    client.node.destroy_publisher(states)


def test_without_a_loudspeaker_a_state_is_a_name(there, tmp_path):
    client, _ = there
    earcons = texts_of(client, 'earcon_alone')
    nowhere = {'HOME': str(tmp_path), 'PULSE_SERVER': 'none'}
    with example('sounds_and_lights.py', '-r earcon:=earcon_alone', **nowhere) as process:
        deadline = time.monotonic() + 60
        while not earcons and time.monotonic() < deadline:  # until it has found the subscriber
            client.switch('mute', True)
            time.sleep(0.5)
            client.switch('mute', False)
        client.wait_state('ready')
        process.terminate()
        assert 'Traceback' not in str(process.communicate(timeout=20)[0])
    assert {*earcons} == {'muted'}  # ready has no tone
