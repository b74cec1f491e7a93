"""The state machine: a table of facts and states, and that each change is told once, in order."""

import itertools
import threading

import pytest

from distil_whisper_ros.core.types import State
from distil_whisper_ros.speech.state import (
    ALLOWED,
    Facts,
    Lifecycle,
    MUTED,
    Phase,
    state_of,
    StateMachine,
)

A, P = Lifecycle.ACTIVE, Phase


@pytest.mark.parametrize(
    ('facts', 'state', 'detail'),
    [
        (Facts(), State.UNCONFIGURED, ''),
        (Facts(Lifecycle.LOADING, 'loading PyTorch'), State.LOADING, 'loading PyTorch'),
        (Facts(Lifecycle.INACTIVE), State.INACTIVE, ''),
        (Facts(Lifecycle.ERROR, 'no such model'), State.ERROR, 'no such model'),
        (Facts(Lifecycle.INACTIVE, muted=True), State.INACTIVE, ''),
        (Facts(Lifecycle.INACTIVE, phase=P.HEARING), State.INACTIVE, ''),
        (Facts(A), State.READY, ''),
        (Facts(A, 'left from loading'), State.READY, ''),
        (Facts(A, phase=P.WAITING), State.WAITING, ''),
        (Facts(A, phase=P.HEARING), State.HEARING, ''),
        (Facts(A, phase=P.TRANSCRIBING), State.TRANSCRIBING, ''),
        (Facts(A, muted=True), State.MUTED, MUTED),
        (Facts(A, muted=True, phase=P.TRANSCRIBING, lost='gone'), State.MUTED, MUTED),
        (Facts(A, lost='gone'), State.LOST, 'gone'),
        (Facts(A, lost='gone', phase=P.WAITING), State.LOST, 'gone'),
        (Facts(A, lost='gone', phase=P.TRANSCRIBING), State.TRANSCRIBING, ''),
        (Facts(A, self_speech='say', phase=P.WAITING), State.SELF_SPEECH, 'say'),
        (Facts(A, self_speech='say', phase=P.IDLE), State.READY, ''),
        (Facts(A, self_speech='say', phase=P.TRANSCRIBING), State.TRANSCRIBING, ''),
        (Facts(A, self_speech='say', phase=P.WAITING, lost='gone'), State.LOST, 'gone'),
    ],
)
def test_the_state_follows_from_the_facts(facts, state, detail):
    assert state_of(facts) == (state, detail)


def test_every_state_but_unknown_can_be_reached_and_left():
    made = {
        state_of(Facts(lifecycle, '', phase, muted, lost, speech))[0]
        for lifecycle, phase, muted, lost, speech in itertools.product(
            Lifecycle, Phase, (False, True), ('', 'gone'), ('', 'say')
        )
    }
    assert made == set(State) - {State.UNKNOWN}
    assert set(ALLOWED) == made
    assert set().union(*ALLOWED.values()) == made


def test_a_change_is_told_once():
    told = []
    machine = StateMachine(lambda state, detail, facts: told.append(state))
    machine.update(lifecycle=Lifecycle.LOADING)
    machine.update(lifecycle=Lifecycle.LOADING)
    machine.update(phase=Phase.WAITING)  # which changes nothing while loading
    machine.update(lifecycle=Lifecycle.INACTIVE, phase=Phase.IDLE)
    machine.update(lifecycle=Lifecycle.ACTIVE)
    assert told == [State.LOADING, State.INACTIVE, State.READY]


def test_hands_free_is_told_though_the_state_stays():
    told = []
    machine = StateMachine(lambda state, detail, facts: told.append((state, facts.hands_free)))
    machine.update(lifecycle=Lifecycle.INACTIVE)
    machine.update(hands_free=True)
    assert told[-2:] == [(State.INACTIVE, False), (State.INACTIVE, True)]


def test_a_transition_that_no_table_allows_is_reported_and_the_state_is_told():
    told, failures = [], []
    machine = StateMachine(lambda state, detail, facts: told.append(state), failures.append)
    machine.update(lifecycle=Lifecycle.ACTIVE, phase=Phase.TRANSCRIBING)
    assert told == [State.TRANSCRIBING]
    assert 'UNCONFIGURED must not become TRANSCRIBING' in str(failures[0])


def test_whoever_is_told_may_fail():
    failures = []

    def fails(*_):
        raise RuntimeError('no')

    machine = StateMachine(fails, failures.append)
    machine.update(lifecycle=Lifecycle.LOADING)
    assert machine.state is State.LOADING
    assert [str(error) for error in failures] == ['no']
    StateMachine(fails, fails).update(lifecycle=Lifecycle.LOADING)


def test_changes_of_many_threads_are_told_in_order():
    told = []
    machine = StateMachine(lambda state, detail, facts: told.append((state, facts)))
    machine.update(lifecycle=Lifecycle.ACTIVE)

    def change(number):
        for index in range(500):
            machine.update(phase=list(Phase)[(number + index) % 4], muted=index % 3 == 0)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(state is state_of(facts)[0] for state, facts in told)
    assert told[-1][0] is machine.state
    assert all(a[0] is not b[0] or a[0] is State.LOST for a, b in itertools.pairwise(told))
