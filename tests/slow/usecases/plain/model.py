"""A plain network."""

import torch
from torch import Tensor, nn

from usecase.params import Model


class Plain(nn.Module):
    def __init__(self, cardinalities: tuple[int, ...], numerics: int, outputs: int, params: Model) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(size, 2) for size in cardinalities)
        self.layers = nn.Sequential(
            nn.Linear(2 * len(cardinalities) + numerics, params.width), nn.ReLU(), nn.Dropout(params.dropout),
            nn.Linear(params.width, outputs),
        )  # fmt: skip

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        embedded = [layer(codes[:, index]) for index, layer in enumerate(self.embeddings)]
        return self.layers(torch.cat([*embedded, numbers], 1)).unsqueeze(1)


def build(cardinalities: tuple[int, ...], numerics: int, outputs: int, params: Model) -> nn.Module:
    return Plain(cardinalities, numerics, outputs, params)
