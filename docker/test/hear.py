"""Run the node inside the built container, and call it over DDS from outside.

    python docker/test/hear.py CONTAINER ROOT_FOLDER

Human speech goes in through the virtual microphone's socket, text comes out on a topic: once with
the model as a folder, once by its name from the model's volume, with the network cut off.
"""

from pathlib import Path
import shutil
import subprocess
import sys
import tempfile

from robot import Client, fill_cache, goforward, VirtualMicrophone, wait_for

NAME = 'openai/whisper-tiny.en'
SENTENCE = 'Go forward 10 meters.'
NODE = '/opt/distil_whisper/docker/entrypoint'


def check(true: object, what: str) -> None:
    print(f'[container] {"ok" if true else "WRONG"}: {what}', flush=True)
    if not true:
        raise SystemExit(1)


def run(container: str, words: list[str], environment: dict[str, str], *options: str):
    """Start a command in the container, as its user."""
    settings = [f'--env={key}={value}' for key, value in environment.items()]
    return subprocess.Popen(
        [*('buildah', 'run', '--network', 'host'), *settings, *options, container, '--', *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def hear(container: str, root: Path, *arguments: str) -> None:
    """Let the container's node hear a person once."""
    # The room's socket lies in the container's folder; by a link, since its path is short.
    with tempfile.TemporaryDirectory() as short:
        link = Path(short, 'root')
        link.symlink_to(root)
        with VirtualMicrophone(parent=link / 'run') as room:
            folder = Path(room.environment['HOME'])
            folder.chmod(0o755)
            inside = f'/run/{folder.name}'
            # The namespace isolates; localhost-only discovery would not reach into the container.
            environment = {
                'ROS_DOMAIN_ID': '7',
                'HOME': inside,
                'PULSE_SERVER': f'unix:{inside}/pulse.socket',
            }
            hear_in(room, container, environment, *arguments)


def hear_in(
    room: VirtualMicrophone, container: str, environment: dict[str, str], *arguments: str
) -> None:
    """Start the node, call it from outside, and check what comes."""
    words = ['speech_recognizer', '--ros-args']
    for argument in arguments:
        words += ['-p', argument]
    process = run(container, [NODE, *words], environment)
    try:
        with Client(environment) as client:
            client.wait_state('ready', 'error')
            check(client.state == 'ready', f'the node is ready {client.states[-1].detail}')
            future = client.start_trigger('record')
            client.wait_state('waiting')
            room.say(goforward(), wait=False)
            wait_for(future.done, 30, 'the reply')
            wait_for(lambda: client.texts, 5, 'the text')
            check(client.texts == [SENTENCE], f'/speech/text from outside: {client.texts}')
            health = run(container, [NODE, 'health'], environment)
            answer, _ = health.communicate(timeout=30)
            check(health.returncode == 0, f'the health check says "{answer.strip()}"')
    finally:
        # buildah has no `stop`: the node gets what `docker stop` would send it.
        subprocess.run(['pkill', '-INT', '-f', r'^\S*python3 \S*/speech_recognizer '])
        log, _ = process.communicate(timeout=30)
    check('Traceback' not in log, 'no traceback in the log')
    check(process.returncode == 0, f'a clean exit ({process.returncode})')


def main() -> None:
    container, root = sys.argv[1], Path(sys.argv[2])
    if sys.argv[3:] == ['alone']:
        # A network of its own, with nothing but this machine in it: DDS stays here, and no hub
        # can be reached.
        for words in (
            ['link', 'set', 'lo', 'up'],
            ['link', 'set', 'lo', 'multicast', 'on'],
            ['route', 'add', '224.0.0.0/4', 'dev', 'lo'],
        ):
            subprocess.run(['ip', *words], check=True)
        hear(container, root, f'model.id:={cache_folder(root)}')
        hear(container, root, f'model.id:={NAME}', 'model.offline:=true')
        return
    cache = root / 'huggingface'
    shutil.rmtree(cache / 'hub', ignore_errors=True)
    fill_cache(cache, NAME)
    subprocess.run(['chmod', '-R', 'a+rX', str(cache)], check=True)
    user, _ = run(container, ['id'], {}).communicate()
    check('(speech)' in user and '(audio)' in user, 'not root, and in the audio group')
    hint, _ = run(container, [NODE, 'true'], {}).communicate()
    check('--device /dev/snd' in hint, 'a missing microphone is explained, with what to type')
    fetched, _ = run(container, [NODE, 'fetch_model', NAME, '--check'], {}).communicate()
    found = 'is complete' in fetched
    check(found, f'fetch_model --check finds the model in the volume{"" if found else fetched}')
    alone = ['unshare', '--net', sys.executable, *sys.argv, 'alone']
    raise SystemExit(subprocess.run(alone, check=False).returncode)


def cache_folder(root: Path) -> str:
    """Return the model's folder as the container sees it."""
    (snapshot,) = (root / 'huggingface').glob('hub/*/snapshots/*')
    return '/' + str(snapshot.relative_to(root))


if __name__ == '__main__':
    main()
