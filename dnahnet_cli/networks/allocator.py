"""How the libraries keep memory, which a network's passes take and free over and over."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_GLIBC: Final = "libc.so.6"
M_TRIM_THRESHOLD: Final = -1  # of glibc's malloc.h
M_TOP_PAD: Final = -2
M_MMAP_THRESHOLD: Final = -3
# How oneDNN and torch's layer around it call the number of plans for an operation on certain shapes that they keep, the
# latter in each thread. Both keep 1,024, and the shapes of a scan hardly ever come again: half a gigabyte that a long
# run fills and never uses. With as many as a pass has operations it is as fast.
_PLANS: Final = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
_NUM_PLANS: Final = "64"


def keep_freed_memory() -> None:
    """Have freed memory kept for what comes next, but not what is hardly ever asked for again.

    For scoring, and to be called before the first operation on tensors: oneDNN looks only once.
    """
    for variable in _PLANS:
        os.environ.setdefault(variable, _NUM_PLANS)
    keep_freed_pieces()


def keep_freed_pieces() -> bool:
    """Have glibc, where it is the C library, keep freed memory for the next allocation of that size.

    By default it hands large pieces back to the system at once. They are the same pieces over and over, and the system
    clears them each time: a tenth of the processor time of a scan, and 36,000 page faults in a step of training on
    8,192 bases. Returns whether it could be told.
    """
    try:
        mallopt = ctypes.CDLL(_GLIBC).mallopt
    except (OSError, AttributeError):
        return False
    settings = (M_TRIM_THRESHOLD, 1 << 30), (M_TOP_PAD, 1 << 24), (M_MMAP_THRESHOLD, 1 << 30)
    return all([mallopt(parameter, size) for parameter, size in settings])
