"""Sphinx's settings for the API pages: `make api`."""

# pyright: reportAttributeAccessIssue=false
import re
import textwrap

project = 'distil_whisper_ros'
extensions = ['sphinx.ext.autodoc']
html_theme = 'alabaster'
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
autodoc_default_options = {'members': True, 'undoc-members': True, 'show-inheritance': True}
exclude_patterns = []


def written(_app, _what, _name, _object, _options, lines):
    """Show docstrings as they are written: plain sentences, with drawings and tables of text."""
    body = textwrap.dedent('\n'.join(lines)).strip('\n')
    shown = []
    for paragraph in re.split(r'\n\s*\n', body):
        if re.search(r'^\s|^[|+-]|^\w+: ', paragraph, re.MULTILINE) or '  ' in paragraph:
            shown += ['.. code-block:: text', '', textwrap.indent(paragraph, '   '), '']
        else:
            shown += [plain(paragraph), '']
    lines[:] = '\n'.join(shown).splitlines()


def plain(paragraph):
    """Return a paragraph for reStructuredText: `code` in its own font, all else without markup."""
    parts = paragraph.split('`')
    if len(parts) % 2 == 0:
        return re.sub(r'([\\*`|_])', r'\\\1', paragraph)
    return ''.join(
        f'``{part}``' if index % 2 else re.sub(r'([\\*|_])', r'\\\1', part)
        for index, part in enumerate(parts)
    )


def setup(app):
    """Connect the functions above."""
    app.connect('autodoc-process-docstring', written)
