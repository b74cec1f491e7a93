"""Download a model into the cache ahead of time, so that the robot needs no internet later.

Smart Turn, for turn detection (9 MB), comes with it.
"""

import argparse
from os.path import expanduser, isdir

from ..core.errors import SpeechError
from ..core.settings import ModelSettings, UtteranceSettings
from ..whisper.checkpoint import find_model, find_turn_model
from .arguments import Parser
from .output import printable, standard_output, tell, use_utf8
from .progress import ProgressBar

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros fetch_model
  ros2 run distil_whisper_ros fetch_model distil-whisper/distil-small.en
  ros2 run distil_whisper_ros fetch_model openai/whisper-base --revision main
  ros2 run distil_whisper_ros fetch_model /models/mine --check

The cache is in HF_HOME, or ~/.cache/huggingface. A gated model needs HF_TOKEN. Afterwards start
the node with model.offline true, and with the same model.revision if you gave one.

exit code: 0 if the model is complete, 1 if it is not, 130 after Ctrl-C.
"""


def main(arguments: list[str] | None = None) -> None:
    """Download a model and check its files; exit with 1 and one line if that fails."""
    use_utf8()
    parser = Parser(
        prog='fetch_model',
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'model',
        nargs='?',
        default=ModelSettings().id,
        help='a name on the hub, or a folder to check (default: %(default)s)',
    )
    parser.add_argument(
        '--revision', default='', help='a commit, tag or branch on the hub (default: the newest)'
    )
    parser.add_argument(
        '--turn-model',
        default=UtteranceSettings().turn_model,
        help='Smart Turn: a name on the hub, or a file to check; empty fetches none '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--check', action='store_true', help='check the files on this machine; download nothing'
    )
    given = parser.parse_args(arguments)
    try:
        with ProgressBar(lines=True) as progress:
            folder = find_model(
                given.model, given.revision, given.check, progress, newest=not given.check
            )
    except SpeechError as error:
        tell(f'fetch_model: {printable(str(error))}')
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        tell('fetch_model: interrupted; the next run continues from here')
        raise SystemExit(130) from None
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    with standard_output('fetch_model'):
        print(f'{printable(given.model)} is complete ({size / 1e6:.0f} MB): {printable(folder)}')
    if given.turn_model:
        # Who has the model in a folder may not want the hub to be asked.
        _fetch_turn_model(given.turn_model, given.check or isdir(expanduser(given.model)))


def _fetch_turn_model(name: str, check: bool) -> None:
    """Download Smart Turn; the node works without it, so one line tells if that fails."""
    try:
        with ProgressBar(lines=True) as progress:
            path = find_turn_model(name, check, progress)
    except SpeechError as error:
        tell(
            f'fetch_model: no turn detection, utterances end after utterance.end_silence: '
            f'{printable(str(error))}'
        )
        return
    except KeyboardInterrupt:
        tell('fetch_model: interrupted; the next run continues from here')
        raise SystemExit(130) from None
    with standard_output('fetch_model'):
        size = path.stat().st_size / 1e6
        print(f'{printable(name)} is complete ({size:.0f} MB): {printable(path)}')


if __name__ == '__main__':
    main()
