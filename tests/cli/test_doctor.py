"""The doctor finds problems, and tells the remedy for each."""

import os
import subprocess

from lifecycle_msgs.msg import Transition
from robot import Client, executable, isolation, MODEL, RecognizerProcess, VirtualMicrophone

from distil_whisper_ros.cli.doctor import echo_canceller


def doctor(*words: str, **environment: str):
    return subprocess.run(
        [str(executable('doctor')), *words],
        env={**os.environ, **isolation(), **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_everything_works():
    with VirtualMicrophone(noise=-40) as room:
        done = doctor('--model', str(MODEL), **room.environment)
    assert 'no speech_recognizer runs on this machine or in the network' in done.stdout
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'everything works' in done.stdout
    assert 'FIX' not in done.stdout
    assert 'DDS carries messages' in done.stdout
    assert 'microphone "default": 16000 Hz, 1 channels, loudest in two seconds -4' in done.stdout
    assert f'model {MODEL} is complete' in done.stdout


def test_each_problem_has_a_remedy(tmp_path):
    nowhere = {'HOME': str(tmp_path), 'HF_HOME': str(tmp_path)}
    done = doctor('--model', 'openai/whisper-tiny.en', **nowhere)
    assert done.returncode == 1
    assert 'FIX  microphone: there is no microphone: plug one in' in done.stdout
    assert "FIX  model.id 'openai/whisper-tiny.en' is not in the cache" in done.stdout
    assert '-> ros2 run distil_whisper_ros fetch_model openai/whisper-tiny.en' in done.stdout
    assert 'Traceback' not in done.stderr
    assert 'problems found, see the lines marked FIX' in done.stdout
    assert '\x1b' not in done.stdout


def test_it_checks_the_model_of_the_node_that_runs():
    surroundings = isolation()
    arguments = ('-r', '__ns:=/robot1')
    with RecognizerProcess(surroundings, *arguments, autostart=False, model__id='/nowhere'):
        with Client(surroundings, namespace='robot1') as client:
            client.wait_state('unconfigured')
            done = doctor(**surroundings)
            assert 'ok   /robot1/speech_recognizer runs' in done.stdout
            assert 'FIX  /robot1/speech_recognizer: model.id is the folder' in done.stdout
            assert client.set_parameter('model.id', str(MODEL)) == ''
            client.change_state(Transition.TRANSITION_CONFIGURE)
            done = doctor(**surroundings)
            loaded = f'ok   /robot1/speech_recognizer has loaded the model {MODEL}'
            assert loaded in done.stdout
            assert 'distil-medium' not in done.stdout


def test_a_microphone_that_is_muted():
    with VirtualMicrophone(noise=-200) as room:
        done = doctor('--model', str(MODEL), **room.environment)
    assert done.returncode == 1
    assert '-> the microphone delivered only zeros' in done.stdout


def test_it_explains_itself():
    done = doctor('--help')
    assert done.returncode == 0
    assert 'examples:' in done.stdout


def test_it_finds_an_echo_canceller(microphone, monkeypatch):
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    ((good, finding, _),) = echo_canceller()
    assert good and 'no such source' in finding
    command = ['pactl', 'load-module', 'module-echo-cancel', 'aec_method=webrtc']
    command += ['source_name=robot_ears', 'sink_name=robot_voice', 'sink_master=speaker']
    subprocess.run([*command, 'source_master=robot_mic'], check=True, stdout=subprocess.DEVNULL)
    ((good, finding, _),) = echo_canceller()
    assert good and 'the source robot_ears' in finding and 'monitor' not in finding
    monkeypatch.setenv('PATH', '')
    ((good, finding, _),) = echo_canceller()
    assert good and 'unknown' in finding
