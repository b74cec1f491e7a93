"""Which sentences are no commands, although they have a command's words. English.

"Don't turn left", "Should I turn left?" and "He said turn left" are not to be obeyed. All words
are plain ones: see `command_matcher.plain`.
"""

from collections.abc import Iterable
import re

# A sentence with one of these words is no command, unless the command itself has the word.
NEGATIONS = frozenset(
    'not never none nope nobody nothing neither nor without unless instead hardly rarely seldom '
    "ain't aint wrong cancel avoid refuse forbid forbidden".split()
)
REPORTS = frozenset(
    'said says say saying told tells tell asked asks ask asking shouted shouts wrote writes '
    'thought thinks think guess believe heard hear if when whether because why what who whose '
    'whom which how where was were did had has have would might maybe perhaps or always usually '
    'often sometimes will let later tomorrow before after until imagine suppose according repeat '
    'wants wanted'.split()
)
# What is said behind one of these in the same sentence is a report, or has a condition.
TELLING = frozenset(
    'said says say saying told tells tell asked asks ask asking shouted shouts wrote writes '
    'thought thinks think if when whenever unless according repeat imagine suppose'.split()
)
ANSWERS = frozenset(('yes', 'no'))
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
    rf"oh(?! no$)|let's|you can|kindly|{REQUEST}) )+"
)
POLITE_BEHIND = re.compile(
    r'(?: (?:please|now|okay|ok|robot|thanks|thank you|immediately|for me|again|will you|'
    r'would you|could you))+$'
)
REQUESTED = re.compile(rf'\b(?:{REQUEST})\b')
SENTENCE_END = re.compile(r'[.!?]+')
CLAUSE_END = re.compile(r'[.,!?;:]+')
# "No, stop!" and "no no no stop" want it; "no left" and "no, no left" do not.
NO = re.compile(r'no\b', re.IGNORECASE)
NO_FIRST = re.compile(r'(?:no\s*[,.!;:]+\s*|no\s+(?=no\b))+(?:(?<=no )no\s+)?', re.IGNORECASE)


# What somebody says before the right word: "turn left, I mean right".
CORRECTION = re.compile(
    r'^(?:(?:i mean|i meant|no|not|sorry|wait|actually|rather|or|oops|better|now|okay|well|um|uh|'
    r'er) )*'
)


def is_corrected(behind: str, command: str, others: Iterable[str]) -> bool:
    """Return whether what is said behind a command is the end of another one: "or right"."""
    rest = POLITE_BEHIND.sub('', f' {CORRECTION.sub("", f"{behind} ").strip()}')
    ends = rest.strip() and any(f' {other}'.endswith(rest) for other in others)
    return bool(ends) and not f' {command}'.endswith(rest)


def core(said: str) -> str:
    """Return a sentence without the polite words around a command; "yes, please" is "yes"."""
    for polite in (POLITE_BEHIND, POLITE_BEFORE):
        said = polite.sub('', said).strip() or said
    return said


def once(clauses: list[str]) -> tuple[str, int] | None:
    """Return "stop" and 2 for "please stop", "robot" and "stop"; None if it is not one thing."""
    # "No stop" is not "stop" with a polite word before it.
    found = [each if _has_no(each) else core(each) for each in clauses if not _only_polite(each)]
    return (found[0], len(found)) if len(found) > 1 and len({*found}) == 1 else None


def _only_polite(clause: str) -> bool:
    return POLITE_BEFORE.sub('', f'{clause} ') == '' or POLITE_BEHIND.sub('', f' {clause}') == ''


def _has_no(clause: str) -> bool:
    spoken = clause.split()
    return 'no' in spoken and len(spoken) > 1


def forbids(text: str, said: str, command: str, clauses: list[str], sentences: list[str]) -> bool:
    """Return whether a sentence negates, asks or reports a command.

    `said` are the plain words of `text`, `clauses` and `sentences` those of its parts.
    """
    own = frozenset(command.split())
    if len(own) == len(said.split()) == 1:
        return said in REFUSALS - own
    extra = [word for word in said.split() if word not in own]
    if any(word in NEGATIONS for word in extra):
        return True
    refused = NO_FIRST.match(text.strip())
    if 'no' in extra and extra.count('no') != len(NO.findall(refused[0] if refused else '')):
        return True
    if command in ANSWERS and (ANSWERS.intersection(extra) or _more_than_answer(command, clauses)):
        return True
    if any(_told_before(command, own, sentence) for sentence in sentences):
        return True
    holding = [clause for clause in clauses if f' {command} ' in f' {clause} '] or [said]
    return any(_asks_or_reports(clause, own) for clause in holding) or (
        text.rstrip().endswith('?') and said != command and not REQUESTED.search(said)
    )


def _told_before(command: str, own: frozenset[str], sentence: str) -> bool:
    before, found, _ = f' {sentence} '.partition(f' {command} ')
    return bool(found) and bool(TELLING.intersection(before.split()) - own)


def _more_than_answer(answer: str, clauses: list[str]) -> bool:
    """Return whether an answer is said with other words, as "no problem"."""
    return any(
        answer in spoken and {*spoken} != {answer} and core(' '.join(spoken)) != answer
        for spoken in map(str.split, clauses)
    )


def _asks_or_reports(clause: str, own: frozenset[str]) -> bool:
    rest = core(REQUESTED.sub(' ', clause).strip()).split()
    extra = [word for word in rest if word not in own]
    reported = any(word in REPORTS or word in PEOPLE for word in extra)
    return reported or bool(rest and rest[0] in QUESTIONS and rest[0] not in own)
