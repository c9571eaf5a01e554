"""AdamW (Loshchilov and Hutter 2019) by torch's fused kernel, without `torch.optim`.

`torch.optim.AdamW` is the same kernel (a test compares them to the byte), but making one imports the
compiler: 5 s of processor time at the start of every training.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

BETAS = (0.9, 0.999)  # of the running means of gradient and squared gradient
EPSILON = 1e-8


class AdamW:
    """Updates `parameters` in place; `moments` and `steps` are all its state."""

    def __init__(self, parameters: Iterable[Tensor], weight_decay: float) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.weight_decay = weight_decay
        self.means = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.squares = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """One update from the gradients, which are then forgotten."""
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in self.parameters
        ]
        torch._foreach_add_(self.steps, 1)
        torch._fused_adamw_(
            self.parameters,
            gradients,
            self.means,
            self.squares,
            [],
            self.steps,
            lr=lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self.weight_decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
        for parameter in self.parameters:
            parameter.grad = None

    def state(self) -> dict[str, Tensor]:
        """The tensors themselves, by name."""
        kinds = {"mean": self.means, "square": self.squares, "step": self.steps}
        return {
            f"{kind}.{index}": tensor for kind, found in kinds.items() for index, tensor in enumerate(found)
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Take over what `state` gave. Raises KeyError when it is another optimizer's."""
        for name, tensor in self.state().items():
            tensor.copy_(state[name])
