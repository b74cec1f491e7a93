"""The conditions that a running node must keep, whatever happens to it: for every test.

A `Checker` watches a node from outside, as a user can: its replies, its topics, its processes and
its log.

- the process lives
- every call has a reply within its limit
- no id is published twice on speech/transcript, and each accepted text once on speech/text
- no latency is negative or minutes long: durations do not follow the wall clock
- while the state is `muted`, no process captures the microphone, and no stream records from it
- a state without hearing says why
- the log has no traceback, no state that must not follow, and no internal error
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
import threading
import time
from typing import Any

from robot import Client, RecognizerProcess

CAPTURE = b'distil_whisper_ros.audio.capture_process'
NEVER_LOGGED = ('Traceback', 'internal error', 'must not become', 'is left behind')
WITH_REASON = ('error', 'lost', 'muted', 'self_speech')
LIMIT = 30.0  # s for a reply, unless a call names another limit
LOOK_PERIOD = 0.1  # s between looks at the processes
STATE_DELAY = 1.0  # s that a new state may take to arrive
TEXT_DELAY = 10.0  # s that speech/text and speech/transcript may arrive apart
LONGEST_LATENCY = 300.0  # s


def captures(process: RecognizerProcess) -> list[int]:
    """Return the processes that capture the microphone for a node and are alive."""
    return [pid for pid in children(process.process.pid) if captures_sound(pid)]


def children(parent: int) -> list[int]:
    """Return the children of a process that are alive."""
    found = []
    for folder in Path('/proc').glob('[0-9]*'):
        with suppress(OSError):
            state, of, *_ = (folder / 'stat').read_text().rpartition(')')[2].split()
            if int(of) == parent and state != 'Z':
                found.append(int(folder.name))
    return found


def captures_sound(pid: int) -> bool:
    """Return whether a process is a capture process."""
    with suppress(OSError):
        return CAPTURE in Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
    return False


class Checker:
    """Watches a node; `check` raises an AssertionError with all that was wrong since the last."""

    def __init__(
        self,
        client: Client,
        process: RecognizerProcess,
        listeners: Callable[[], int] | None = None,
    ) -> None:
        """Start to watch; `listeners` returns how many streams record from the microphone."""
        self._client, self._process, self._listeners = client, process, listeners
        self._calls: list[tuple[str, Any, float]] = []
        self._privacy: list[str] = []
        self._log_read = 0
        self._states_read = 0
        self._transcripts_read = self._texts_read = 0
        self._ids: Counter[int] = Counter()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch_processes, daemon=True)
        self._thread.start()

    def __enter__(self) -> 'Checker':
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join()

    def expect(self, name: str, future: Any, limit: float = LIMIT) -> Any:
        """Remember a call, which must have a reply in `limit` seconds; return its future."""
        self._calls.append((name, future, time.monotonic() + limit))
        return future

    def forget(self, name: str) -> None:
        """Expect no reply of the calls of that name so far."""
        self._calls = [call for call in self._calls if call[0] != name]

    def _watch_processes(self) -> None:
        """Look for captures while the newest state is `muted` and stays so."""
        suspected: list[tuple[float, int, list[int]]] = []
        while not self._ended.wait(LOOK_PERIOD):
            count = len(self._client.states)
            found = captures(self._process) if self._client.state == 'muted' else []
            if found:
                suspected.append((time.monotonic(), count, found))
            # The state may have changed already, with its message still on the way.
            while suspected and time.monotonic() - suspected[0][0] > STATE_DELAY:
                _, before, pids = suspected.pop(0)
                if len(self._client.states) == before:
                    self._privacy.append(f'the state was muted, but {pids} captured')

    def check(self) -> None:
        """Wait for the replies that are missing; raise if anything did not hold."""
        problems = [*self._end(), *self._missing_replies(), *self._unexplained_states()]
        problems += [*self._wrong_ids(), *self._wrong_texts(), *self._wrong_lines()]
        problems += [*self._streams_while_muted()]
        privacy, self._privacy = self._privacy, []
        problems += privacy[:3]
        assert not problems, '\n'.join(problems)

    def _end(self) -> list[str]:
        code = self._process.process.poll()
        return [] if code in (None, 0) else [f'the node ended with code {code}']

    def _missing_replies(self) -> list[str]:
        calls, self._calls = self._calls, []
        missing = []
        for name, future, deadline in calls:
            while not future.done() and time.monotonic() < deadline:
                time.sleep(0.01)
            if not future.done():
                missing.append(f'{name} had no reply')
        return missing

    def _unexplained_states(self) -> list[str]:
        states = self._client.states[self._states_read :]
        self._states_read += len(states)
        return [
            f'the state {state.label} has no reason'
            for state in states
            if state.label in WITH_REASON and not state.detail
        ]

    def _wrong_ids(self) -> list[str]:
        new = [transcript.id for transcript in self._client.transcripts[self._transcripts_read :]]
        self._ids.update(new)
        return [
            f'id {each} was published {self._ids[each]} times'
            for each in set(new)
            if self._ids[each] > 1
        ]

    def _wrong_texts(self) -> list[str]:
        """Compare speech/text with the accepted transcripts since the last check."""
        deadline = time.monotonic() + TEXT_DELAY
        while True:
            transcripts = self._client.transcripts[self._transcripts_read :]
            texts = self._client.texts[self._texts_read :]
            accepted = [each.text for each in transcripts if each.accepted]
            if accepted == texts or time.monotonic() > deadline:
                break
            time.sleep(0.05)
        self._transcripts_read += len(transcripts)
        self._texts_read += len(texts)
        problems = [
            f'the latency of "{each.text}" is {each.latency} s'
            for each in transcripts
            if each.accepted and not 0 <= each.latency <= LONGEST_LATENCY
        ]
        if accepted != texts:
            problems.append(f'speech/text had {texts}, speech/transcript {accepted}')
        return problems

    def _wrong_lines(self) -> list[str]:
        new = self._process.log(self._log_read)
        self._log_read += len(new.encode())
        place = min((new.find(each) for each in NEVER_LOGGED if each in new), default=-1)
        return [] if place < 0 else [f'logged: {new[max(0, place - 200) : place + 2000]}']

    def _streams_while_muted(self) -> list[str]:
        count = len(self._client.states)
        if self._listeners is None or self._client.state != 'muted':
            return []
        time.sleep(STATE_DELAY)  # a stream of a process that was killed ends after it
        found = self._listeners()
        still = len(self._client.states) == count
        return [f'the state was muted, but {found} streams recorded'] if found and still else []
