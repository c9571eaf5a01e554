"""Matrix products by numpy's OpenBLAS: the same answers, gradients and types as ATen's own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# In a process of its own: what is replaced, is replaced for the rest of a process.
SCRIPT = """
import json, sys
from pipeline import determinism
determinism.pin()
import torch
from pipeline.training import arithmetic

CASES = {
    "mm": lambda: (torch.randn(7, 5), torch.randn(5, 3)),
    "mm of a transposed": lambda: (torch.randn(5, 7).t(), torch.randn(3, 5).t()),
    "mm of a slice": lambda: (torch.randn(14, 10)[::2, ::2], torch.randn(5, 3)),
    "mm of whole numbers": lambda: (torch.arange(35).view(7, 5), torch.arange(15).view(5, 3)),
    "mm in half precision": lambda: (torch.randn(7, 5).bfloat16(), torch.randn(5, 3).bfloat16()),
    "mm without rows": lambda: (torch.zeros(0, 5), torch.randn(5, 3)),
    "mm without inner": lambda: (torch.zeros(7, 0), torch.zeros(0, 3)),
    "bmm": lambda: (torch.randn(4, 7, 5), torch.randn(4, 5, 3)),
    "bmm of a permuted": lambda: (torch.randn(7, 4, 5).transpose(0, 1), torch.randn(4, 5, 1)),
    "addmm": lambda: (torch.randn(3), torch.randn(7, 5), torch.randn(5, 3)),
    "addmm of a matrix": lambda: (torch.randn(7, 3), torch.randn(7, 5), torch.randn(5, 3)),
}
WEIGHTS = {"addmm, weighed": {"beta": 0.5, "alpha": 2.0}, "addmm, no bias": {"beta": 0}}

def answer(name, inputs, weights):
    inputs = [value.requires_grad_() if value.is_floating_point() else value for value in inputs]
    found = getattr(torch, name.split()[0].rstrip(","))(*inputs, **weights)
    if found.requires_grad:
        found.float().pow(2).sum().backward()
    gradients = [value.grad for value in inputs if value.is_leaf and value.grad is not None]
    return [found.detach(), *gradients]

def every():
    torch.manual_seed(0)
    for name, make in CASES.items():
        yield name, answer(name, [value.detach() for value in make()], {})
    for name, weights in WEIGHTS.items():
        bias = torch.full((3,), float("nan")) if weights["beta"] == 0 else torch.randn(3)
        yield name, answer(name, [bias, torch.randn(7, 5), torch.randn(5, 3)], weights)
    layer = torch.nn.Linear(5, 3)
    with torch.inference_mode():
        yield "a layer, inference", [layer(torch.randn(7, 5))]

usual = dict(every())
calls = []
own = arithmetic.product
arithmetic.product = lambda left, right: calls.append(1) or own(left, right)
arithmetic.reproducible(int(sys.argv[1]))
ours = dict(every())
told = {
    name: all(
        a.shape == b.shape and a.dtype == b.dtype
        and torch.allclose(a, b, rtol=1e-2 if a.dtype == torch.bfloat16 else 1e-5, atol=1e-5, equal_nan=True)
        for a, b in zip(usual[name], ours[name], strict=True)
    )
    for name in usual
}
import threadpoolctl
pools = [one["num_threads"] for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"]
print(json.dumps({"same": told, "calls": len(calls), "threads": pools, "torch": torch.get_num_threads()}))
"""


@pytest.fixture(scope="module", params=[1, 2])
def told(request: pytest.FixtureRequest) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(request.param)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {"asked": request.param, **json.loads(done.stdout)}


def test_products_and_their_gradients_are_those_of_aten(told: dict[str, object]) -> None:
    same = told["same"]
    assert isinstance(same, dict) and len(same) == 14
    assert not [name for name, held in same.items() if not held]


def test_the_products_are_really_numpys(told: dict[str, object]) -> None:
    assert isinstance(told["calls"], int) and told["calls"] > 14  # gradients too


def test_blas_has_as_many_threads_as_torch(told: dict[str, object]) -> None:
    assert told["threads"] == [told["asked"]]
    assert told["torch"] == told["asked"]
