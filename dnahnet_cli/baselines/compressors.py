"""What general-purpose compressors make of a genome: the programs that a user has at hand.

`text` is the sequence as one line of letters, what `xz genome.fa` sees but for the headers; `packed` holds two bits a
base, N left out, so that a compressor has to find structure rather than the alphabet. Compressors made for DNA
(GeCo, cmix, MFCompress) do better; none of them is in Python's package index.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import pyarrow as pa

from dnahnet_cli.genome import N_CODE, Codes, decode

_ZSTD_LEVEL, _BROTLI_LEVEL = 19, 11  # the highest that do not ask for more memory


def _arrow(name: str, level: int) -> Callable[[bytes], bytes]:
    def compress(data: bytes) -> bytes:
        compressed: bytes = pa.Codec(name, compression_level=level).compress(data, asbytes=True)
        return compressed

    return compress


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, preset=9)


_COMPRESSORS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": _lzma,
    "zstd": _arrow("zstd", _ZSTD_LEVEL),
    "brotli": _arrow("brotli", _BROTLI_LEVEL),
}
_SLOW_ON_TEXT: Final = ("zstd", "brotli")  # 1 MB/s and less, and no better there than xz or than themselves on packed


def compressed_bits(contigs: Iterable[Codes], threads: int = 1) -> dict[str, float]:
    """Return the bits per base (A, C, G, T) that each compressor needs for all contigs in one file, by its name.

    Names are such as `xz packed`. Empty where there is no base, or where pyarrow was built without a codec.
    """
    codes = np.concatenate([np.empty(0, dtype=np.uint8), *contigs])
    num_bases = int((codes < N_CODE).sum())
    if not num_bases:
        return {}
    text, packed = decode(codes).encode(), pack(codes)
    jobs = {}
    for name, compress in _COMPRESSORS.items():
        if name in _SLOW_ON_TEXT and not pa.Codec.is_available(name):
            continue
        jobs[f"{name} packed"] = (compress, packed)
        if name not in _SLOW_ON_TEXT:
            jobs[f"{name} text"] = (compress, text)
    with ThreadPoolExecutor(threads) as pool:  # all of them let go of the interpreter's lock
        sizes = pool.map(lambda job: len(job[0](job[1])), jobs.values())
        return {name: 8 * size / num_bases for name, size in zip(jobs, sizes, strict=True)}


def pack(codes: Codes) -> bytes:
    """Return four bases a byte, the first in the lowest two bits; N is left out, the last byte padded with A."""
    known = codes[codes < N_CODE]
    quads = np.zeros((-(-len(known) // 4), 4), dtype=np.uint8)
    quads.ravel()[: len(known)] = known
    packed: Codes = (quads << np.arange(0, 8, 2, dtype=np.uint8)).sum(axis=1, dtype=np.uint8)
    return packed.tobytes()
