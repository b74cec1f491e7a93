"""The scheduler: order, yielding, and that every job ends once."""

import threading
import time

import pytest

from distil_whisper_ros.core.scheduler import Priority, Scheduler


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
