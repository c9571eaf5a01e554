"""What makes torch's sums on the CPU the same bytes everywhere, beside the switches of `determinism`.

MKL's one mode that is the same on Intel and AMD multiplies matrices at 0.4 of the usual speed. OpenBLAS (in
numpy, and held at its Haswell kernels) has the same bytes on both, at full speed. So products of matrices are
numpy's here, for any network; the rest that calls a BLAS (`mv`, convolutions) stays with MKL, CUDA as it was.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
import torch
from torch import Tensor

NOT_IN_BLAS = (torch.float16, torch.bfloat16)


def reproducible(threads: int) -> None:
    """For the whole process and from here on: deterministic kernels, so many threads, numpy's products."""
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # the flag alone, without the compiler: a second of imports
    if torch.cuda.is_available():
        torch.use_deterministic_algorithms(True)  # what is compiled, too
    threadpoolctl.threadpool_limits(threads, user_api="blas")
    _numpys_products()


@cache
def _numpys_products() -> torch.library.Library:
    """Replace ATen's kernels, until the result is dropped. Gradients are products too, so they follow."""
    kernels = torch.library.Library("aten", "IMPL")
    for name, kernel in (("mm", product), ("bmm", product), ("addmm", added_product)):
        kernels.impl(name, kernel, "CPU", allow_override=True)
    return kernels


def product(left: Tensor, right: Tensor) -> Tensor:
    """[..., n, k] by [..., k, m]; half precision is summed in float32, as ATen does."""
    if left.dtype in NOT_IN_BLAS:
        return product(left.float(), right.float()).to(left.dtype)
    return torch.from_numpy(np.matmul(left.numpy(force=True), right.numpy(force=True)))


def added_product(bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
    """`beta * bias + alpha * left @ right`; a bias of weight 0 is not looked at, even if it is NaN."""
    found = product(left, right)
    if alpha != 1:
        found *= alpha
    return found.add_(bias, alpha=beta) if beta else found
