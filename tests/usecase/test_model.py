"""The network's shape, and what its members share."""

from __future__ import annotations

import pytest
import torch

from usecase.model import build
from usecase.params import Model


def made(members: int = 3, layers: int = 2, cardinalities: tuple[int, ...] = (4, 2)) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(cardinalities, 5, 2, Model(width=8, layers=layers, members=members, embedding=3))


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cardinalities", [(), (4,), (4, 2)])
def test_scores_of_every_member(members: int, layers: int, cardinalities: tuple[int, ...]) -> None:
    network = made(members, layers, cardinalities)
    codes = torch.zeros(7, len(cardinalities), dtype=torch.int64)
    scores = network(codes, torch.randn(7, 5))
    assert scores.shape == (7, members, 2)
    scores.square().mean().backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in network.parameters())


def test_members_differ_and_vocabularies_do_not_touch() -> None:
    network = made()
    numbers = torch.zeros(1, 5)
    scores = network(torch.tensor([[3, 0]]), numbers)
    assert not torch.allclose(scores[:, 0], scores[:, 1])
    other = network(torch.tensor([[3, 1]]), numbers)
    assert not torch.allclose(scores, other)
    network.table.weight.data[:4] += 1  # the first vocabulary alone
    assert not torch.allclose(network(torch.tensor([[3, 1]]), numbers), other)


def test_more_members_cost_few_parameters() -> None:
    count = {m: sum(weights.numel() for weights in made(m).parameters()) for m in (1, 2)}
    assert count[2] < 1.5 * count[1]


def test_rows_do_not_see_each_other() -> None:
    network, codes, numbers = made(), torch.randint(0, 2, (6, 2)), torch.randn(6, 5)
    whole = network(codes, numbers)
    torch.testing.assert_close(network(codes[2:4], numbers[2:4]), whole[2:4])
