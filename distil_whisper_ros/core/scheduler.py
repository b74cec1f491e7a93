"""One thread for the model, which has one GPU: the most urgent job first.

A partial text must never delay a final one, and a recording that another robot sent must not
delay this one's ears. So a job says how urgent it is; a partial one is aborted for an urgent one,
and a long one gives way between its parts.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from enum import IntEnum
import heapq
import itertools
import threading
from typing import Any


class Priority(IntEnum):
    """How urgent a job is; the least first."""

    FINAL = 0  # somebody waits for the text
    SPECULATIVE = 1  # at a pause, in case the speaker is done
    PARTIAL = 2  # while somebody speaks
    FOREIGN = 3  # audio that came in a request


class JobAborted(CancelledError):
    """The job's result is not wanted any more."""


class Job:
    """A piece of work and its result."""

    def __init__(self, rank: Priority, work: Callable[['JobContext'], Any]) -> None:
        self.rank = rank
        self.work = work
        self.future: Future[Any] = Future()
        self.aborted = False

    def abort(self) -> None:
        """Make the job end soon, without a result."""
        self.aborted = True
        self.future.cancel()


class JobContext:
    """What a job sees of the others while it works."""

    def __init__(self, worker: 'Scheduler | None' = None, job: 'Job | None' = None) -> None:
        """Without a worker, nothing ever interrupts."""
        self._worker, self._job = worker, job

    def check(self) -> None:
        """Raise Aborted if the result is not wanted any more; cheap enough for each token."""
        if self._job is not None and self._job.aborted:
            raise JobAborted

    def yield_control(self) -> None:
        """Let more urgent jobs go first, then return."""
        if self._worker is not None and self._job is not None:
            self._worker.serve(self._job.rank)
            self.check()


class Scheduler:
    """Does one job at a time."""

    def __init__(self) -> None:
        self._jobs: list[tuple[Priority, int, Job]] = []
        self._numbers = itertools.count()
        self._current: Job | None = None
        self._closing = False
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='transcriber', daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether nothing is done or waits."""
        return self._current is None and not self._jobs

    def submit(self, rank: Priority, work: Callable[[JobContext], Any]) -> Job:
        """Take a job; it is done after those that are more urgent or came before it."""
        job = Job(rank, work)
        with self._condition:
            current = self._current
            if (
                current is not None
                and current.rank is Priority.PARTIAL
                and rank < Priority.PARTIAL
            ):
                current.abort()
            heapq.heappush(self._jobs, (rank, next(self._numbers), job))
            self._condition.notify()
        return job

    def serve(self, rank: Priority) -> None:
        """Do the jobs that are more urgent than `rank`; called from within a job."""
        outer = self._current
        while (job := self._take(rank)) is not None:
            self._do(job)
        self._current = outer

    def close(self) -> None:
        """Abort everything; the thread ends as soon as its job does."""
        with self._condition:
            self._closing = True
            jobs, self._jobs = [job for _, _, job in self._jobs], []
            if self._current is not None:
                jobs.append(self._current)
            self._condition.notify()
        for job in jobs:
            job.abort()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._jobs or self._closing)
                if self._closing:
                    return
            job = self._take()
            if job is not None:
                self._do(job)
                self._current = None

    def _take(self, rank: Priority | None = None) -> Job | None:
        with self._condition:
            if not self._jobs or (rank is not None and self._jobs[0][0] >= rank):
                return None
            self._current = heapq.heappop(self._jobs)[2]
            return self._current

    def _do(self, job: Job) -> None:
        if job.aborted:
            return
        try:
            result = job.work(JobContext(self, job))
        except JobAborted:
            job.future.cancel()
        except BaseException as error:
            if not job.future.cancelled():
                job.future.set_exception(error)
        else:
            if not job.future.cancelled():
                job.future.set_result(result)
