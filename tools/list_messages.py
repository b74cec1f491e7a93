"""List every sentence that the package logs, raises or answers, as a pattern with … for values.

    python tools/list_messages.py            one line each: where, and the pattern

`tests/system/test_messages.py` compares it with the table in docs/messages.md.
"""

import ast
from pathlib import Path
import re

PACKAGE = Path(__file__).resolve().parent.parent / 'distil_whisper_ros'
LOGGERS = {'debug', 'info', 'warn', 'warning', 'error', 'fatal'}
NO_ERRORS = {'EOFError', 'RuntimeError', 'AttributeError', 'TypeError', 'StopIteration'}


def pattern(node: ast.expr) -> str:
    """Return a text's pattern; '' if the node is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return ''.join(
            str(part.value) if isinstance(part, ast.Constant) else '…' for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return (pattern(node.left) or '…') + (pattern(node.right) or '…')
    if isinstance(node, ast.IfExp):
        return '…'
    return ''


def called(node: ast.Call) -> str:
    """Return the last name of a call: `error` of `node.get_logger().error(...)`."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ''


def messages() -> dict[str, set[str]]:
    """Return the patterns, each with the modules that have it."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.rglob('*.py')):
        module = str(path.relative_to(PACKAGE).with_suffix(''))
        for node in ast.walk(ast.parse(path.read_text())):
            for text in texts(node):
                text = re.sub(r'\s+', ' ', re.sub('…+', '…', text)).strip()
                if len(re.sub(r'[…\W]', '', text)) >= 8:
                    found.setdefault(text, set()).add(module)
    return found


def texts(node: ast.AST) -> list[str]:
    """Return the patterns of the texts that a node logs, raises, or answers with."""
    if isinstance(node, ast.Call):
        name = called(node)
        error = name.endswith(('Error', 'Exit')) and name not in NO_ERRORS
        if node.args and (error or name in LOGGERS):
            return [pattern(node.args[0])]
        # Transcript(..., reason='...')
        return [pattern(each.value) for each in node.keywords if each.arg == 'reason']
    if isinstance(node, ast.Assign) and any(
        getattr(target, 'attr', getattr(target, 'id', '')) in ('message', 'reason', 'problem')
        for target in node.targets
    ):
        return [pattern(node.value)]
    if isinstance(node, ast.Return) and node.value is not None:
        text = pattern(node.value)  # a reason, not a value
        return [text] if text.count(' ') >= 4 else []
    return []


if __name__ == '__main__':
    for text, modules in sorted(messages().items(), key=lambda pair: (sorted(pair[1]), pair[0])):
        print(f'{", ".join(sorted(modules)):40} {text}')
