"""The scheduler: order, yielding, and that every job ends once."""

import threading
import time

import pytest
from robot import wait_for

from distil_whisper_ros.core.scheduler import JobAborted, JobContext, Priority, Scheduler


def test_the_most_urgent_is_done_first():
    scheduler, order, gate = Scheduler(), [], threading.Event()
    scheduler.submit(Priority.FINAL, lambda context: gate.wait(5))
    jobs = [
        scheduler.submit(rank, lambda context, rank=rank: order.append(rank))
        for rank in (Priority.BATCH, Priority.PARTIAL, Priority.FINAL, Priority.SPECULATIVE)
    ]
    gate.set()
    for job in jobs:
        job.future.result(5)
    assert order == sorted(order)
    scheduler.close()


def test_a_long_job_gives_way():
    scheduler, order = Scheduler(), []
    started, submitted = threading.Event(), threading.Event()

    def long(context):
        order.append('first part')
        started.set()
        submitted.wait(5)
        context.yield_control()
        order.append('second part')

    job = scheduler.submit(Priority.BATCH, long)
    started.wait(5)
    scheduler.submit(Priority.BATCH, lambda context: order.append('later'))
    scheduler.submit(Priority.FINAL, lambda context: order.append('urgent'))
    submitted.set()
    job.future.result(5)
    deadline = time.monotonic() + 5
    while len(order) < 4 and time.monotonic() < deadline:
        time.sleep(0.002)
    assert order == ['first part', 'urgent', 'second part', 'later']
    scheduler.close()


def test_a_failed_job_fails_alone():
    scheduler = Scheduler()

    def fails(context):
        raise ValueError('no')

    with pytest.raises(ValueError, match='no'):
        scheduler.submit(Priority.FINAL, fails).future.result(5)
    assert scheduler.submit(Priority.FINAL, lambda context: 1).future.result(5) == 1
    scheduler.close()


def test_a_job_that_is_aborted_ends_once_whenever_that_is():
    """The result and the abort may come at the same moment; the thread goes on either way."""
    scheduler = Scheduler()
    ends = []
    for _ in range(2000):
        job = scheduler.submit(Priority.FINAL, lambda context: 'result')
        job.when_done(lambda done: ends.append(done))
        job.abort()
        job.future.exception(5)
    assert len(ends) == 2000
    assert scheduler.submit(Priority.FINAL, lambda context: 1).future.result(5) == 1
    scheduler.close()


def test_a_job_after_the_end_is_aborted():
    scheduler = Scheduler()
    scheduler.close()
    job = scheduler.submit(Priority.FINAL, lambda context: 1)
    with pytest.raises(JobAborted):
        job.future.result(5)


def test_the_end_aborts_the_jobs_that_have_yielded_too():
    scheduler = Scheduler()
    inside, started, ended = threading.Event(), threading.Event(), []

    def urgent(context):
        inside.set()
        while True:
            context.check()
            time.sleep(0.002)

    def long(context):
        started.set()
        try:
            while True:
                context.yield_control()
                time.sleep(0.002)
        except JobAborted:
            ended.append('long')
            raise

    outer = scheduler.submit(Priority.BATCH, long)
    assert started.wait(5)
    inner = scheduler.submit(Priority.FINAL, urgent)
    waits = scheduler.submit(Priority.BATCH, long)
    assert inside.wait(5)
    assert scheduler.close(5)
    for job in (outer, inner, waits):
        with pytest.raises(JobAborted):
            job.future.result(5)
    assert ended == ['long']
    assert scheduler.idle


def test_a_promoted_job_keeps_its_place_among_its_equals():
    scheduler, order, gate = Scheduler(), [], threading.Event()
    scheduler.submit(Priority.FINAL, lambda context: gate.wait(5))
    first = scheduler.submit(Priority.SPECULATIVE, lambda context: order.append('first'))
    second = scheduler.submit(Priority.FINAL, lambda context: order.append('second'))
    scheduler.promote(first, Priority.FINAL)
    scheduler.promote(first, Priority.BATCH)  # which is no promotion
    gate.set()
    second.future.result(5)
    assert order == ['first', 'second']
    scheduler.close()


def test_a_callback_that_fails_does_not_end_the_thread():
    scheduler = Scheduler()

    def fails(job):
        raise RuntimeError('no')

    job = scheduler.submit(Priority.FINAL, lambda context: 1)
    job.when_done(fails)
    assert job.future.result(5) == 1
    assert scheduler.submit(Priority.FINAL, lambda context: 2).future.result(5) == 2
    scheduler.close()


def test_free_memory_is_returned_when_no_job_waits(monkeypatch):
    from distil_whisper_ros.core import scheduler as module

    trimmed, done, results = threading.Event(), threading.Event(), []

    def trim() -> bool:
        results.append([job.future.done() for job in jobs])
        trimmed.set()
        return True

    monkeypatch.setattr(module, 'return_free_memory', trim)
    monkeypatch.setattr(module, 'TRIM_PERIOD', 0.0)
    scheduler = Scheduler()
    jobs = [scheduler.submit(Priority.FINAL, lambda context: done.wait(10)) for _ in range(3)]
    done.set()
    assert trimmed.wait(10)
    scheduler.close(10)
    assert results == [[True, True, True]], 'after every result, and once'


def test_idle_time_is_told_between_jobs_alone():
    told, busy = [], threading.Event()
    scheduler = Scheduler(on_idle=lambda seconds: told.append((seconds, busy.is_set())))
    try:
        wait_for(lambda: len(told) > 1, 10, 'two calls')
        assert 0.0 < told[0][0] < told[1][0]

        def work(context: JobContext) -> None:
            busy.set()
            time.sleep(1.2)
            busy.clear()

        job = scheduler.submit(Priority.FINAL, work)
        job.future.result(10)
        begun = len(told)
        wait_for(lambda: len(told) > begun, 10, 'a call after the job')
        assert not any(working for _, working in told)
        assert told[-1][0] < told[begun - 1][0] + 1.2
    finally:
        scheduler.close(5.0)


def test_a_failure_while_idle_ends_nothing():
    failures = []

    def fail(seconds: float) -> None:
        raise ValueError('on purpose')

    scheduler = Scheduler(failures.append, on_idle=fail)
    try:
        wait_for(lambda: len(failures) > 1, 10, 'two failures')
        assert scheduler.submit(Priority.FINAL, lambda context: 'done').future.result(10) == 'done'
    finally:
        scheduler.close(5.0)
