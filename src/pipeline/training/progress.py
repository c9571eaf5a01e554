"""Where a training stands: all that changes while it runs, and the way into a checkpoint and back."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mainline.records import Epoch
from pipeline.params import Train
from pipeline.training.checkpoint import Checkpoint
from pipeline.training.optimizer import AdamW
from pipeline.training.predictor import Predictor


@dataclass
class Run:
    """All that changes while training, and so all that a checkpoint holds."""

    model: Predictor
    optimizer: AdamW
    generator: torch.Generator  # order of the rows, hidden values
    loss: Tensor  # float64 sum of the epoch's batches so far, on the device
    epoch: int = 0
    batch: int = 0
    batches: int = 0  # of an epoch
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    @property
    def best_epoch(self) -> int:
        """Whole epochs until the best validation loss; 0 before the first."""
        return best(self.history).epoch if self.history else 0


def best(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss; of equal ones the first."""
    return min(history, key=lambda epoch: (epoch.validation_loss, epoch.epoch))


def start(model: Predictor, settings: Train) -> Run:
    """A run at its first batch."""
    return Run(
        model=model,
        optimizer=AdamW(model.parameters(), settings.weight_decay),
        generator=torch.Generator().manual_seed(settings.seed),
        loss=torch.zeros((), dtype=torch.float64, device=model.slope.device),
    )


def capture(run: Run, order: Tensor) -> Checkpoint:
    """`order`: the generator's state before this epoch was shuffled, to do it again."""
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in run.best.items()}
    tensors |= {f"optimizer.{name}": value for name, value in run.optimizer.state().items()}
    tensors |= {"generator": order, "rng": torch.get_rng_state(), "loss": run.loss}
    if run.loss.is_cuda:
        tensors["rng_cuda"] = torch.cuda.get_rng_state()
    tensors = {name: value.detach().clone() for name, value in tensors.items()}
    history = [epoch.model_dump() for epoch in run.history]
    state = {"epoch": run.epoch, "batch": run.batch, "history": history}
    return Checkpoint(run.epoch * run.batches + run.batch, tensors, state)


def restore(run: Run, found: Checkpoint) -> None:
    """Set `run`, which has just started, to where `found` was captured."""
    tensors = found.tensors
    run.model.load_state_dict(_under("model", tensors))
    run.optimizer.load(_under("optimizer", tensors))
    run.generator.set_state(tensors["generator"])
    torch.set_rng_state(tensors["rng"])
    if run.loss.is_cuda:
        torch.cuda.set_rng_state(tensors["rng_cuda"])
    run.loss.copy_(tensors["loss"])
    run.best = {name: value.to(run.loss.device) for name, value in _under("best", tensors).items()}
    run.epoch, run.batch = found.state["epoch"], found.state["batch"]
    run.history = [Epoch.model_validate(epoch) for epoch in found.state["history"]]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.split(".", 1)[1]: value for name, value in tensors.items() if name.startswith(f"{prefix}.")}
