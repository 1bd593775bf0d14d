"""Fuzz the readers: `python -m tests.fuzzing --help`. What is found is kept, one small file for each place in the code.

Inputs follow from the reader's name, a seed and a number, so each can be made again. They are read in a child process,
so that a crash of a library in C is a finding like any other; so are more than 10 s, and more than 4 GiB on top of what
is there at the start.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import mmap
import os
import resource
import shutil
import signal
import struct
import tempfile
import time
import traceback
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random
from types import FrameType
from typing import NoReturn

from dnahnet_cli.errors import DnahnetError
from dnahnet_cli.io import streams
from tests.fuzzing.readers import READERS

FOUND = Path(__file__).with_name("found")
_SECONDS = 10.0
_BYTES = 4 << 30
_CHUNK = 50_000  # inputs a child reads


class _TooSlow(BaseException):
    pass


@functools.cache
def _seeds(reader: str) -> Sequence[bytes]:
    return READERS[reader].seeds()


def make(reader: str, seed: int, number: int) -> bytes:
    """Return an input."""
    random = Random(zlib.crc32(reader.encode()) << 64 | seed << 32 | number)
    seeds = _seeds(reader)
    return READERS[reader].spoil(random.choice(seeds), random.choice(seeds), random)


def read(reader: str, path: Path) -> str | None:
    """Read a file; return what went wrong and where, None if nothing did."""
    try:
        READERS[reader].read(path)
    except DnahnetError as error:
        text = str(error)
        if not text.strip() or text.count("\n") > 1 or len(text) > 2000:
            return f"message of {len(text)} letters and {text.count(chr(10)) + 1} lines: {text[:60]!r}"
    except _TooSlow:
        return f"more than {_SECONDS:.0f} s"
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "dnahnet_cli" in f.filename]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "the test"
        return f"{type(error).__name__} in {place}"
    return None


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    raise _TooSlow


def _fuzz_chunk(reader: str, seed: int, begin: int, end: int, state: mmap.mmap, folder: Path) -> None:
    """Read inputs and keep what is found; runs in a child."""
    with open("/proc/self/statm") as file:
        limit = int(file.read().split()[0]) * mmap.PAGESIZE + _BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, _stop)
    warnings.simplefilter("error")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    place = folder / "input"
    for number in range(begin, end):
        state[:8] = struct.pack("<Q", number)
        data = make(reader, seed, number)
        if READERS[reader].streamed and number > begin:
            streams._open = lambda path, data=data: io.BytesIO(data)  # as if it were written
        else:
            place.write_bytes(data)
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        wrong = read(reader, place)
        signal.setitimer(signal.ITIMER_REAL, 0)
        if wrong is not None:
            _keep(reader, wrong, data, number)


def _keep(reader: str, wrong: str, data: bytes, number: int) -> None:
    kind = "".join(letter if letter.isalnum() else "-" for letter in wrong.split(" letters")[0])[:80].strip("-")
    target = FOUND / reader / kind
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists() or target.stat().st_size > len(data):
        if not target.exists():
            print(f"{reader} {number:,}: {wrong}", flush=True)
        target.write_bytes(data)


def fuzz(reader: str, num_inputs: int, seed: int, minutes: float) -> int:
    """Read inputs till there were enough or time is up; return how many there were."""
    _seeds(reader)  # before the first child, so that each has them
    state = mmap.mmap(-1, 8)
    began = time.monotonic()
    begin, stop = 0, began + 60 * minutes
    while begin < num_inputs and time.monotonic() < stop:
        end = min(num_inputs, begin + (_CHUNK if begin else 200))
        if begin:  # a child ends in good time
            end = min(end, begin + max(100, int((stop - time.monotonic()) * begin / (time.monotonic() - began))))
        folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(KeyboardInterrupt):
                _fuzz_chunk(reader, seed, begin, end, state, folder)
                status = 0
            os._exit(status)
        _, ended = os.waitpid(child, 0)
        shutil.rmtree(folder)
        if ended:
            (number,) = struct.unpack("<Q", state[:8])
            _keep(reader, f"process ended with {ended}", make(reader, seed, number), number)
            end = number + 1
        begin = end
    return begin


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzzing", description=__doc__)
    parser.add_argument("readers", nargs="*", default=list(READERS), help="all, unless given")
    parser.add_argument("-n", "--inputs", type=int, default=1_000_000, help="of each reader")
    parser.add_argument("--minutes", type=float, default=20.0, help="at most, for each reader")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for reader in given.readers:
        began = time.monotonic()
        count = fuzz(reader, given.inputs, given.seed, given.minutes)
        seconds = time.monotonic() - began
        cases = len(list((FOUND / reader).glob("*")))
        print(f"{reader}: {count:,} inputs in {seconds:.0f} s, {cases} cases kept", flush=True)


if __name__ == "__main__":
    main()
