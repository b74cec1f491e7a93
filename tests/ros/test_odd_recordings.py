"""The node with odd recordings, a channel that is chosen, and a prompt that is too long."""

import numpy as np
from robot import goforward, RATE, robot, wait_for
import soundfile

SENTENCE = 'Go forward 10 meters.'


def test_an_odd_recording_is_heard_and_told(tmp_path):
    path = tmp_path / 'odd.wav'
    said = goforward()
    soundfile.write(path, np.stack([said, -said], 1) * 32768, RATE, subtype='FLOAT')
    parameters = {
        'audio__source': 'file',
        'audio__file': str(path),
        'model__hotwords': [f'Zorblax{number}' for number in range(100)],
    }
    with robot(**parameters) as (client, process):
        client.wait_state('ready')
        assert client.trigger('record').success
        log = process.log()
        notice = (
            f'{path}: its samples reach 6.73e+03 where full scale is 1: all are divided by 32768; '
            'its channels cancel each other out when they are mixed: channel 0 is used'
        )
        assert log.count(notice) == 1
        assert log.count('the decoder takes a prompt of 223 tokens: left out are') == 1

        def told() -> bool:
            statuses = [each for array in client.diagnostics for each in array.status]
            return any(status.message == notice for status in statuses)

        wait_for(told, 5, 'the notice in the diagnostics')
        call = client.transcribe(np.stack([said, -said], 1), RATE)
        wait_for(call.done, 20, 'the answer')
        assert call.result().success
        assert 'Traceback' not in process.log()


def test_a_channel_that_a_recording_lacks_is_told_and_can_be_put_right(tmp_path):
    path = tmp_path / 'array.wav'
    playback = np.random.default_rng(0).normal(0, 0.1, len(goforward()))
    soundfile.write(path, np.stack([playback, goforward()], 1), RATE)
    parameters = {'audio__source': 'file', 'audio__file': str(path), 'microphone__channel': 2}
    with robot(**parameters) as (client, process):
        client.wait_state('error')
        assert client.states[-1].detail == (
            f'the recording {path} cannot be used: microphone.channel is 2, but the recording has '
            'no channel beyond 1 (the first is 0)'
        )
        assert client.set_parameter('microphone.channel', 1) == ''
        client.wait_state('ready', timeout=20)
        assert client.trigger('record').message == SENTENCE
        assert 'Traceback' not in process.log()
