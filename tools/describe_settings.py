"""Write the settings out: `yaml` is config/speech.yaml, `markdown` the README's table."""

from pathlib import Path
import sys
import textwrap

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from distil_whisper_ros.core.parameter_spec import ParameterSpec, Value  # noqa: E402
from distil_whisper_ros.core.settings import parameter_specs  # noqa: E402

HEAD = """\
# The parameters of speech_recognizer, all with their defaults. speech.launch.py reads this file
# from the installed package. Change it and build again, or copy it, change the parameters that
# your robot needs, and start with
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


def limits(spec: ParameterSpec) -> str:
    """Return the range of a spec, or ''."""
    return f' From {spec.low:g} to {spec.high:g}.' if spec.low is not None else ''


def yaml() -> str:
    """Return config/speech.yaml."""
    text, group = HEAD, ''
    for spec in parameter_specs():
        parent, dot, key = spec.name.rpartition('.')
        if parent != group:
            group = parent
            text += f'    {parent}:\n' if dot else ''
        indent = ' ' * (6 if dot else 4)
        comment = spec.description + limits(spec)
        text += textwrap.indent(textwrap.fill(comment, 96 - len(indent)), indent + '# ') + '\n'
        text += f'{indent}{key}: {literal(spec.default)}\n'
    return text


def markdown() -> str:
    """Return the table of parameters."""
    rows = ['| parameter | default | meaning | may change |', '|---|---|---|---|']
    for spec in parameter_specs():
        meaning = spec.description + limits(spec)
        rows.append(
            f'| `{spec.name}` | `{literal(spec.default)}` | {meaning} | '
            f'{spec.takes_effect.value} |'
        )
    return '\n'.join(rows) + '\n'


if __name__ == '__main__':
    sys.stdout.write({'yaml': yaml, 'markdown': markdown}[sys.argv[1]]())
