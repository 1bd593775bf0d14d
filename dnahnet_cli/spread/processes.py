"""Workers that are processes of this machine, one for each device."""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from multiprocessing import connection, get_context, parent_process
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from dnahnet_cli.networks.weights import ModelFile
from dnahnet_cli.spread.crew import WorkerLost
from dnahnet_cli.spread.work import Recipe, Unit, compute, packed

_SPAWN = get_context("spawn")  # a forked process can use neither CUDA nor the threads of its parent


class LocalWorker:
    """A process of this machine. It ends with this one, however this one ends."""

    def __init__(self, name: str, device: str, recipe: Recipe, model: ModelFile, genome: Path) -> None:
        """`genome` is the path of a packed one."""
        self.name = name
        self._given = (device, recipe, model, genome)
        self._process: SpawnProcess | None = None
        self._connection: Connection | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def start(self) -> None:
        self._end()
        with self._lock:
            if self._stopped:
                raise WorkerLost(f"{self.name} was stopped")
            self._connection, theirs = _SPAWN.Pipe()
            # A terminal and a batch system send their signals to all processes of a run. Workers leave them to this
            # one: what a thread blocks, the processes that it starts never see.
            signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
            self._process = _SPAWN.Process(target=_serve, args=(theirs, *self._given), daemon=True)
            self._process.start()
            theirs.close()
        self._answer()

    def do(self, unit: Unit) -> Any:
        assert self._connection is not None
        try:
            self._connection.send(unit)
        except OSError as error:
            raise self._lost() from error
        return self._answer()

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._process is not None:
                self._process.kill()  # the thread that waits for it reads the end of the connection

    def _answer(self) -> Any:
        assert self._connection is not None
        try:
            failed, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error
        if failed:
            raise answer
        return answer

    def _lost(self) -> WorkerLost:
        assert self._process is not None
        self._process.join(10)
        code = self._process.exitcode
        how = f"with exit code {code}" if code is None or code >= 0 else f"by {signal.Signals(-code).name}"
        memory = "; is there enough memory for all of them?" if code == -signal.SIGKILL else ""
        return WorkerLost(f"worker {self.name} (process {self._process.pid}) was ended {how}{memory}")

    def _end(self) -> None:
        if self._process is not None and self._connection is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()


def _serve(answers: Connection, device: str, recipe: Recipe, model: ModelFile, genome: Path) -> None:
    """Be the worker: say that it is ready, and answer one unit after another."""
    os.dup2(2, 1)  # standard output is for data, and that of the parent alone
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        engine = recipe.engine(model, device, packed(genome))
        answers.send((False, None))
        while True:
            unit = answers.recv()
            try:
                answer = (False, compute(engine, unit))
            except Exception as error:
                answer = (True, portable(error))
            answers.send(answer)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent has gone
    except Exception as error:
        answers.send((True, portable(error)))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
    os._exit(1)


def portable(error: Exception) -> Exception:
    """Return an error, or what is left of one that cannot be sent to another process, and where it was raised."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        copy: Exception = pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return copy
