"""List every sentence that the package logs, raises or answers, as a pattern with … for values.

    python tools/list_messages.py            one line each: where, and the pattern

`tests/system/test_messages.py` compares it with the table in docs/messages.md.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import re

PACKAGE = Path(__file__).resolve().parent.parent / 'distil_whisper_ros'
LOGGERS = {
    *('debug', 'info', 'warn', 'warning', 'error', 'fatal', 'exception'),
    *(
        '_log',
        '_on_change',
        '_on_notice',
        'notice',
        'set_problem',
        'fail',
        'skip',
        'tell',
        'exit',
    ),  # of this package, and sys.exit
}
NO_ERRORS = {'EOFError', 'RuntimeError', 'AttributeError', 'TypeError', 'StopIteration'}
ANSWERS = {'message', 'reason', 'problem'}
"""Variables and fields that hold a sentence, however short."""
PARTS = {'finding', 'remedy', 'line'}
"""Variables that hold a part of the output of `doctor`, which brings its own remedies."""
LONG = 3
"""Spaces in a text from which it counts as a sentence, whatever its variable is called."""

Scope = ast.Module | ast.FunctionDef


class Reader:
    """Reads the sentences of one function, or of a module outside its functions."""

    def __init__(self, scope: Scope, constants: dict[str, str]) -> None:
        """`constants` are the texts of the package's constants, by name."""
        self._nodes = list(own_nodes(scope))
        counts = Counter(name for node in self._nodes for name in assigned(node))
        self._texts = dict(constants)
        self._choices: dict[str, list[str]] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign):
                once = {name for name in assigned(node) if counts[name] == 1}
                text, several = self.pattern(node.value), self.patterns(node.value)
                self._texts |= {name: text for name in once if text}
                self._choices |= {name: several for name in once if not text}
        self._inserted = {
            name.id
            for node in self._nodes
            if isinstance(node, (ast.FormattedValue, ast.BinOp))
            for name in ast.walk(node)
            if isinstance(name, ast.Name)
        }

    def pattern(self, node: ast.expr) -> str:
        """Return a text's pattern; '' if the node is no text."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.JoinedStr):
            return ''.join(self._part(part) for part in node.values)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return (self.pattern(node.left) or '…') + (self.pattern(node.right) or '…')
        return ''

    def _part(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
            return self._texts.get(node.value.id, '…')
        return '…'

    def patterns(self, node: ast.expr) -> list[str]:
        """Return the patterns of a text that may be one of several."""
        if isinstance(node, ast.IfExp):
            return self.patterns(node.body) + self.patterns(node.orelse)
        if isinstance(node, (ast.BoolOp, ast.Dict)):
            return [text for value in node.values for text in self.patterns(value)]
        if isinstance(node, ast.Call) and called(node) == 'printable' and node.args:
            return self.patterns(node.args[0])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            table = node.func.value  # {...}.get(...)
            return self.patterns(table) if isinstance(table, ast.Dict) else []
        if isinstance(node, ast.Name):
            return self._choices.get(node.id, [self._texts.get(node.id, '')])
        return [self.pattern(node)]

    def messages(self) -> Iterator[str]:
        """Yield the texts that are logged, raised or sent as answers."""
        for node in self._nodes:
            yield from self._messages(node)

    def _messages(self, node: ast.AST) -> list[str]:
        if isinstance(node, ast.Call):
            name = called(node)
            error = name.endswith(('Error', 'Exit')) and name not in NO_ERRORS
            printed = name == 'print' and any(each.arg == 'file' for each in node.keywords)
            if node.args and (error or printed or name in LOGGERS):
                return self.patterns(node.args[0])
            # Transcript(..., reason='...')
            return [
                t
                for each in node.keywords
                if each.arg == 'reason'
                for t in self.patterns(each.value)
            ]
        if isinstance(node, ast.Assign) and not assigned(node) & (self._inserted | PARTS):
            texts = self.patterns(node.value)
            return texts if assigned(node) & ANSWERS else sentences(texts)
        if isinstance(node, ast.Return) and node.value is not None:
            return sentences(self.patterns(node.value))  # a reason, not a value
        return []


def sentences(texts: list[str]) -> list[str]:
    """Return the texts with several words on one line."""
    return [text for text in texts if text.count(' ') >= LONG and '\n' not in text]


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function or module, without those of the functions in it."""
    for node in ast.iter_child_nodes(scope):
        if not isinstance(node, ast.FunctionDef):
            yield node
            yield from own_nodes(node)


def assigned(node: ast.AST) -> set[str]:
    """Return the names that an assignment sets."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    return {getattr(target, 'attr', getattr(target, 'id', '')) for target in targets}


def called(node: ast.Call) -> str:
    """Return the last name of a call: `error` of `node.get_logger().error(...)`."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ''


def constants(trees: list[ast.Module]) -> dict[str, str]:
    """Return the texts of the package's constants, by name."""
    return {
        name: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for name in assigned(node)
        if isinstance(node.value.value, str) and ' ' in node.value.value
    }


def messages() -> dict[str, set[str]]:
    """Return the patterns, each with the modules that have it."""
    found: dict[str, set[str]] = {}
    paths = sorted(PACKAGE.rglob('*.py'))
    trees = [ast.parse(path.read_text()) for path in paths]
    known = constants(trees)
    for path, tree in zip(paths, trees):
        module = str(path.relative_to(PACKAGE).with_suffix(''))
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        for scope in functions:
            for text in Reader(scope, known).messages():
                text = re.sub(r'\s+', ' ', re.sub('…+', '…', text)).strip()
                if len(re.sub(r'[…\W]', '', text)) >= 6:
                    found.setdefault(text, set()).add(module)
    return found


if __name__ == '__main__':
    for text, modules in sorted(messages().items(), key=lambda pair: (sorted(pair[1]), pair[0])):
        print(f'{", ".join(sorted(modules)):40} {text}')
