"""Answers that come later, or never: every call gets a reply, and text from outside is safe."""

from concurrent.futures import Future
from dataclasses import replace
import threading
import time
import warnings

from builtin_interfaces.msg import Time
import numpy as np
import pytest
import rclpy
from rclpy.clock import Clock
from rclpy.context import Context
from rclpy.executors import MultiThreadedExecutor
from rclpy.node import Node
from rclpy.service import Service
from robot import isolation, RATE, wait_for
from std_srvs.srv import Trigger

from distil_whisper_ros.core.types import Hypothesis, Outcome, Segment, Transcript, Utterance, Word
from distil_whisper_ros.ros import deferred
from distil_whisper_ros.ros.conversions import (
    after,
    by_clock,
    segment_message,
    stamp,
    transcript_message,
)
from distil_whisper_ros.ros.deferred import create_deferred_service, Later
from distil_whisper_ros.ros.log import printable
from distil_whisper_ros.ros.services import fail
from distil_whisper_ros.ros.timers import steady_timer


@pytest.fixture(scope='module')
def node():
    context = Context()
    rclpy.init(context=context, domain_id=int(isolation()['ROS_DOMAIN_ID']))
    node = Node('deferred', context=context)
    executor = MultiThreadedExecutor(2, context=context)
    executor.add_node(node)
    ended = threading.Event()

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    ended.set()
    thread.join()
    node.destroy_node()
    rclpy.shutdown(context=context)


def call(node, name, callback):
    create_deferred_service(node, Trigger, name, callback, fail)
    client = node.create_client(Trigger, name)
    assert client.wait_for_service(10)
    future = client.call_async(Trigger.Request())
    wait_for(future.done, 10, 'the reply')
    return future.result()


def good(response):
    response.success, response.message = True, 'done'
    return response


def test_a_reply_waits_until_the_client_is_found(node, monkeypatch):
    """rclpy warns, and drops a reply, where DDS is slow to find the client: not to be caused."""
    monkeypatch.setattr(deferred, 'AGAIN', (0.05, 3))
    tries, send = [], Service.send_response

    def slow(self, response, header):
        tries.append(header)
        if len(tries) < 3:
            warnings.warn('failed to send response (timeout): client will not ...', RuntimeWarning)
        else:
            send(self, response, header)

    monkeypatch.setattr(Service, 'send_response', slow)
    assert call(node, 'unmatched', lambda _, response: good(response)).message == 'done'
    assert len(tries) == 3


def test_an_answer_now_and_later(node):
    assert call(node, 'now', lambda _, response: good(response)).message == 'done'
    future: Future = Future()
    threading.Timer(0.2, lambda: future.set_result(1)).start()
    later = call(node, 'later', lambda _, response: Later(future, lambda _: good(response)))
    assert later.success
    done: Future = Future()
    done.set_result(1)
    at_once = call(node, 'done', lambda _, response: Later(done, lambda _: good(response)))
    assert at_once.success


def test_exceptions_are_answered(node):
    def raises(*_):
        raise KeyError('nothing\nof the kind')

    reply = call(node, 'raises', raises)
    assert not reply.success
    assert reply.message == "internal error: KeyError('nothing\\nof the kind')"
    done: Future = Future()
    done.set_result(1)
    assert 'internal error' in call(node, 'finish', lambda *_: Later(done, raises)).message
    broken: Future = Future()
    broken.set_exception(ValueError('x'))
    assert 'internal error' in call(node, 'broken', lambda *_: Later(broken, raises)).message


def test_a_full_memory_is_no_internal_error(node):
    def full(*_: object) -> None:
        raise MemoryError('Cannot allocate memory (os error 12)')

    assert call(node, 'full', full).message.startswith('no memory is left: end other programs')


def test_a_timer_survives_an_exception_and_never_overlaps(node):
    calls, active, most = [], [], []

    def tick() -> None:
        active.append(1)
        most.append(len(active))
        calls.append(1)
        time.sleep(0.02)
        active.pop()
        raise ValueError('on purpose')

    timer = steady_timer(node, 0.001, tick)
    wait_for(lambda: len(calls) > 5, 10, 'more calls')
    node.destroy_timer(timer)
    assert max(most) == 1


def test_stamps():
    clock = Clock()
    now = clock.now().nanoseconds * 1e-9
    made = by_clock(clock)(time.monotonic() - 100.0)
    assert made.sec + made.nanosec * 1e-9 == pytest.approx(now - 100.0, abs=5.0)
    assert by_clock(clock)(-1e12) == Time()  # never below 0
    assert after(Time(sec=7, nanosec=900_000_000))(0.25) == Time(sec=8, nanosec=150_000_000)
    assert stamp(10**30).sec == 2**31 - 1


def test_a_transcript_names_its_times_and_its_model():
    utterance = replace(Utterance.whole(np.zeros(RATE, np.float32)), speech_start=0.25)
    segment = Segment('go', 0.25, 1.0, -0.1, 0.0, 1.0, truncated=True)
    hypothesis = Hypothesis((segment,), 'en', 0.5)
    transcript = Transcript(
        Outcome.TRANSCRIBED, 3, 'go', utterance=utterance, hypothesis=hypothesis
    )
    begin = Time(sec=100)
    message = transcript_message(transcript, after(begin), 'microphone', 'tiny', 'cpu')
    assert message.header.stamp == Time(sec=100, nanosec=250_000_000)
    assert message.end_of_speech == Time(sec=101)
    assert message.segments[0].start == 0.0  # counted from the stamp
    assert message.latency == 0.0  # this machine did not hear it
    assert message.truncated
    assert (message.model, message.device) == ('tiny', 'cpu')
    heard = transcript_message(transcript, after(begin), 'microphone', 'tiny', 'cpu', 3.0)
    assert heard.latency == 2.0


def test_no_word_starts_before_the_speech():
    words = (Word('go', 0.249999, 0.5, 0.9), Word('on', 0.1, 0.2, 0.9))
    segment = Segment('go on', 0.2, 1.0, -0.1, 0.0, 1.0, words=words)
    message = segment_message(segment, 0.25)
    assert (message.start, message.end) == (0.0, 0.75)
    assert [(word.start, word.end) for word in message.words] == [(0.0, 0.25), (0.0, 0.0)]


def test_text_from_outside_is_one_safe_line():
    assert printable('go\n\x1b[31mred\u202e\x00') == 'go\\n\\x1b[31mred\\u202e\\x00'
    assert printable('line\nline', lines=True) == 'line\nline'
    assert printable('Grüße, 世界') == 'Grüße, 世界'
    assert printable('x' * 1000) == 'x' * 500 + '... (1000 characters)'
