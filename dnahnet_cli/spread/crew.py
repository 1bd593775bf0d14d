"""Spread units of work over workers that may be lost; results come in the order of the units.

A worker is a process somewhere that computes one unit at a time. A thread here stands for each, takes the next unit as
soon as its worker is free, and waits for the answer. Few units are under way at a time, so that memory stays as it is
however many there are. A unit whose worker is lost goes to the next that is free, and the worker is started again,
unless it is lost time and again before it has done anything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from queue import Empty, PriorityQueue
from threading import Lock, Thread
from typing import Any, Final, Protocol

from dnahnet_cli.errors import WorkerError

AHEAD: Final = 3  # units that are under way or done before their turn, for each worker
TRIES: Final = 3  # that are ended by the loss of their worker, before the unit is to blame
IDLE_LIVES: Final = 2  # in a row in which a worker does nothing, before it is given up


class WorkerLost(Exception):
    """A worker is no more. What it was at, another can do."""


class Worker(Protocol):
    """A process somewhere. Its methods are called by one thread, but for `stop`, which also ends a call that waits."""

    @property
    def name(self) -> str: ...

    def start(self) -> None:
        """Start it, or start it again. Raises WorkerLost, or whatever keeps it from starting."""

    def do(self, unit: Any) -> Any:
        """Return the result of a unit. Raises WorkerLost, or what computing it raised."""

    def stop(self) -> None:
        """End it, whatever it is at."""


@dataclass(order=True)
class _Job:
    number: int
    unit: Any = field(compare=False, default=None)
    result: Future[Any] = field(compare=False, default_factory=Future)
    tries: int = field(compare=False, default=0)


_LAST: Final = -1  # the number of a job that ends a thread


class Crew:
    """Workers for a run; use it as a context manager. They are started when there is something to do."""

    def __init__(self, workers: Sequence[Worker], say: Callable[[str], None] = lambda text: None) -> None:
        """`say` is called, from any thread, with what a user should know: that a worker was lost."""
        self.workers, self._say = workers, say
        self._queue: PriorityQueue[_Job] = PriorityQueue()  # lost units come first, because they are older
        self._numbers = count()
        self._threads: list[Thread] = []
        self._at_work = len(workers)
        self._lock = Lock()
        self._closed = False
        self._failure: WorkerError | None = None

    def map(self, units: Iterable[Any]) -> Iterator[Any]:
        """Yield the result of each unit, in order. Raises what computing one raised, in its turn, and WorkerError."""
        self._begin()
        ahead: deque[_Job] = deque()
        try:
            for unit in units:
                ahead.append(self._put(_Job(next(self._numbers), unit)))
                while ahead and (ahead[0].result.done() or len(ahead) >= AHEAD * len(self.workers)):
                    yield ahead.popleft().result.result()
            while ahead:
                yield ahead.popleft().result.result()
        finally:
            for job in ahead:
                job.result.cancel()

    def close(self) -> None:
        """End all workers, whatever they are at."""
        self._closed = True
        for _ in self._threads:
            self._queue.put(_Job(_LAST))
        for worker in self.workers:
            worker.stop()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _begin(self) -> None:
        if not self._threads:
            self._threads = [Thread(target=self._stand_for, args=(worker,), daemon=True) for worker in self.workers]
            for thread in self._threads:
                thread.start()

    def _put(self, job: _Job) -> _Job:
        with self._lock:
            if self._failure is not None:
                job.result.set_exception(self._failure)
            else:
                self._queue.put(job)
        return job

    def _stand_for(self, worker: Worker) -> None:
        """Have a worker do what there is to do, life after life."""
        idle_lives = 0
        while True:
            try:
                worker.start()
                while (job := self._queue.get()).number != _LAST:
                    self._do(worker, job)
                    idle_lives = -1  # not counting this one
                return
            except Exception as error:
                idle_lives += 1
                if self._closed:
                    return
                if idle_lives == IDLE_LIVES or not isinstance(error, WorkerLost):
                    self._give_up(error)
                    return
                self._say(f"{error}; it is started again")

    def _do(self, worker: Worker, job: _Job) -> None:
        """Do a job. Raises WorkerLost, with the job put back."""
        if not job.tries and not job.result.set_running_or_notify_cancel():
            return
        try:
            result = worker.do(job.unit)
        except WorkerLost as lost:
            job.tries += 1
            if job.tries < TRIES or self._closed:
                self._put(job)
            else:
                job.result.set_exception(WorkerError(f"one piece of work ended {TRIES} workers: {lost}"))
            raise
        except Exception as error:
            job.result.set_exception(error)
        else:
            job.result.set_result(result)

    def _give_up(self, error: Exception) -> None:
        """Go on without a worker. Without the last, nothing goes on."""
        with self._lock:
            self._at_work -= 1
            if self._at_work:
                self._say(f"{error}; going on without it")
                return
            self._failure = WorkerError(f"no worker is left: {error}")
            while True:
                try:
                    job = self._queue.get_nowait()
                except Empty:
                    return
                if job.tries or job.result.set_running_or_notify_cancel():
                    job.result.set_exception(self._failure)
