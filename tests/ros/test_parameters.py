"""The parameters of a node that is not configured: names, types, and their descriptors."""

from lifecycle_msgs.msg import Transition
import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import (
    DescribeParameters,
    GetParameters,
    ListParameters,
    SetParameters,
    SetParametersAtomically,
)
from rclpy.parameter import Parameter
from robot import goforward, MODEL, RATE, robot, ROOT, wait_for
import soundfile


@pytest.fixture(scope='module')
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp('recordings') / 'goforward.wav'
    soundfile.write(path, goforward(), RATE)
    return {'audio__source': 'file', 'audio__file': str(path)}


@pytest.fixture(scope='module')
def idle(recording):
    with robot(autostart=False, **recording) as (client, process):
        client.wait_state('unconfigured')
        yield client, process


@pytest.mark.parametrize(
    ('name', 'value', 'reason'),
    [
        ('model.beams', 2, 'model.beams is now called model.beam_width: use the new name'),
        ('mute.tail', 0.1, 'mute.tail is now called self_speech.tail: use the new name'),
        ('self_speech.topics', ['a b'], "self_speech.topics has the name 'a b', which ROS does"),
        ('self_speech.text_topic', 'a b', "self_speech.text_topic has the name 'a b', which ROS"),
        ('self_speech.policy', 'talk', 'must be one of: mute, barge_in'),
        ('self_speech.actions', ['say', '7'], "self_speech.actions has the name '7', which ROS"),
        ('audio.topic', 'x//y', "audio.topic has the name 'x//y', which ROS does not allow"),
        ('save_audio_directory', '/tmp', 'restart the node with the new value'),
        ('model.device', 'x\n\x1b[31m' + 'y' * 9000, ''),
        ('model.dtype', 'x\n\x1b[31m' + 'y' * 9000, "'x\\n\\x1b[31my"),
    ],
)
def test_refusals_are_one_clipped_line(idle, name, value, reason):
    client, process = idle
    answer = client.set_parameter(name, value)
    assert reason in answer
    assert bool(reason) == bool(answer)
    assert '\n' not in answer
    assert '\x1b' not in answer
    assert len(answer) < 600
    assert '\x1b[31m' not in process.log()
    if not answer:
        assert client.set_parameter(name, 'auto') == ''


def test_many_refusals_are_one_line_of_the_log(idle):
    client, process = idle
    value = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=1)
    many = [ParameterMessage(name=f'nobody.knows{n}', value=value) for n in range(2000)]
    before = len(process.log())
    request = SetParameters.Request(parameters=many)
    name = 'speech_recognizer/set_parameters'
    results = client.call(SetParameters, name, request, timeout=60).results
    assert len(results) == 2000 and not any(result.successful for result in results)
    wait_for(lambda: '2000 parameters were not set' in process.log(), 10, 'the line')
    assert len(process.log()) - before < 2000
    assert "there is no parameter 'nobody.knows0'" in process.log()[before:]


def test_a_value_of_a_type_that_ros_does_not_have_is_refused(idle):
    client, process = idle
    wrong = ParameterMessage(name='commands.min_score', value=ParameterValue(type=42))
    right = Parameter('commands.min_score', value=0.75).to_parameter_msg()
    name = 'speech_recognizer/set_parameters'
    request = SetParameters.Request(parameters=[wrong, right])
    first, second = client.call(SetParameters, name, request, timeout=10).results
    assert not first.successful and '42' in first.reason and '\n' not in first.reason
    assert second.successful
    request = SetParametersAtomically.Request(parameters=[right, wrong])
    together = client.call(SetParametersAtomically, f'{name}_atomically', request, timeout=10)
    assert not together.result.successful and '42' in together.result.reason
    empty = ParameterMessage(name='autostart')  # rclpy takes an empty list for one of bytes
    empty.value.type = ParameterType.PARAMETER_INTEGER_ARRAY
    request = SetParameters.Request(parameters=[empty])
    (result,) = client.call(SetParameters, name, request, timeout=10).results
    assert not result.successful and 'must be true or false' in result.reason
    assert 'Traceback' not in process.log()


def test_the_value_that_a_parameter_has_is_always_accepted(idle):
    client, _ = idle
    for name, value in (
        ('autostart', False),
        ('diagnostics_period', 1),
        ('save_audio_directory', ''),
        ('commands.phrases', []),
        ('model.id', str(MODEL)),
    ):
        assert client.set_parameter(name, value) == '', name


def test_what_the_node_dumps_can_be_loaded_again(idle):
    client, _ = idle
    service = 'speech_recognizer/list_parameters'
    names = client.call(ListParameters, service, ListParameters.Request()).result.names
    request = GetParameters.Request(names=names)
    values = client.call(GetParameters, 'speech_recognizer/get_parameters', request).values
    pairs = zip(names, values, strict=True)
    same = [ParameterMessage(name=name, value=value) for name, value in pairs]
    service = 'speech_recognizer/set_parameters'
    answer = client.call(SetParameters, service, SetParameters.Request(parameters=same))
    assert len(same) > 60
    assert [result.reason for result in answer.results if not result.successful] == []


@pytest.mark.parametrize(
    ('name', 'value', 'text'),
    [
        ('model.language', False, '"no"'),
        ('microphone.device', 2, '"2"'),
        ('model.id', 1.5, '"1.5"'),
    ],
)
def test_a_text_that_yaml_reads_as_something_else_is_to_be_quoted(idle, name, value, text):
    client, _ = idle
    answer = client.set_parameter(name, value)
    assert f'{name} is {value!r}, but must be a text: quote it, as ' in answer
    assert text in answer


def test_a_list_is_a_list_of_texts_for_tools(idle):
    client, _ = idle
    names = [
        'commands.phrases',
        'commands.slots',
        'commands.urgent',
        'model.hotwords',
        'self_speech.topics',
        'self_speech.actions',
    ]
    request = DescribeParameters.Request(names=names)
    service = 'speech_recognizer/describe_parameters'
    for described in client.call(DescribeParameters, service, request).descriptors:
        assert described.type == ParameterType.PARAMETER_STRING_ARRAY
        assert not described.dynamic_typing
    for name in names:
        assert client.get_parameter(name).type == ParameterType.PARAMETER_STRING_ARRAY
        texts = ['room: hall, den', 'part: arm, leg'] if name.endswith('slots') else ['go', 'stop']
        assert client.set_parameter(name, texts) == ''
        assert client.get_parameter(name).string_array_value == texts
        assert client.set_parameter(name, []) == ''  # comes as a list of bytes
        assert client.get_parameter(name).type == ParameterType.PARAMETER_STRING_ARRAY
        assert 'must be a list of texts' in client.set_parameter(name, [1, 2])


def test_former_and_wrong_names_at_the_start(recording):
    wrong = {
        'model__beams': 2,
        'self_speech__topics': ['a b'],
        'commands__phrases': ['go to the {room}'],
    }
    with robot(**recording, **wrong) as (client, process):
        client.wait_state('error')
        detail = client.states[-1].detail
        assert detail.endswith(
            ': set it right, then: ros2 lifecycle set /speech_recognizer configure'
        )
        assert 'using the default' not in process.log()
        assert 'the node stays unconfigured' in process.log()
        assert 'model.beams is now called model.beam_width' in detail
        assert "self_speech.topics has the name 'a b'" in detail
        assert client.set_parameter('model.beam_width', 2) == ''
        assert 'all parameters are right now' not in process.log()
        assert client.set_parameter('self_speech.topics', ['robot/speaks']) == ''
        assert 'slot {room} is not known' in process.log()
        assert 'all parameters are right now' not in process.log()
        assert client.set_parameter('commands.slots', ['room: hall, kitchen']) == ''
        command = 'now run: ros2 lifecycle set /speech_recognizer configure'
        wait_for(lambda: command in process.log(), 5, 'the line that says what comes next')
        assert client.change_state(Transition.TRANSITION_CONFIGURE)
        assert client.change_state(Transition.TRANSITION_ACTIVATE)
        # The model cannot change now, and a transcript names the one that is loaded.
        assert 'deactivate it and clean it up' in client.set_parameter('model.id', 'other')
        assert client.set_parameter('model.id', str(MODEL)) == ''
        assert client.trigger('record').success
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].model == str(MODEL)
        assert 'Traceback' not in process.log()


def test_the_model_cannot_change_while_it_is_loaded(recording):
    with robot(**recording) as (client, process):
        client.wait_state('loading')
        assert 'the model is being loaded' in client.set_parameter('model.id', 'other')
        assert client.set_parameter('model.id', str(MODEL)) == ''
        client.wait_state('ready')


ONLY_ENGLISH = 'but {} knows only English: set model.id to a multilingual model'


@pytest.fixture(scope='module')
def multilingual(recording):
    model = str(ROOT / 'models' / 'base')
    with robot(model__id=model, model__warm_up=False, **recording) as (client, process):
        client.wait_state('ready')
        yield client, process


def test_an_english_model_refuses_other_languages_at_once(recording):
    with robot(autostart=False, **recording) as (client, process):
        client.wait_state('unconfigured')
        assert client.set_parameter('model.languages', ['en', 'de']) == ''  # nothing is loaded
        assert not client.change_state(Transition.TRANSITION_CONFIGURE)
        assert ONLY_ENGLISH.format(MODEL) in client.states[-1].detail
        assert client.set_parameter('model.languages', ['en']) == ''
        assert client.change_state(Transition.TRANSITION_CONFIGURE)
        assert client.change_state(Transition.TRANSITION_ACTIVATE)
        for wrong in (['de'], ['xx'], ['en', 'de'], ['en', 'a\x1b[31m\nb']):
            answer = client.set_parameter('model.languages', wrong)
            assert ONLY_ENGLISH.format(MODEL) in answer, wrong
            assert '\n' not in answer and '\x1b' not in answer
            assert client.get_parameter('model.languages').string_array_value == ['en']
        for name, value in (
            ('model.languages', ['en']),
            ('model.languages', ['English']),
            ('model.languages', []),
            ('model.language', 'de'),  # English models ignore these two
            ('model.task', 'translate'),
        ):
            assert client.set_parameter(name, value) == '', name
        assert client.trigger('record').success
        wait_for(lambda: client.transcripts, 5, 'the transcript')
        assert client.transcripts[0].text.capitalize() == 'Go forward 10 meters.'
        assert 'Traceback' not in process.log()


def test_a_language_that_came_while_the_model_was_loading_is_told(recording):
    with robot(**recording) as (client, _):
        client.wait_state('loading')
        assert client.set_parameter('model.languages', ['de']) == ''
        client.wait_state('error')
        assert ONLY_ENGLISH.format(MODEL) in client.states[-1].detail
        assert client.set_parameter('model.languages', []) == ''
        assert client.change_state(Transition.TRANSITION_CONFIGURE)


def test_a_multilingual_model_refuses_what_it_does_not_know(multilingual):
    client, _ = multilingual
    for name, wrong, reason in (
        ('model.language', 'xx', "model.language is 'xx', but must be one of: en, zh"),
        ('model.language', 'd\x1be', "model.language is 'd\\x1be', but must be one of"),
        ('model.languages', ['en', 'xx'], "model.languages has 'xx', but each must be one of"),
    ):
        assert reason in client.set_parameter(name, wrong)
    assert client.set_parameter('model.language', 'german') == ''
    assert "model.language is 'german', but model.l" in client.set_parameter(
        'model.languages', ['en', 'fr']
    )
    assert client.set_parameter('model.language', '') == ''


def test_parameters_that_are_set_together_are_judged_together(multilingual):
    client, _ = multilingual

    def together(**values):
        parameters = [
            Parameter(f'model.{n}', value=v).to_parameter_msg() for n, v in values.items()
        ]
        request = SetParametersAtomically.Request(parameters=parameters)
        name = 'speech_recognizer/set_parameters_atomically'
        return client.call(SetParametersAtomically, name, request).result.reason

    assert together(language='de', languages=['de', 'en'], task='translate') == ''
    assert 'add it there' in client.set_parameter('model.language', 'fr')
    assert together(language='fr', languages=['fr']) == ''
    assert 'add it there' in together(language='de', task='transcribe')
    assert client.get_parameter('model.task').string_value == 'translate'
    assert together(language='', languages=[], task='transcribe') == ''


def test_a_goal_in_an_unknown_language_fails_before_the_person_speaks(multilingual):
    client, _ = multilingual
    before = len(client.states)
    _, transcript = client.listen(language='klingon').result()
    assert "model.language is 'klingon', but must be one of" in transcript.reason
    assert [each.label for each in client.states[before:]] == []


def test_a_model_from_the_hub_is_tried_again_and_said_once(recording, tmp_path):
    from robot import fill_cache

    name = 'somebody/whisper-x'
    missing = {'model__id': name, 'model__offline': True}
    environment = {'HF_HOME': str(tmp_path)}
    with robot(environment=environment, **recording, **missing) as (client, process):
        client.wait_state('error')
        assert 'is not in the cache' in client.states[-1].detail
        fill_cache(tmp_path, name)
        client.wait_state('ready', timeout=40)
        assert process.log().count(f'{name!r} is not in the cache') == 1
