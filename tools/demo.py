"""The main job, for real: the node hears a person, and a subscriber prints the text.

make run [MICROPHONE=default] [MODEL=distil-whisper/distil-medium.en]
"""

import argparse
from contextlib import ExitStack
import shutil
import signal
import subprocess
import sys
import threading
import time

from robot import (
    Client,
    goforward,
    isolation,
    MODEL,
    RecognizerProcess,
    TURN_MODEL,
    VirtualMicrophone,
)


def say(text: str) -> None:
    print(f'\033[1m[demo]\033[0m {text}', flush=True)


def follow(process: RecognizerProcess) -> None:
    """Print the node's log as it grows."""
    shown = 0
    while process.process.poll() is None:
        log = process.log()
        sys.stdout.write(log[shown:])
        sys.stdout.flush()
        shown = len(log)
        time.sleep(0.1)


def main() -> int:
    parser = argparse.ArgumentParser(description='The node hears a person.')
    parser.add_argument('--model', default=str(MODEL), help='a folder, or a name on the hub')
    parser.add_argument(
        '--microphone', default='', help='a real one, by name or number; default: a virtual one'
    )
    arguments = parser.parse_args()
    environment = isolation()
    with ExitStack() as stack:
        microphone = None
        if not arguments.microphone:
            if not shutil.which('pulseaudio'):
                say('the virtual microphone needs PulseAudio; use your own: MICROPHONE=default')
                return 1
            say('no microphone is named: a virtual one, in which a recorded person speaks')
            microphone = stack.enter_context(VirtualMicrophone())
            environment |= microphone.environment
            environment['HF_HOME'] = hub_cache()
        node = stack.enter_context(
            RecognizerProcess(
                environment,
                model__id=arguments.model,
                utterance__turn_model=str(TURN_MODEL),
                microphone__device=arguments.microphone or 'default',
            )
        )
        threading.Thread(target=follow, args=(node,), daemon=True).start()
        client = stack.enter_context(Client(environment))
        wait_until_ready(client, node)
        if client.state != 'ready':
            time.sleep(0.3)
            say(f'the node is not ready: {client.states[-1].detail}')
            return 1
        say('calling the service /speech/record (std_srvs/Trigger)')
        future = client.start_trigger('record')
        client.wait_state('waiting', 'hearing')
        if microphone is None:
            say('speak now, as: "go forward ten meters"')
        else:
            say('a person says: "go forward ten meters"')
            microphone.say(goforward(), wait=False)
        while not future.done():
            time.sleep(0.01)
        time.sleep(0.3)
        reply = future.result()
        say(f'the reply: success={reply.success}, message="{reply.message}"')
        for text in client.texts:
            say(f'/speech/text: "{text}"')
        if not client.texts:
            say('nothing was published on /speech/text')
            return 1
        say(f'it came {client.transcripts[-1].latency:.2f} s after the end of speech')
    return 0


def hub_cache() -> str:
    """Return the user's own cache of models; the virtual microphone has another HOME."""
    import os

    return os.environ.get('HF_HOME', os.path.expanduser('~/.cache/huggingface'))


def wait_until_ready(client: Client, node: RecognizerProcess) -> None:
    while client.state not in ('ready', 'error') and node.process.poll() is None:
        time.sleep(0.05)


if __name__ == '__main__':
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    try:
        sys.exit(main())
    except (TimeoutError, subprocess.CalledProcessError, FileNotFoundError) as error:
        sys.exit(f'[demo] {error}')
