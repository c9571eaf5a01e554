"""The network: shared embeddings and layers, and a few members that differ by cheap vectors.

An ensemble in the manner of BatchEnsemble (Wen et al. 2020) and TabM (Gorishniy et al. 2024): the members
share every matrix and scale what it gives by vectors of their own, so that an ensemble costs little more
memory than one network. The first matrix sees the widest input and is multiplied once for all members.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from usecase.params import Model

SPREAD = 0.3  # of the members' scales around one, at the start


class Members(nn.Module):
    """Each member's own scale and bias of what a shared matrix gave, then ReLU."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(1 + SPREAD * torch.randn(members, width) * (members > 1))
        self.bias = nn.Parameter(torch.zeros(members, width))

    def forward(self, shared: Tensor) -> Tensor:
        """[B, 1 or members, width] to [B, members, width]."""
        return torch.relu(torch.addcmul(self.bias, shared, self.scale))


class Network(nn.Module):
    """Embeddings of the codes beside the encoded numbers, then hidden layers, then a head a member."""

    starts: Tensor

    def __init__(self, cardinalities: tuple[int, ...], numerics: int, outputs: int, params: Model) -> None:
        super().__init__()
        starts = torch.tensor([0, *cardinalities]).cumsum(0)[: len(cardinalities)]
        self.register_buffer("starts", starts, persistent=False)  # all vocabularies lie in one table
        self.table = nn.Embedding(sum(cardinalities), params.embedding) if cardinalities else None
        if self.table is not None:
            nn.init.normal_(self.table.weight, std=0.1)
        # The first matrix in two, because the numbers' part needs no gradient of its input.
        embedded = len(cardinalities) * params.embedding
        self.codes = nn.Linear(embedded, params.width, bias=False) if cardinalities else None
        self.numbers = nn.Linear(numerics, params.width, bias=False) if numerics else None
        self.first = Members(params.members, params.width)
        layers = range(params.layers - 1)
        self.hidden = nn.ModuleList(nn.Linear(params.width, params.width, bias=False) for _ in layers)
        self.after = nn.ModuleList(Members(params.members, params.width) for _ in layers)
        self.head = nn.Parameter(torch.randn(params.members, params.width, outputs) * params.width**-0.5)
        self.head_bias = nn.Parameter(torch.zeros(params.members, outputs))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Codes int64 [B, C] and encoded numbers float [B, N] to raw scores [B, members, outputs]."""
        seen = [] if self.numbers is None else [self.numbers(numbers)]
        if self.table is not None and self.codes is not None:
            seen.append(self.codes(self.table(codes + self.starts).flatten(1)))
        x = self.first(sum(seen[1:], seen[0]).unsqueeze(1))
        for matrix, members in zip(self.hidden, self.after, strict=True):
            x = members(matrix(x))
        return torch.einsum("bmi,mio->bmo", x, self.head) + self.head_bias


def build(cardinalities: tuple[int, ...], numerics: int, outputs: int, params: Model) -> nn.Module:
    """The network for so many values of each categorical, encoded numbers and outputs."""
    return Network(cardinalities, numerics, outputs, params)
