"""Print one digest of a few training steps, a solver and a sum, under the pins: run natively and emulated.

An argument replaces MKL's mode, e.g. AVX2.
"""

import os
import sys

from pipeline import determinism

determinism.pin()
os.environ["MKL_CBWR"] = sys.argv[1] if len(sys.argv) > 1 else os.environ["MKL_CBWR"]

import hashlib  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(determinism.THREADS)
torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
ROWS, BATCH = 3000, 1000
x, y = torch.randn(ROWS, 96), (torch.rand(ROWS) < 0.2).float()
net = torch.nn.Sequential(
    torch.nn.Linear(96, 128),
    torch.nn.SiLU(),
    torch.nn.Linear(128, 64),
    torch.nn.ReLU(),
    torch.nn.Linear(64, 1),
)
optimizer = torch.optim.AdamW(net.parameters(), 1e-3, fused=True)
for start in range(0, ROWS, BATCH):
    scores = net(x[start : start + BATCH]).squeeze(1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, y[start : start + BATCH])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
values = np.random.default_rng(0).normal(size=(500, 40))
parts = [parameter.detach().numpy() for parameter in net.parameters()]
parts += [np.exp(values), np.log(np.abs(values)), values.T @ values, np.linalg.inv(values.T @ values)]
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
