"""One thread for the model, which has one GPU: the most urgent job first.

A partial text must never delay a final one, and a recording that another robot sent must not
delay this robot's ears. So each job has a priority; a partial one is aborted for a more urgent
one, and a long one yields between its segments.

Threads: `submit`, `promote`, `Job.abort` and `close` may be called from any thread. The work and
the callbacks of `Job.when_done` run in the scheduler's thread, or in the thread that aborts.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from enum import IntEnum
import gc
import heapq
import itertools
import threading
import time
from typing import Any

from .memory import return_free_memory

TRIM_PERIOD = 15.0  # s between returns of free memory
LOOK_PERIOD = 0.5  # s between calls of `on_idle`


class Priority(IntEnum):
    """How urgent a job is; the least number first."""

    FINAL = 0  # a client waits for the text
    SPECULATIVE = 1  # at a pause, in case the speaker is done
    PARTIAL = 2  # during the speech
    BATCH = 3  # audio that came in a request


class JobAborted(CancelledError):
    """The job was aborted: its result is not needed any more."""


class Job:
    """A piece of work and its result, which comes exactly once: a value or an exception."""

    def __init__(self, priority: Priority, work: Callable[['JobContext'], Any]) -> None:
        """`work` gets a JobContext, and returns the result."""
        self.priority = priority
        self.work = work
        self.aborted = False
        self.running = False
        """Whether the work has started."""
        self.future: Future[Any] = Future()
        # Nobody outside can cancel it now, so a result can always be set.
        self.future.set_running_or_notify_cancel()
        self._lock = threading.Lock()
        self._finished = False
        # Not the future's: it keeps them, and so the job, whoever waits for it and the audio would
        # hold each other.
        self._callbacks: list[Callable[[Job], None]] = []

    def abort(self) -> None:
        """End the job with JobAborted at once; its work stops at its next check."""
        self.aborted = True
        self.finish(error=JobAborted())

    def finish(self, result: Any = None, error: BaseException | None = None) -> bool:
        """Set the result or the error; return False if there was one already."""
        with self._lock:
            if self._finished:
                return False
            self._finished = True
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(result)
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)
        return True

    def when_done(self, callback: Callable[['Job'], None]) -> None:
        """Call back once there is a result; at once if there is one already."""
        with self._lock:
            done = self.future.done()
            if not done:
                self._callbacks.append(callback)
        if done:
            callback(self)


class JobContext:
    """The scheduler as a job's work sees it."""

    def __init__(self, scheduler: 'Scheduler | None' = None, job: 'Job | None' = None) -> None:
        """Without a scheduler, nothing ever interrupts."""
        self._scheduler, self._job = scheduler, job

    def check(self) -> None:
        """Raise JobAborted if the job was aborted; cheap enough to call for each token."""
        if self._job is not None and self._job.aborted:
            raise JobAborted

    def yield_control(self) -> None:
        """Let more urgent jobs go first, then return, or raise JobAborted."""
        self.check()
        if self._scheduler is not None and self._job is not None:
            self._scheduler.run_more_urgent(self._job.priority)
            self.check()


class Scheduler:
    """Runs one job at a time, in a thread of its own."""

    def __init__(
        self,
        on_failure: Callable[[BaseException], None] | None = None,
        name: str = 'scheduler',
        on_idle: Callable[[float], None] | None = None,
    ) -> None:
        """`on_failure` gets the exceptions of jobs that were aborted; `name` is the thread's.

        While no job runs or waits, `on_idle` gets the seconds since the last one, now and then, in
        the scheduler's thread: what it frees, no job uses.
        """
        self._on_failure = on_failure or (lambda error: None)
        self._on_idle = on_idle
        self._last_job = time.monotonic()
        self._jobs: list[tuple[Priority, int, Job]] = []
        self._numbers = itertools.count()
        self._running: list[Job] = []  # the last is at work; those before it have yielded
        self._closing = False
        self._trimmed = time.monotonic()
        self._condition = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether no job runs or waits."""
        with self._condition:
            return not self._running and not self._jobs

    def submit(self, priority: Priority, work: Callable[[JobContext], Any]) -> Job:
        """Take a job; it runs after those that are more urgent, or as urgent and earlier.

        After `close`, the job that is returned is aborted.
        """
        job = Job(priority, work)
        partial = None
        with self._condition:
            closed = self._closing
            if not closed:
                if self._running and self._running[-1].priority is Priority.PARTIAL > priority:
                    partial = self._running[-1]
                heapq.heappush(self._jobs, (priority, next(self._numbers), job))
                self._condition.notify_all()
        if closed:
            job.abort()
        if partial is not None:
            partial.abort()
        return job

    def promote(self, job: Job, priority: Priority) -> None:
        """Make a job that waits more urgent; it keeps its place among its equals."""
        with self._condition:
            if priority >= job.priority:
                return
            job.priority = priority
            self._jobs = [
                (priority if each is job else rank, number, each)
                for rank, number, each in self._jobs
            ]
            heapq.heapify(self._jobs)

    def run_more_urgent(self, priority: Priority) -> None:
        """Run the jobs that are more urgent than `priority`; called from within a job."""
        while (job := self._take(priority)) is not None:
            self._do(job)

    def close(self, timeout: float | None = 0.0) -> bool:
        """Abort every job; wait up to `timeout` s for the one at work, and return if it ended."""
        with self._condition:
            self._closing = True
            jobs = [job for _, _, job in self._jobs] + self._running
            self._jobs = []
            self._condition.notify_all()
        for job in jobs:
            job.abort()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        period = LOOK_PERIOD if self._on_idle is not None else None
        while True:
            with self._condition:
                self._condition.wait_for(lambda: self._jobs or self._closing, period)
                if self._closing:
                    return
            job = self._take()
            if job is not None:
                self._do(job)
                self._trim()
                self._last_job = time.monotonic()
            elif self._on_idle is not None:
                self._idle(self._on_idle)

    def _idle(self, on_idle: Callable[[float], None]) -> None:
        try:
            on_idle(time.monotonic() - self._last_job)
        except Exception as error:  # the thread goes on
            self._report(error)

    def _trim(self) -> None:
        """Return free memory now and then, when the result is delivered and no job waits.

        Jobs of different lengths leave holes in the heap, which grows by 1 % in 1,000 utterances.
        """
        if self.idle and time.monotonic() - self._trimmed > TRIM_PERIOD:
            gc.collect()
            return_free_memory()
            self._trimmed = time.monotonic()

    def _report(self, error: BaseException) -> None:
        try:
            self._on_failure(error)
        except Exception:  # the report itself failed: the thread goes on
            pass

    def _take(self, below: Priority | None = None) -> Job | None:
        """Take the most urgent job out of the queue, if it is more urgent than `below`."""
        with self._condition:
            if not self._jobs or (below is not None and self._jobs[0][0] >= below):
                return None
            job = heapq.heappop(self._jobs)[2]
            self._running.append(job)
            return job

    def _do(self, job: Job) -> None:
        """Run a job that was taken. Nothing that it raises ends the thread."""
        try:
            if not job.aborted:
                job.running = True
                job.finish(job.work(JobContext(self, job)))
        except JobAborted as error:
            job.finish(error=error)
        except BaseException as error:
            if not job.finish(error=error):
                self._report(error)
        finally:
            with self._condition:
                self._running.remove(job)
