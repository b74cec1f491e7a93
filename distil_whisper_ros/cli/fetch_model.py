"""Put a model into the cache ahead of time, so that the robot needs no internet later."""

import argparse
import sys

from ..core.errors import SpeechError
from ..core.settings import ModelSettings
from ..whisper.checkpoint import find_model

EXAMPLES = """\
examples:
  ros2 run distil_whisper_ros fetch_model
  ros2 run distil_whisper_ros fetch_model distil-whisper/distil-small.en
  ros2 run distil_whisper_ros fetch_model openai/whisper-base --revision main
  ros2 run distil_whisper_ros fetch_model /models/mine --check

The cache is in HF_HOME, or ~/.cache/huggingface. A gated model needs HF_TOKEN. Afterwards start
the node with model.offline true, and with the same model.revision if one was given.
"""
WIDTH = 30


class Bar:
    """A progress bar on a terminal; lines where there is none."""

    def __init__(self) -> None:
        """Start with nothing shown."""
        self._shown = ''

    def __call__(self, what: str, share: float) -> None:
        """Show what is done, and how much of it, from 0 to 1."""
        if not sys.stderr.isatty():
            line = f'{what.split(":")[0]} {10 * int(10 * share)}%'
            if line != self._shown:
                print(line, file=sys.stderr, flush=True)
                self._shown = line
            return
        filled = round(WIDTH * share)
        bar = '#' * filled + '.' * (WIDTH - filled)
        print(f'\r[{bar}] {100 * share:3.0f}% {what}\033[K', end='', file=sys.stderr, flush=True)
        self._shown = what

    def end(self) -> None:
        """Leave the bar's line."""
        if self._shown and sys.stderr.isatty():
            print(file=sys.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Fetch a model and check its files; exit with 1 and one line if that fails."""
    parser = argparse.ArgumentParser(
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
    parser.add_argument('--revision', default='', help='a commit, tag or branch: pins the model')
    parser.add_argument(
        '--check', action='store_true', help='only check what is here; fetch nothing'
    )
    given = parser.parse_args(arguments)
    bar = Bar()
    try:
        folder = find_model(given.model, given.revision, given.check, bar)
    except SpeechError as error:
        bar.end()
        print(f'fetch_model: {error}', file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        bar.end()
        print('fetch_model: interrupted; the next call goes on from here', file=sys.stderr)
        raise SystemExit(130) from None
    bar.end()
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    print(f'{given.model} is complete ({size / 1e6:.0f} MB): {folder}')


if __name__ == '__main__':
    main()
