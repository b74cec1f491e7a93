#!/usr/bin/env python3
"""A language model answers what people say: speech/text goes to a server, its reply to `say`.

    python3 examples/llm.py --ros-args -p base_url:=http://127.0.0.1:11434/v1 -p model:=llama3.2

Any server with OpenAI's chat completions will do; a key is read from OPENAI_API_KEY. Let a speech
synthesizer subscribe to `say`, and name it in self_speech.topics, or the robot answers itself.
"""

from collections import deque
from http.client import HTTPException
import json
import os
import queue
import signal
import sys
import threading
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

INSTRUCTIONS = 'You are a robot that speaks. Answer in one or two short sentences, without markup.'
LONGEST, TURNS = 1_000_000, 10  # bytes of a reply; questions that the model remembers


class ServerError(Exception):
    """The server gave no answer; the text says why."""


class LanguageModel(Node):
    """Asks the server, one text after another."""

    def __init__(self) -> None:
        super().__init__('speech_llm')
        base = str(self.declare_parameter('base_url', 'http://127.0.0.1:11434/v1').value)
        self._model = self.declare_parameter('model', 'llama3.2').value
        self._timeout = self.declare_parameter('timeout', 60.0).value
        self._instructions = self.declare_parameter('instructions', INSTRUCTIONS).value
        if not base.startswith(('http://', 'https://')):
            raise ValueError(f'base_url is {base!r}, but must begin with http:// or https://')
        self._url = f'{base.rstrip("/")}/chat/completions'
        self._turns: deque[dict[str, str]] = deque(maxlen=2 * TURNS)
        self._texts: queue.Queue[str] = queue.Queue(TURNS)
        self._say = self.create_publisher(String, 'say', 10)
        self.create_subscription(String, 'speech/text', self._on_text, 10)
        threading.Thread(target=self._serve, daemon=True).start()  # so that Ctrl-C does not wait

    def _on_text(self, message: String) -> None:
        try:
            self._texts.put_nowait(message.data)
        except queue.Full:
            self.get_logger().error(f'"{message.data}" gets no answer: {TURNS} texts wait already')

    def _serve(self) -> None:
        while True:
            text = self._texts.get()
            try:
                reply = self._reply(text)
            except ServerError as error:
                self.get_logger().error(f'"{text}" gets no answer: {error}')
                continue
            self._say.publish(String(data=reply))

    def _reply(self, text: str) -> str:
        """Return the model's reply; raise a ServerError."""
        question = {'role': 'user', 'content': text}
        system = {'role': 'system', 'content': self._instructions}
        body = {'model': self._model, 'messages': [system, *self._turns, question]}
        headers = {'Content-Type': 'application/json'}
        if key := os.environ.get('OPENAI_API_KEY'):
            headers['Authorization'] = f'Bearer {key}'
        try:
            request = Request(self._url, json.dumps(body).encode(), headers)
            with urlopen(request, timeout=self._timeout) as response:
                answer = json.loads(response.read(LONGEST))
            reply = str(answer['choices'][0]['message']['content'] or '').strip()
        except HTTPError as error:
            raise ServerError(f'{self._url} answered {error.code}: {detail(error)}') from error
        except (OSError, HTTPException) as error:
            reason = error.reason if isinstance(error, URLError) else error
            raise ServerError(f'{self._url} cannot be reached: {reason}') from error
        except (ValueError, LookupError, TypeError) as error:
            raise ServerError(f'{self._url} sent no chat completion') from error
        if not reply:
            raise ServerError(f'{self._url} sent an empty reply')
        self._turns += (question, {'role': 'assistant', 'content': reply})
        return reply


def detail(error: HTTPError) -> str:
    """Return what a server says about an error, in one line."""
    try:
        said = str(json.loads(error.read(LONGEST))['error']['message'])
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        said = str(error.reason)
    return ' '.join(said.split())[:300]


def main() -> None:
    """Run the node until Ctrl-C."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    stopped = threading.Event()  # an exception for Ctrl-C could be raised within rclpy
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        node = LanguageModel()
        while not stopped.is_set():
            rclpy.spin_once(node, timeout_sec=0.5)
    except (ParameterException, ValueError) as error:
        sys.exit(f'llm: {error}')


if __name__ == '__main__':
    main()
