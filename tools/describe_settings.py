"""Write the settings out: `yaml` is config/speech.yaml, `markdown` the README's table."""

from pathlib import Path
import sys
import textwrap

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from distil_whisper_ros.knobs import Knob, Value  # noqa: E402
from distil_whisper_ros.settings import knobs  # noqa: E402

HEAD = """\
# The parameters of speech_recognizer, all with their defaults. Copy this file, change what your
# robot needs, and start with
#   ros2 launch distil_whisper_ros speech.launch.py parameters_file:=/path/to/your.yaml
/**:
  ros__parameters:
"""


def literal(value: Value) -> str:
    """Return a value as YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    if value == []:
        return "['']"  # an empty list has no type in ROS's YAML; empty texts are ignored
    return f"'{value}'" if isinstance(value, str) else str(value)


def limits(knob: Knob) -> str:
    """Return the range of a knob, or ''."""
    return f' From {knob.low:g} to {knob.high:g}.' if knob.low is not None else ''


def yaml() -> str:
    """Return config/speech.yaml."""
    text, group = HEAD, ''
    for knob in knobs():
        parent, dot, key = knob.name.rpartition('.')
        if parent != group:
            group = parent
            text += f'    {parent}:\n' if dot else ''
        indent = ' ' * (6 if dot else 4)
        comment = knob.description + limits(knob)
        text += textwrap.indent(textwrap.fill(comment, 96 - len(indent)), indent + '# ') + '\n'
        text += f'{indent}{key}: {literal(knob.default)}\n'
    return text


def markdown() -> str:
    """Return the table of parameters."""
    rows = ['| parameter | default | meaning | may change |', '|---|---|---|---|']
    for knob in knobs():
        meaning = knob.description + limits(knob)
        rows.append(
            f'| `{knob.name}` | `{literal(knob.default)}` | {meaning} | '
            f'{knob.takes_effect.value} |'
        )
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    sys.stdout.write({'yaml': yaml, 'markdown': markdown}[sys.argv[1]]())
