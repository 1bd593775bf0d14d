"""How the C library keeps memory, which a network's passes take and free over and over."""

from __future__ import annotations

import ctypes
from typing import Final

M_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3


def keep_freed_memory() -> None:
    """Have glibc, where it is the C library, keep freed memory for the next allocation of that size.

    By default it hands large pieces back to the system at once. They are the same pieces over and over, and the system
    clears them each time: a tenth of the processor time of a scan.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, size in (M_TRIM_THRESHOLD, 1 << 30), (M_TOP_PAD, 1 << 24), (M_MMAP_THRESHOLD, 1 << 30):
        mallopt(parameter, size)
