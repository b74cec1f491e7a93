"""Which sentences are no commands, although they have a command's words. English.

"Don't turn left", "Should I turn left?" and "He said turn left" are not to be obeyed. All words
are plain ones: see `command_matcher.plain`.
"""

import re

# A sentence with one of these words is no command, unless the command itself has the word.
NEGATIONS = frozenset(
    'not never none nope nobody nothing neither nor without unless instead hardly rarely seldom '
    "ain't aint wrong cancel avoid refuse forbid forbidden".split()
)
REPORTS = frozenset(
    'said says say saying told tells tell asked asks ask asking shouted shouts wrote writes '
    'thought thinks think guess believe heard hear if when whether because why what who whose '
    'whom which how where was were did had has have would might maybe perhaps'.split()
)
# Of these one alone is an answer; another word alone was heard wrong: "When?" is "one", and
# "wrong" is "front".
REFUSALS = frozenset('no nope not never none cancel'.split())
QUESTIONS = frozenset(
    'should shall do does did is are am was were have has had may might must would could can '
    'will'.split()
)
PEOPLE = frozenset('i we he she it they'.split())
# "can you" asks for it, and "can I" does not.
REQUEST = (
    r'can you|could you|will you|would you|i want you to|i need you to|'
    r"i would like you to|i'd like you to"
)
POLITE_BEFORE = re.compile(
    r'^(?:(?:please|now|okay|ok|hey|hi|hello|yes|no|robot|well|so|and|then|just|um|uh|er|'
    rf"let's|you can|kindly|{REQUEST}) )+"
)
POLITE_BEHIND = re.compile(
    r'(?: (?:please|now|okay|ok|robot|thanks|thank you|immediately|for me|again|will you|'
    r'would you|could you))+$'
)
REQUESTED = re.compile(rf'\b(?:{REQUEST})\b')
CLAUSE_END = re.compile(r'[.,!?;:]+')
NO_FIRST = re.compile(r'no\s*[,.!;:]', re.IGNORECASE)  # "No, stop!" wants it; "no left" does not


def core(said: str) -> str:
    """Return a sentence without the polite words around a command; "yes, please" is "yes"."""
    for polite in (POLITE_BEHIND, POLITE_BEFORE):
        said = polite.sub('', said).strip() or said
    return said


def forbids(text: str, said: str, command: str, clauses: list[str]) -> bool:
    """Return whether a sentence negates, asks or reports a command.

    `said` are the plain words of `text`, `clauses` those of its parts between punctuation.
    """
    own = frozenset(command.split())
    if len(own) == len(said.split()) == 1:
        return said in REFUSALS - own
    extra = [word for word in said.split() if word not in own]
    if any(word in NEGATIONS for word in extra):
        return True
    if 'no' in extra and not (extra.count('no') == 1 and NO_FIRST.match(text.strip())):
        return True
    holding = [clause for clause in clauses if f' {command} ' in f' {clause} '] or [said]
    return any(_asks_or_reports(clause, own) for clause in holding) or (
        text.rstrip().endswith('?') and said != command and not REQUESTED.search(said)
    )


def _asks_or_reports(clause: str, own: frozenset[str]) -> bool:
    rest = core(REQUESTED.sub(' ', clause).strip()).split()
    extra = [word for word in rest if word not in own]
    reported = any(word in REPORTS or word in PEOPLE for word in extra)
    return reported or bool(rest and rest[0] in QUESTIONS and rest[0] not in own)
