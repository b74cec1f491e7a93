"""A bad network between two hosts: run by test_network.py, each test in a process of its own.

Fast DDS looks at the network's interfaces once in a process, so one that has been in a domain
before would not find those of a host that a test makes.
"""

from contextlib import contextmanager
import os
import re
import subprocess
import time

from lossy_link import LossyLink
import numpy as np
import pytest
from robot import executable, MODEL, RATE, robot, ROOT, VirtualMicrophone, wait_for
import soundfile
from sounds import speech

from distil_whisper_ros.speech.words import words


def errors(texts: list[str], reference: list[str]) -> float:
    """Return the word error rate."""
    from jiwer import wer

    plain = [' '.join(w.lower() for w in words(t)) for t in texts]
    return wer(' '.join(reference), ' '.join(plain))


NAMES = ['goforward', 'librivox/0880', 'something', 'librivox/0930', 'librivox/0920']
UDP = {'FASTRTPS_DEFAULT_PROFILES_FILE': str(ROOT / 'docker/fastdds.xml')}  # no shared memory
SUBNET = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'ROS_LOCALHOST_ONLY': '0'}


@contextmanager
def hosts(link, *microphone: str, environment: dict[str, str], **parameters):
    """Run the microphone on host a and the recognizer on b; yield a client on b."""
    environment = {**UDP, **SUBNET, **environment}
    with pytest.MonkeyPatch.context() as patch, link.inside('b'):
        for name, value in environment.items():
            patch.setenv(name, value)
        hearing = robot(
            environment=environment, audio__source='topic', model__id=str(MODEL), **parameters
        )
        with hearing as (client, process):
            client.wait_state('lost', 'ready', 'waiting')
            domain = {'ROS_DOMAIN_ID': str(client.domain)}
            with link.inside('a'):
                sender = subprocess.Popen(
                    [str(executable('microphone')), '--ros-args', *microphone],
                    env={**os.environ, **domain},
                )
            try:
                client.wait_state('ready', 'waiting', 'hearing', timeout=30)
                yield client
            finally:
                sender.terminate()
                assert sender.wait(10) == 0
            assert 'Traceback' not in process.log()


def lost(client) -> float:
    client.diagnostics.clear()
    wait_for(lambda: client.diagnostics, 5, 'diagnostics')
    (status,) = [s for s in client.diagnostics[-1].status if s.name.endswith('microphone')]
    return float({pair.key: pair.value for pair in status.values}['lost (s)'])


def test_a_bad_network_costs_no_words(tmp_path):
    """The same recording over a good network and over a bad one: the same words.

    The frames of voice activity begin at another sample in each run: an utterance may begin
    32 ms earlier, and that alone may change a word or two that the model is not sure of.
    """
    reference = [re.sub(r"[^\w' ]", ' ', speech()[name][1]).lower() for name in NAMES]
    gap = np.zeros(int(1.3 * RATE), np.float32)
    parts = [np.concatenate((speech()[n][0], gap)) for n in NAMES]
    recording = tmp_path / 'said.wav'
    soundfile.write(recording, np.concatenate([np.zeros(4 * RATE), *parts]), RATE)
    arguments = ('-p', 'audio.source:=file', '-p', f'audio.file:={recording}')
    exact = {'model__dtype': 'float32', 'model__audio_context_margin': 30.0}
    texts, losses = {}, {}
    for loss, delay in ((0.0, 0.0), (0.05, 0.05)):
        with LossyLink(loss, delay) as link:
            hearing = hosts(link, *arguments, environment={}, hands_free__enabled=True, **exact)
            with hearing as client:
                wait_for(lambda client=client: len(client.texts) >= len(NAMES), 70, 'the texts')
                texts[loss], losses[loss] = client.texts[: len(NAMES)], lost(client)
    rates = {loss: errors(heard, reference) for loss, heard in texts.items()}
    print(f'word error rates by loss: {rates}; lost for good while they spoke: {losses} s')
    assert max(rates.values()) < 0.15
    assert abs(rates[0.05] - rates[0.0]) < 0.06
    assert losses[0.05] == 0  # later messages repeat the samples of lost ones


def test_what_is_lost_for_good_is_reported():
    with (
        VirtualMicrophone() as room,
        LossyLink(0.0, 0.0) as link,
        hosts(link, environment=room.environment) as client,
    ):
        assert lost(client) == 0
        with link.cut():
            client.wait_state('lost', timeout=20)
            assert 'no more audio arrives on /audio' in client.states[-1].detail
            refused = client.trigger('record')
            assert 'no more audio arrives on /audio' in refused.message
            time.sleep(3)
        client.wait_state('ready', timeout=30)
        assert lost(client) > 0.5
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(speech()['goforward'][0], wait=False)
        wait_for(future.done, 30, 'the reply')
        assert future.result().message.capitalize() == 'Go forward 10 meters.'
