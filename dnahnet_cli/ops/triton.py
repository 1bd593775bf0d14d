"""What the Triton kernels share. Imported only where a kernel runs.

Triton's interpreter, which checks the kernels on a CPU, has no products of bfloat16: there the rounded operands are
multiplied as float32, which is what a tensor core does too.
"""

from __future__ import annotations

import os

import triton
import triton.language as tl
from torch import Tensor

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")


@triton.jit
def product(a, b, DTYPE: tl.constexpr):
    """Return the matrix product of a and b rounded to DTYPE, summed in float32.

    float32 is multiplied as three products of tf32, 22 bits of 24: products of float32 itself have no tensor cores,
    and compiled from 64 x 64 tiles they need more registers than there are.
    """
    a, b = a.to(DTYPE), b.to(DTYPE)
    if INTERPRETED:
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, input_precision="tf32x3")


def tile(size: int, largest: int, smallest: int = 16) -> int:
    """Return the power of two that covers `size`, kept between `smallest` and `largest`."""
    return max(smallest, min(largest, triton.next_power_of_2(size)))


def dense_rows(x: Tensor, inner: int = 1) -> Tensor:
    """Return x, copied only if the last `inner` dimensions do not lie next to one another."""
    expected = 1
    for dim in range(1, inner + 1):
        if x.shape[-dim] != 1 and x.stride(-dim) != expected:
            return x.contiguous()
        expected *= x.shape[-dim]
    return x
