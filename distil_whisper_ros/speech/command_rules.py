"""Which sentences are no commands, although they have a command's words. English.

"Don't turn left", "Should I turn left?" and "He said turn left" are not to be obeyed. Other
languages have no such rules: there a text counts that is a command and nothing else.
"""

import re

# A sentence with one of these words is no command, unless the command itself has the word.
NEGATIONS = frozenset(
    "don't dont doesn't didn't can't cannot couldn't won't wouldn't shouldn't mustn't isn't "
    "aren't wasn't weren't haven't hasn't never not nobody nothing neither nor without "
    'unless instead cancel avoid refuse forbid'.split()
)
REPORTS = frozenset(
    'said says say saying told tells tell asked asks ask asking shouted shouts wrote writes '
    'thought thinks think guess believe heard hear if when whether because why what who whose '
    'whom which how where was were did had has have would might maybe perhaps'.split()
)
QUESTIONS = frozenset(
    'should shall do does did is are am was were have has had may might must would'.split()
)
PEOPLE = frozenset('i we he she it they'.split())
# What people put around a command. "can you" asks for it, and "can I" does not.
POLITE = re.compile(
    r'^(?:(?:please|now|okay|ok|hey|hi|hello|robot|well|so|and|then|just|um|uh|er|'
    r'can you|could you|will you|would you|i want you to|i need you to|you can|kindly) )+'
    r'|(?: (?:please|now|okay|ok|robot|thanks|thank you|immediately|for me|again))+$'
)
REQUESTS = ('can you', 'could you', 'will you', 'would you', 'i want you to', 'i need you to')


def core(said: str) -> str:
    """Return a sentence in plain words without the polite words around a command."""
    while True:
        shorter = POLITE.sub('', said).strip()
        if shorter == said or not shorter:
            return said
        said = shorter


def forbids(said: str, command: str) -> bool:
    """Return whether a sentence negates, asks or reports a command; both in plain words."""
    spoken = said.replace('’', "'").split()
    own = frozenset(command.replace('’', "'").split())
    rest = _without_request(spoken)
    extra = [word for word in rest if word not in own]
    if any(word in NEGATIONS for word in extra):
        return True
    if len(rest) <= len(command.split()):  # a word that was heard wrong: "When?" is "one"
        return False
    reported = any(word in REPORTS or word in PEOPLE for word in extra)
    return reported or (rest[0] in QUESTIONS and rest[0] not in own)


def _without_request(spoken: list[str]) -> list[str]:
    """Return the words without a request's beginning: "can you"."""
    said = ' '.join(spoken)
    for request in REQUESTS:
        at = said.find(request)
        if at >= 0:
            said = f'{said[:at]} {said[at + len(request) :]}'
    return said.split()
