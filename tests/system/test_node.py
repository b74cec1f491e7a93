"""The node in its own process, over real DDS, hearing real speech through real PortAudio."""

import os
from pathlib import Path
import signal
import statistics
import subprocess
import time
from typing import Any

from distil_whisper_msgs.msg import Transcript
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
import numpy as np
import pytest
from rcl_interfaces.srv import GetParameters
from robot import goforward, MODEL, RATE, raw, RECORDINGS, robot, VirtualMicrophone, wait_for
from soak import usage
import soundfile
from sounds import speech
from std_srvs.srv import Trigger

from distil_whisper_ros.speech.command_matcher import plain

SAID = 'go forward ten meters'


@pytest.fixture(scope='module')
def hearing(room):
    """Start one node with a microphone, for the tests that leave it as it was."""
    with robot(environment=room.environment, microphone__reopen_period=0.3) as (client, process):
        client.wait_state('ready')
        yield client, process


@pytest.fixture(scope='module')
def recordings(tmp_path_factory):
    """Return a folder with goforward.wav, and long.wav: a minute of speech."""
    folder = tmp_path_factory.mktemp('recordings')
    soundfile.write(folder / 'goforward.wav', goforward(), RATE)
    minute = np.concatenate([samples for samples, _ in speech().values()] * 2)
    soundfile.write(folder / 'long.wav', minute, RATE)
    return folder


def reading(path: Path, **more: object) -> dict[str, Any]:
    return {'audio__source': 'file', 'audio__file': str(path), **more}


def clear(client) -> None:
    client.wait_state('ready')
    client.texts.clear()
    client.transcripts.clear()


def children(process) -> list[str]:
    """Return the microphone's processes; libraries may start others for a moment."""
    command = [
        'pgrep',
        '-P',
        str(process.process.pid),
        '-f',
        'distil_whisper_ros.audio.capture_process',
    ]
    return subprocess.run(command, capture_output=True, text=True).stdout.split()


def released(child: str) -> bool:
    """Return whether a process holds nothing any more; one whose parent ended may be unreaped."""
    try:
        return Path('/proc', child, 'stat').read_text().rpartition(')')[2].split()[0] == 'Z'
    except OSError:
        return True


class TestHearing:
    def test_a_call_a_person_a_text(self, hearing, room):
        client, _ = hearing
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        wait_for(future.done, 30, 'the reply')
        assert future.result().success
        assert plain(future.result().message) == SAID
        wait_for(lambda: client.texts and client.transcripts, 5, 'the topics')
        assert [plain(text) for text in client.texts] == [SAID]
        (transcript,) = client.transcripts
        assert transcript.accepted
        assert transcript.ending == Transcript.ENDING_SILENCE
        assert transcript.header.frame_id == 'microphone'
        assert 0.7 < transcript.latency < 20
        assert 2.0 < transcript.audio_duration < 4.0
        spoken = transcript.end_of_speech.sec - transcript.header.stamp.sec
        assert 1 <= spoken <= 4
        assert 0.5 < transcript.confidence <= 1
        client.wait_state('ready')
        labels = [state.label for state in client.states]
        assert labels[-4:] == ['waiting', 'hearing', 'transcribing', 'ready']

    def test_words_are_replaced_as_the_parameter_says(self, hearing, room):
        client, _ = hearing
        clear(client)
        rules = ['go forward -> drive', r'/(\d+) met(er|re)s/ -> \1 m']
        wrong = client.set_parameter('text.replacements', ['go forward'])
        assert wrong.startswith("text.replacements has 'go forward', which is not a rule")
        assert client.set_parameter('text.replacements', rules) == ''
        try:
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(future.done, 30, 'the reply')
        finally:
            client.set_parameter('text.replacements', [''])
        assert future.result().message == 'drive 10 m.'
        wait_for(lambda: client.texts and client.transcripts, 5, 'the topics')
        assert client.texts == ['drive 10 m.']
        assert client.transcripts[0].text == 'drive 10 m.'
        assert plain(client.transcripts[0].raw_text) == SAID

    def test_every_librivox_sentence_in_turn(self, hearing, room):
        client, _ = hearing
        for name, (samples, _) in speech().items():
            if not name.startswith('librivox'):
                continue
            clear(client)
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(samples, wait=False)
            wait_for(future.done, 40, 'the reply')
            assert future.result().success, future.result().message

    def test_nobody_speaks(self, hearing):
        client, _ = hearing
        clear(client)
        assert client.set_parameter('utterance.wait_for_speech', 1.0) == ''
        try:
            reply = client.trigger('record')
        finally:
            client.set_parameter('utterance.wait_for_speech', 5.0)
        assert not reply.success
        assert 'no speech was heard within 1 s (utterance.wait_for_speech)' in reply.message
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].outcome == Transcript.OUTCOME_NO_SPEECH
        assert client.texts == []

    def test_stop_transcribes_what_was_heard(self, hearing, room):
        client, _ = hearing
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(np.tile(speech()['librivox/0870'][0], 2), wait=False)
        client.wait_state('hearing')
        time.sleep(2.2)
        assert client.trigger('stop').success
        wait_for(future.done, 30, 'the reply')
        assert 'dashwood' in future.result().message.lower()
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].ending == Transcript.ENDING_STOPPED

    def test_cancel_publishes_nothing(self, hearing, room):
        client, _ = hearing
        room.quiet()  # after the sentences of the test above
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        client.wait_state('hearing')
        assert client.trigger('cancel').success
        wait_for(future.done, 5, 'the reply')
        assert not future.result().success
        assert future.result().message == 'canceled'
        time.sleep(3)
        assert client.texts == []

    def test_without_endpointing_the_time_is_fixed(self, hearing, room):
        client, _ = hearing
        clear(client)
        client.set_parameter('utterance.endpointing', False)
        client.set_parameter('utterance.max_duration', 4.0)
        try:
            started = time.monotonic()
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(future.done, 30, 'the reply')
            assert time.monotonic() - started > 3.4  # less the pre-roll
        finally:
            client.set_parameter('utterance.endpointing', True)
            client.set_parameter('utterance.max_duration', 10.0)
        assert plain(future.result().message) == SAID
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].ending == Transcript.ENDING_MAX_DURATION
        assert client.transcripts[0].audio_duration == pytest.approx(4.0, abs=0.04)

    def test_the_longest_utterance_is_max_duration(self, hearing, room):
        client, _ = hearing
        clear(client)
        client.set_parameter('utterance.max_duration', 3.0)
        try:
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(speech()['librivox/0870'][0], wait=False)
            wait_for(future.done, 30, 'the reply')
        finally:
            client.set_parameter('utterance.max_duration', 10.0)
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].ending == Transcript.ENDING_MAX_DURATION
        assert client.transcripts[0].audio_duration <= 3.0
        room.quiet()

    def test_a_microphone_lost_in_mid_utterance_keeps_what_was_heard(self, hearing, room):
        client, process = hearing
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        client.wait_state('hearing')
        time.sleep(2.3)
        room.unplug()
        try:
            wait_for(future.done, 30, 'the reply')
            assert future.result().success
            assert future.result().message.lower().startswith('go forward')
            wait_for(lambda: client.transcripts, 5, 'the transcript')
            ending = client.transcripts[0].ending
            assert ending in (Transcript.ENDING_MICROPHONE_LOST, Transcript.ENDING_SILENCE)
            client.wait_state('lost', timeout=10)
            assert client.states[-1].detail
            reply = client.trigger('record', timeout=2)
            assert not reply.success
            assert 'microphone' in reply.message
            client.diagnostics.clear()
            wait_for(lambda: client.diagnostics, 5, 'a message on /diagnostics')
            assert client.diagnostics[-1].status[1].level == b'\x02'
        finally:
            room.plug_in()
        client.wait_state('ready', timeout=30)
        self.test_a_call_a_person_a_text(hearing, room)

    def test_a_hanging_microphone_is_opened_again(self, hearing, room):
        client, process = hearing
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        room.say(goforward(), wait=False)
        client.wait_state('hearing')
        time.sleep(2.0)
        (child,) = children(process)
        os.kill(int(child), signal.SIGSTOP)
        wait_for(future.done, 30, 'the reply')
        assert future.result().success
        assert future.result().message.lower().startswith('go forward')
        client.wait_state('ready', timeout=30)
        assert children(process) != [child]

    def test_diagnostics(self, hearing):
        client, _ = hearing
        client.diagnostics.clear()
        wait_for(lambda: client.diagnostics, 5, 'a message on /diagnostics')
        recognizer, microphone = client.diagnostics[-1].status
        assert recognizer.name == 'speech_recognizer: recognizer'
        assert recognizer.hardware_id == str(MODEL)
        values = {pair.key: pair.value for pair in recognizer.values}
        assert values['state'] == 'ready'
        values = {pair.key: pair.value for pair in microphone.values}
        assert values['sample rate (Hz)'] == '16000'
        assert microphone.level in (b'\x00', b'\x01')

    def test_a_late_subscriber_gets_the_state_but_no_text(self, hearing):
        from robot import Client

        client, process = hearing
        clear(client)
        environment = {'ROS_DOMAIN_ID': str(client.domain)}
        with Client(environment) as late:
            late.wait_state('ready', timeout=10)
            time.sleep(0.5)
            assert late.texts == []


class TestUnloading:
    def test_a_model_that_nobody_needs_is_freed_and_hears_the_next_request(self, room):
        """`before` and `after` are its memory while it waits."""
        room.quiet()
        with robot(environment=room.environment) as (client, process):
            client.wait_state('ready')
            before = usage(process.process.pid)[0]
            assert client.set_parameter('model.unload_after', 2.0) == ''
            wait_for(lambda: 'unload_after' in client.states[-1].detail, 30, 'the unloading')
            assert client.state == 'ready'
            after = usage(process.process.pid)[0]
            assert before - after > 40e6
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(future.done, 60, 'the reply')
            assert plain(future.result().message) == SAID
            client.wait_state('ready')
            assert client.states[-1].detail == ''
            wait_for(lambda: 'unload_after' in client.states[-1].detail, 30, 'the unloading')
            assert client.switch('hands_free', True).success
            client.wait_state('waiting')
            time.sleep(3.0)
            assert 'unload_after' in client.states[-1].detail
            client.texts.clear()
            room.say(goforward(), wait=False)
            wait_for(lambda: client.texts, 60, 'the text')
            assert [plain(text) for text in client.texts] == [SAID]
            log = process.log()
            assert log.count('its memory is freed') >= 2
            assert log.count('the model is loaded again') >= 2


class TestResponsiveness:
    """Everything is answered within a tenth of a second while the node hears and transcribes."""

    def answers(self, client, calls) -> dict[str, float]:
        """Return the median time of each call, in seconds."""
        times: dict[str, list[float]] = {}
        for _ in range(9):
            for name, call in calls.items():
                started = time.monotonic()
                call()
                times.setdefault(name, []).append(time.monotonic() - started)
        return {name: statistics.median(taken) for name, taken in times.items()}

    def calls(self, client):
        names = GetParameters.Request(names=['model.id'])
        service = 'speech_recognizer/get_parameters'

        def second():
            reply = client.trigger('record', timeout=5)
            assert not reply.success
            assert reply.message.startswith('busy: ')

        return {
            'parameters': lambda: client.call(GetParameters, service, names),
            'lifecycle': lambda: client.call(GetState, 'speech_recognizer/get_state'),
            'second record': second,
        }

    def test_while_hearing_and_transcribing(self, recordings):
        path = recordings / 'long.wav'
        more = {'utterance__endpointing': False, 'utterance__max_duration': 600.0}
        more['model__audio_context_margin'] = 30.0  # slow, so that there is time to ask
        with robot(**reading(path, **more)) as (client, _):
            client.wait_state('ready')
            client.start_call(Trigger, 'speech/stop')  # so that clients exist beforehand
            for call in ('model.id',):
                client.get_parameter(call)
            client.lifecycle_state()
            future = client.start_trigger('record')
            client.wait_state('transcribing')
            times = self.answers(client, self.calls(client))
            assert client.state == 'transcribing', 'too fast to tell'
            started = time.monotonic()
            assert not client.trigger('stop').success  # nothing is being recorded any more
            times['stop'] = time.monotonic() - started
            assert max(times.values()) < 0.1, times
            wait_for(future.done, 120, 'the reply')
            assert future.result().success

    def test_while_waiting(self, hearing):
        client, _ = hearing
        clear(client)
        future = client.start_trigger('record')
        client.wait_state('waiting')
        times = self.answers(client, self.calls(client))
        assert client.state == 'waiting'
        assert max(times.values()) < 0.1, times
        client.trigger('cancel')
        wait_for(future.done, 5, 'the reply')

    def test_while_loading(self, room):
        with robot(environment=room.environment) as (client, _):
            client.wait_state('loading')
            assert client.lifecycle_state() == 'configuring'
            client.get_parameter('model.id')
            reply = client.trigger('record', timeout=5)
            assert not reply.success
            assert 'the recognizer is loading, not active' in reply.message
            client.wait_state('ready')


class TestRecordings:
    def test_commands_come_from_a_file(self, recordings, tmp_path):
        path = tmp_path / 'commands.yaml'
        path.write_text('phrases: ["go forward {far} meters"]\nslots: {far: [ten, twenty]}\n')
        more = {'commands__file': str(path)}
        with robot(**reading(recordings / 'goforward.wav', **more)) as (client, _):
            client.wait_state('ready')
            assert client.trigger('record').success
            wait_for(lambda: client.transcripts, 5, 'the transcript')
            assert client.transcripts[0].command == 'go forward {far} meters'
            assert list(client.transcripts[0].command_values) == ['ten']
            wrong = client.set_parameter('commands.file', '/etc/passwd')
            assert wrong.startswith('commands.file can change only at the start of the node')

    def test_half_a_second_and_five_minutes(self, recordings, tmp_path):
        samples, _ = soundfile.read(recordings / 'long.wav', dtype='float32')
        parts = -(-300 * RATE // len(samples))
        soundfile.write(tmp_path / 'five.wav', np.tile(samples, parts)[: 300 * RATE], RATE)
        soundfile.write(tmp_path / 'half.wav', raw(RECORDINGS / 'goforward.raw')[8000:16000], RATE)
        more = {'utterance__endpointing': False, 'utterance__max_duration': 600.0}
        more['model__audio_context_margin'] = 30.0  # slow, so that there is time to ask
        with robot(**reading(tmp_path / 'five.wav', **more)) as (client, _):
            client.wait_state('ready')
            reply = client.trigger('record', timeout=200)
            assert reply.success, reply.message
            assert len(reply.message.split()) > 400
            wait_for(lambda: client.transcripts, 5, 'the transcript')
            assert client.transcripts[0].audio_duration == pytest.approx(300, abs=1)
            assert len(client.transcripts[0].segments) > 9
            assert client.change_state(Transition.TRANSITION_DEACTIVATE)
            assert client.set_parameter('audio.file', str(tmp_path / 'half.wav')) == ''
            assert client.change_state(Transition.TRANSITION_ACTIVATE)
            reply = client.trigger('record')
            assert reply.message

    def test_the_audio_is_written_only_where_a_folder_is_named(self, recordings, tmp_path):
        folder = tmp_path / 'audio'
        path = recordings / 'goforward.wav'
        with robot(**reading(path)) as (client, _):
            client.wait_state('ready')
            assert client.trigger('record').success
            # Only whoever starts the node may have it write files.
            refused = client.set_parameter('save_audio_directory', str(folder))
            assert 'can change only at the start' in refused
        with robot(**reading(path, save_audio_directory=str(folder))) as (client, _):
            client.wait_state('ready')
            assert client.trigger('record').success
            wait_for(lambda: list(folder.glob('*-1.wav')), 5, 'the file')
            assert len(list(folder.iterdir())) == 1
            assert soundfile.info(next(folder.iterdir())).samplerate == RATE

    def test_a_namespace_moves_every_name(self, recordings):
        with robot('-r', '__ns:=/robot1', **reading(recordings / 'goforward.wav')) as (client, _):
            topics = lambda: dict(client.node.get_topic_names_and_types())  # noqa: E731
            services = lambda: dict(client.node.get_service_names_and_types())  # noqa: E731
            wait_for(lambda: '/robot1/speech/text' in topics(), 10, 'the topic')
            wait_for(lambda: '/robot1/speech/record' in services(), 10, 'the service')
            assert '/speech/text' not in [
                t for t in topics() if client.node.count_publishers(t) and t == '/speech/text'
            ]


class TestLifecycle:
    def test_by_hand_from_start_to_end(self, recordings):
        path = recordings / 'goforward.wav'
        with robot(autostart=False, **reading(path)) as (client, process):
            client.wait_state('unconfigured')
            assert client.lifecycle_state() == 'unconfigured'
            reply = client.trigger('record', timeout=2)
            assert not reply.success
            assert 'unconfigured, not active: configure and activate it' in reply.message
            assert client.trigger('stop').message == 'nothing is being recorded'
            assert client.trigger('cancel').message == 'nothing is being recorded'
            assert not client.change_state(Transition.TRANSITION_ACTIVATE)  # not possible yet
            assert client.lifecycle_state() == 'unconfigured'
            for _ in range(2):
                assert client.change_state(Transition.TRANSITION_CONFIGURE)
                assert client.state == 'inactive'
                assert not client.trigger('record').success
                for _ in range(2):
                    assert client.change_state(Transition.TRANSITION_ACTIVATE)
                    assert plain(client.trigger('record').message) == SAID
                    assert client.change_state(Transition.TRANSITION_DEACTIVATE)
                assert client.change_state(Transition.TRANSITION_CLEANUP)
            assert client.change_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
            assert client.lifecycle_state() == 'finalized'
            assert process.interrupt() == 0
            assert 'Traceback' not in process.log()

    def test_a_wrong_model_is_told_and_can_be_put_right(self, recordings):
        wrong = reading(recordings / 'goforward.wav', model__id='/models/nothing')
        with robot(**wrong) as (client, process):
            client.wait_state('error')
            expected = "model.id is the folder '/models/nothing', which does not exist"
            assert client.states[-1].detail == expected
            assert expected in client.trigger('record').message
            assert client.lifecycle_state() == 'unconfigured'
            assert client.set_parameter('model.id', str(MODEL)) == ''
            assert client.change_state(Transition.TRANSITION_CONFIGURE)
            assert client.change_state(Transition.TRANSITION_ACTIVATE)
            assert plain(client.trigger('record').message) == SAID
            assert process.log().count(expected) == 1
            assert 'Traceback' not in process.log()

    def test_a_wrong_recording_is_told_and_can_be_put_right(self, recordings, tmp_path):
        text = tmp_path / 'text.wav'
        text.write_text('this is a text')
        with robot(**reading(text)) as (client, process):
            client.wait_state('error')
            assert 'is not a recording that can be read' in client.states[-1].detail
            assert client.set_parameter('audio.file', str(recordings / 'goforward.wav')) == ''
            client.wait_state('ready', timeout=20)  # it tries again by itself
            assert plain(client.trigger('record').message) == SAID
            assert 'Traceback' not in process.log()

    def test_a_microphone_that_is_plugged_in_later(self):
        with VirtualMicrophone() as room:
            with robot(environment=room.environment, microphone__device='Jabra') as (client, _):
                client.wait_state('error')
                assert "microphone.device is 'Jabra', but there is no" in client.states[-1].detail
                assert 'microphones here: ' in client.states[-1].detail
                assert client.set_parameter('microphone.device', 'pulse') == ''
                client.wait_state('ready', timeout=20)


class TestParameters:
    def test_wrong_ones_are_refused_with_what_would_be_right(self, hearing):
        client, _ = hearing
        clear(client)
        for name, value, reason in [
            ('utterance.end_silence', 99.0, 'must be from 0.1 to 10.0 s'),
            ('utterance.end_silence', 'long', "is 'long', but must be a number"),
            ('model.beam_width', 2.5, 'is 2.5, but must be a whole number'),
            ('hallucination_filter.enabled', 'no', "is 'no', but must be true or false"),
            ('model.task', 'sing', "is 'sing', but must be one of: transcribe, translate"),
            ('model.id', 'x', 'can change while the node is unconfigured; deactivate it and'),
            ('microphone.device', 'x', 'can change while the node is not active; deactivate'),
            ('autostart', False, 'can change only at the start of the node'),
            (
                'utterance.end_silnce',
                1.0,
                "there is no parameter 'utterance.end_silnce'; did you mean "
                "'utterance.end_silence'?",
            ),
        ]:
            answer = client.set_parameter(name, value)
            assert answer, name
            assert reason in answer
            assert '\n' not in answer
        assert client.get_parameter('utterance.end_silence').double_value == 0.7

    def test_a_whole_number_is_taken_for_a_number(self, hearing):
        client, _ = hearing
        assert client.set_parameter('utterance.end_silence', 1) == ''
        assert client.get_parameter('utterance.end_silence').double_value == 1.0
        assert client.set_parameter('utterance.end_silence', 0.7) == ''

    def test_wrong_ones_at_the_start_do_not_end_the_node(self, recordings):
        wrong = reading(
            recordings / 'goforward.wav',
            utterance__end_silence=99.0,
            model__beam_width='many',
            utterance__wait_for_speech=3,
            utterance__end_silnce=1.0,
        )
        with robot(**wrong) as (client, process):
            client.wait_state('error')
            detail = client.states[-1].detail
            assert 'utterance.end_silence is 99.0, but must be from 0.1 to 10.0 s' in detail
            assert "model.beam_width is 'many', but must be a whole number" in detail
            assert client.get_parameter('utterance.wait_for_speech').double_value == 3.0
            assert "there is no parameter 'utterance.end_silnce'; did you mean" in process.log()
            assert client.set_parameter('utterance.end_silence', 0.7) == ''
            assert client.set_parameter('model.beam_width', 1) == ''
            assert client.change_state(Transition.TRANSITION_CONFIGURE)
            assert client.change_state(Transition.TRANSITION_ACTIVATE)
            assert plain(client.trigger('record').message) == SAID
            assert 'Traceback' not in process.log()


class TestEnd:
    """Ctrl-C in each phase: code 0, no traceback, the microphone released, gone for the others."""

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize(
        ('phase', 'number'),
        [
            ('loading', signal.SIGINT),
            ('ready', signal.SIGINT),
            ('waiting', signal.SIGINT),
            ('hearing', signal.SIGINT),
            ('hearing', signal.SIGTERM),
            ('transcribing', signal.SIGINT),
        ],
    )
    def test_in_each_phase(self, room, phase, number):
        # Slow, so that there is time to end it while it transcribes.
        slow = {
            'utterance__speculative': False,
            'model__beam_width': 5,
            'model__audio_context_margin': 30.0,
        }
        with robot(environment=room.environment, **slow) as (client, process):
            # A beam of 5 warms up slowly, where other programs keep the processor busy.
            client.wait_state('loading' if phase == 'loading' else 'ready', timeout=180)
            if phase != 'loading':
                wait_for(lambda: children(process), 10, 'the microphone')
            children_before = children(process)
            if phase not in ('loading', 'ready'):
                client.start_trigger('record')
                client.wait_state('waiting')
                if phase != 'waiting':
                    room.say(speech()['librivox/0870'][0], wait=False)
                    client.wait_state(phase, timeout=20)
            process.process.send_signal(number)
            # The model may be in the middle of something that cannot be interrupted.
            assert process.process.wait(240) == 0
            assert 'Traceback' not in process.log()
            assert 'exception' not in process.log().lower()
            # Else it would be in the others' graph for 20 s, and they would call its services.
            wait_for(lambda: not client.node.count_publishers('speech/text'), 3, 'its leaving')
            for child in children_before:
                wait_for(lambda child=child: released(child), 5, 'the release of the microphone')
