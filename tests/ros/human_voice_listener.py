"""A node of REP-155 beside the recognizer: run by test_human_voice.py, where hri_msgs is found.

It prints what it got as JSON.
"""

import faulthandler
import importlib
import json
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile
from robot import RECORDINGS, robot, VirtualMicrophone, wait_for
import soundfile
from std_msgs.msg import Bool

ROOT = '/humans/voices'
VOICE = f'{ROOT}/anonymous_speaker'


def main() -> None:
    faulthandler.dump_traceback_later(150, exit=True)  # tell where it hangs, if it does
    recording, *_ = sorted((RECORDINGS / 'librivox').glob('*.wav'))
    sentence, _ = soundfile.read(recording, dtype='float32')
    messages = importlib.import_module('hri_msgs.msg')
    heard: dict[str, list] = {'tracked': [], 'late': [], 'speaking': [], 'partial': []}
    finals: list[Any] = []
    # Without work ahead at pauses, partial text is there only since somebody reads along.
    slow: dict[str, Any] = {
        'hands_free__enabled': True,
        'utterance__max_duration': 30.0,
        'utterance__speculative': False,
        'utterance__turn_detection': 'silence',
        'utterance__end_silence': 2.0,
    }
    with VirtualMicrophone() as room, robot(environment=room.environment, **slow) as (client, _):
        latched = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)

        def tracked(message) -> None:
            if heard['tracked'][-1:] != [[*message.ids]]:
                heard['tracked'].append([*message.ids])

        def late(message) -> None:
            heard['late'] = [*message.ids]

        def speech(message) -> None:
            if message.final:
                finals.append(message)
            else:
                heard['partial'].append([message.incremental, message.header.frame_id])

        def speaking(message) -> None:
            heard['speaking'].append(message.data)

        client.node.create_subscription(messages.IdsList, f'{ROOT}/tracked', tracked, latched)
        client.node.create_subscription(Bool, f'{VOICE}/is_speaking', speaking, latched)
        client.wait_state('waiting')
        client.node.create_subscription(messages.LiveSpeech, f'{VOICE}/speech', speech, 10)
        # A subscriber that is late and does not ask for the last list.
        client.node.create_subscription(messages.IdsList, f'{ROOT}/tracked', late, 10)
        wait_for(lambda: heard['late'], 10, 'the list of voices')
        client.switch('mute', True)
        wait_for(lambda: heard['tracked'][-1] == [], 10, 'no voice')
        client.switch('mute', False)
        client.wait_state('waiting')
        room.say(sentence)
        wait_for(lambda: finals and client.transcripts, 20, 'the text')
        wait_for(lambda: heard['speaking'].count(False) > 1, 10, 'the end of speech')
        (final,), (transcript,) = finals, client.transcripts
        heard['final'] = [final.final, final.language, final.locale]
        heard['same'] = [
            final.final == transcript.text,
            final.header == transcript.header,
            abs(final.confidence - transcript.confidence) < 1e-6,  # float64 and float32
            final.incremental == '',
        ]
    print(json.dumps(heard))


if __name__ == '__main__':
    main()
