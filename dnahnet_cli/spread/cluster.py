"""Workers that are actors of a Ray cluster: a GPU each or, in a cluster without GPUs, a few CPUs.

Genome and weights go through Ray's object store, so a machine needs nothing of the run but the same version of this
package. Nothing is started here but the workers: no cluster, no dashboard, no service that others could reach.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import numpy as np

from dnahnet_cli import __version__
from dnahnet_cli.errors import DeviceError, UsageError, WorkerError
from dnahnet_cli.networks.weights import ModelFile, find_model
from dnahnet_cli.spread.crew import Worker, WorkerLost
from dnahnet_cli.spread.work import Recipe, Unit, compute, packed

PATIENCE_S: Final = 30.0  # after which a worker that waits for room says so
CONNECT_S: Final = 10.0
JOIN_S: Final = 60.0
DEFAULT_PORT: Final = 6379

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns of what later versions do


class Cluster:
    """A connection to a running cluster; use it as a context manager."""

    def __init__(self, address: str | None, say: Callable[[str], None]) -> None:
        """Connect. Raises UsageError without Ray or an address, and WorkerError if nobody answers there."""
        try:
            import ray
        except ImportError as error:
            raise UsageError(
                "--engine ray needs Ray, which is not installed: pip install 'dnahnet[ray]', here and on all machines "
                "of the cluster."
            ) from error
        self.address = address or os.environ.get("RAY_ADDRESS", "")
        if not self.address:
            raise UsageError(
                "--engine ray needs the address of a running cluster: --address HOST:PORT, or --address auto on one of "
                "its machines.\nSeveral GPUs of this machine alone need no Ray: --device cuda:all."
            )
        _knock(self.address)
        self._ray, self._say = ray, say
        # Ray prints what happens in its cluster to standard output, where data are. There is no option against it.
        ray._private.worker._worker_logs_enabled = False
        self._join()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self._ray.shutdown()

    def _join(self) -> None:
        """Join the cluster, in a thread: Ray tries for a quarter of an hour, and in the main one takes the signals."""
        joined: Future[None] = Future()

        def join() -> None:
            try:
                self._ray.init(self.address, log_to_driver=False, logging_level="ERROR")
                joined.set_result(None)
            except Exception as error:  # of many kinds, from several libraries
                joined.set_exception(error)

        threading.Thread(target=join, daemon=True).start()
        try:
            joined.result(JOIN_S)
        except TimeoutError as error:
            raise WorkerError(f"--address {self.address}: something answers there, but no Ray cluster.") from error
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise WorkerError(f"--address {self.address}: no Ray cluster could be joined there: {reason}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # Ray's own prints where it was received

    def room(self, device: str, threads: int) -> tuple[str, int]:
        """Return what each worker computes on, cpu or cuda, and how many there can be. Raises DeviceError."""
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError(f"--device {device}: on a Ray cluster it is auto, cpu or cuda.")
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        gpus = sum(int(node.get("GPU", 0)) for node in nodes)
        cpus = sum(int(node.get("CPU", 0)) // threads for node in nodes)
        if device == "cuda" or (device == "auto" and gpus):
            if not gpus:
                raise DeviceError(f"--device cuda: the Ray cluster at {self.address} has no GPU.")
            return "cuda", gpus
        if not cpus:
            raise DeviceError(f"--threads {threads}: no machine of the Ray cluster at {self.address} has as many CPUs.")
        return "cpu", cpus

    def workers(self, number: int, device: str, recipe: Recipe, model: ModelFile, genome: Path) -> Sequence[Worker]:
        """Return workers, not started yet. `genome` is the path of a packed one."""
        whole, weights = self._ray.put(packed(genome)), self._ray.put(model.path.read_bytes())
        given = (device, recipe, model.name, model.card, weights, whole)
        reserved = {"num_cpus": recipe.threads} if device == "cpu" else {"num_cpus": 1, "num_gpus": 1}
        actor = self._ray.remote(**reserved)(_Actor)
        return [RayWorker(f"{n} of the cluster", self._ray, actor, given, self._say) for n in range(1, number + 1)]


class RayWorker:
    """An actor. It ends with the connection that started it."""

    def __init__(self, name: str, ray: Any, kind: Any, given: tuple[Any, ...], say: Callable[[str], None]) -> None:
        """`kind` makes an actor, and `given` is what it is told then."""
        self.name = name
        self._ray, self._kind, self._given, self._say = ray, kind, given, say
        self._actor: Any = None
        self._stopped = False

    def start(self) -> None:
        self._end()
        self._actor = self._kind.remote()
        ready = self._actor.prepare.remote(*self._given)
        if not self._ray.wait([ready], timeout=PATIENCE_S)[0] and not self._stopped:
            self._say(f"worker {self.name} waits until there is room for it")
        theirs = self._answer(ready)
        if theirs != __version__:
            raise WorkerError(f"worker {self.name} has dnahnet {theirs}, this is {__version__}: install the same")

    def do(self, unit: Unit) -> Any:
        return self._answer(self._actor.do.remote(unit))

    def stop(self) -> None:
        self._stopped = True
        self._end()

    def _answer(self, reference: Any) -> Any:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error)) from error
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().partition("\n")[0]
            raise WorkerLost(f"worker {self.name} was lost: {reason.rstrip('.')}") from error

    def _end(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor)


class _Actor:
    """What runs on a machine of the cluster."""

    def prepare(
        self, device: str, recipe: Recipe, name: str, card: dict[str, Any], weights: bytes, whole: np.ndarray
    ) -> str:
        """Build the engine, and return the version of this package."""
        with tempfile.TemporaryDirectory(prefix="dnahnet-ray-") as folder:
            path = Path(folder) / f"{name}.safetensors"
            path.write_bytes(weights)
            path.with_suffix(".json").write_text(json.dumps(card))
            self._engine = recipe.engine(find_model(str(path)), device, whole)
        return __version__

    def do(self, unit: Unit) -> Any:
        return compute(self._engine, unit)


def _knock(address: str) -> None:
    """Raise WorkerError unless something listens at host:port, or ray://host:port: Ray itself waits for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return  # auto, or another word that Ray knows
    try:
        socket.create_connection((host.strip("[]"), int(port or DEFAULT_PORT)), CONNECT_S).close()
    except ValueError as error:
        raise UsageError(f"--address {address}: expected HOST:PORT, ray://HOST:PORT or auto.") from error
    except OSError as error:
        raise WorkerError(
            f"--address {address}: nobody answers there ({error.strerror or error}). Is the Ray cluster running, and "
            "may this machine reach it?"
        ) from error
