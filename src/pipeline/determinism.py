"""Switches that make the same inputs give the same bytes on every x86-64 processor with AVX2.

They must be set before the first import of numpy, torch or scikit-learn, so `pipeline.__main__` calls
`pin` before it imports a stage.

- ATen and oneDNN choose kernels by processor: both are held at AVX2.
- MKL's AVX2 mode is kept by Intel's processors only; on AMD it runs kernels made for Zen, with other sums
  (`perf` on an EPYC shows `sgemm_kernel_0_zen`). COMPATIBLE is the one mode that is the same on both, and
  slow: `training.arithmetic` gives most of its work to numpy's OpenBLAS. A slow test compares the digest of a
  training with that of an emulated Haswell.
- numpy's exp and log have AVX-512 forms with other last digits; OpenBLAS (in numpy, scipy) chooses by core.
- The number of threads splits sums, so it is a constant, not the machine's core count. MKL must not lower it.
"""

from __future__ import annotations

import os

THREADS = 2
PINS = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": str(THREADS),
    "OMP_DYNAMIC": "FALSE",
    "OMP_WAIT_POLICY": "PASSIVE",  # idle threads that spin made boosting ten times slower on a busy machine
    "MKL_DYNAMIC": "FALSE",
    "MKL_NUM_THREADS": str(THREADS),
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # deterministic cuBLAS
    "PYTHONHASHSEED": "0",  # for subprocesses; our own process never relies on the order of a set
}


def pin() -> None:
    """Set every switch for this process and its children, whatever the shell had set."""
    os.environ.update(PINS)
