"""The checker finds each fault: a check that cannot fail proves nothing."""

from concurrent.futures import Future
import subprocess
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from reliability import checker as module
from reliability.checker import captures, Checker


def transcript(number: int, text: str = 'go', latency: float = 0.5) -> Any:
    return SimpleNamespace(id=number, text=text, latency=latency, accepted=bool(text))


def watched(
    log: str = '',
    states: tuple[tuple[str, str], ...] = (),
    transcripts: tuple[Any, ...] = (),
    texts: tuple[str, ...] = (),
    code: int | None = None,
    listeners: int = 0,
) -> Any:
    """Return a checker of a node that has written, published and done this."""
    client: Any = SimpleNamespace(
        states=[SimpleNamespace(label=label, detail=detail) for label, detail in states],
        state=states[-1][0] if states else '',
        transcripts=list(transcripts),
        texts=list(texts),
    )
    process: Any = SimpleNamespace(
        log=lambda begin: log.encode()[begin:].decode(),
        process=SimpleNamespace(pid=1, poll=lambda: code),
    )
    return Checker(client, process, lambda: listeners)


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(module, 'TEXT_DELAY', 0.1)
    monkeypatch.setattr(module, 'STATE_DELAY', 0.2)


def test_nothing_wrong():
    facts: dict[str, Any] = {
        'log': 'all is fine',
        'states': (('ready', ''), ('waiting', ''), ('lost', 'it is gone'), ('muted', 'muted')),
        'transcripts': (transcript(1), transcript(2, ''), transcript(3, 'stop')),
        'texts': ('go', 'stop'),
    }
    with watched(**facts) as checker:
        done: Future = Future()
        done.set_result(None)
        checker.expect('speech/record', done)
        checker.check()
        checker.check()  # all of it is read once


@pytest.mark.parametrize(
    ('facts', 'problem'),
    [
        ({'log': 'Traceback (most recent call last):'}, 'logged: Traceback'),
        ({'log': 'internal error: KeyError()'}, 'logged: internal error'),
        ({'log': 'READY must not become HEARING'}, 'logged: READY must'),
        ({'states': (('lost', ''), ('ready', ''))}, 'the state lost has no reason'),
        ({'transcripts': (transcript(1, ''), transcript(1, ''))}, 'id 1 was published 2 times'),
        ({'transcripts': (transcript(1),)}, r"speech/text had \[\], .* \['go'\]"),
        ({'transcripts': (transcript(1),), 'texts': ('go', 'go')}, r"\['go', 'go'\], .* \['go'\]"),
        ({'transcripts': (transcript(1, 'go', 3600.1),), 'texts': ('go',)}, 'the latency of "go"'),
        ({'transcripts': (transcript(1, 'go', -0.1),), 'texts': ('go',)}, 'the latency of "go"'),
        ({'code': -11}, 'the node ended with code -11'),
        ({'states': (('muted', 'muted'),), 'listeners': 1}, 'muted, but 1 streams recorded'),
    ],
)
def test_a_violation_is_found(facts, problem):
    with watched(**facts) as checker, pytest.raises(AssertionError, match=problem):
        checker.check()


def test_an_id_that_comes_again_after_a_check_is_found():
    with watched(transcripts=(transcript(1, ''),)) as checker:
        checker.check()
        checker._client.transcripts.append(transcript(1, ''))
        with pytest.raises(AssertionError, match='id 1 was published 2 times'):
            checker.check()


def test_a_call_without_a_reply_is_found():
    with watched() as checker:
        checker.expect('speech/record', Future(), 0.1)
        with pytest.raises(AssertionError, match='speech/record had no reply'):
            checker.check()


def test_a_capture_while_muted_is_found():
    script = (
        'import subprocess, sys; subprocess.run([sys.executable, "-c", "import time; '
        'time.sleep(30)", "distil_whisper_ros.audio.capture_process"])'
    )
    parent = subprocess.Popen([sys.executable, '-c', script])
    node: Any = SimpleNamespace(log=lambda begin: '', process=parent)
    try:
        with watched(states=(('muted', 'muted'),)) as checker:
            checker._process = node
            deadline = time.monotonic() + 20
            while not checker._privacy and time.monotonic() < deadline:
                time.sleep(0.05)
            with pytest.raises(AssertionError, match='the state was muted, but'):
                checker.check()
    finally:
        for pid in captures(node):
            subprocess.run(['kill', '-9', str(pid)])
        parent.kill()
        parent.wait()
