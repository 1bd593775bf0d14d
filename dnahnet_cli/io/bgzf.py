"""bgzip on a stream: gzip members of at most 64 KiB, each with its size (SAM specification, section 4.1).

Files are written by htslib. It cannot tell that the reader of a pipe has gone away, which is how `| head` ends a run.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO, Any, Final

# The empty block that ends every complete bgzip file (section 4.1.2).
END: Final = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
_HEAD: Final = bytes.fromhex("1f8b08040000000000ff060042430200")
_MOST: Final = 65_280  # bytes in a block, so that it fits even if they do not compress


class BgzfStream(io.RawIOBase):
    """Compresses what is written, and writes it to a stream that stays open."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._pending = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Take in bytes and write the blocks that are full."""
        self._pending += data
        while len(self._pending) >= _MOST:
            self._target.write(_block(bytes(self._pending[:_MOST])))
            del self._pending[:_MOST]
        return len(data)

    def finish(self) -> None:
        """Write what is pending and the mark of the end."""
        if self._pending:
            self._target.write(_block(bytes(self._pending)))
            self._pending.clear()
        self._target.write(END)
        self._target.flush()


def _block(data: bytes) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    body = deflate.compress(data) + deflate.flush()
    size = len(_HEAD) + 2 + len(body) + 8
    return _HEAD + struct.pack("<H", size - 1) + body + struct.pack("<II", zlib.crc32(data), len(data))
