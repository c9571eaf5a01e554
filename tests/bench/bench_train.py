"""Rows per second of the training loop, beside the usual loops: same model, batches, machine and pins."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from pipeline import determinism

determinism.pin()

import torch  # noqa: E402
from torch.utils.data import DataLoader, Dataset  # noqa: E402

from pipeline import params, train  # noqa: E402
from pipeline.training import arithmetic, progress, tensors  # noqa: E402
from tests.pipeline.rows import feature_rows  # noqa: E402
from usecase.schema import FEATURES  # noqa: E402

ROWS, QUICK_ROWS = 200_000, 30_000
PLAIN = {"members": 1, "layers": 1, "width": 48}  # small, so that the loop weighs more than the model
ROUNDS = 3  # the best counts: other work on the machine only ever slows a loop down
BARS = {"a Dataset of rows": 4.0, "Lightning, whole batches": 2.0}
Loop = Callable[[], None]


class RowsOneByOne(Dataset[Any]):
    """What most tutorials do."""

    def __init__(self, rows: tensors.Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        return self.rows.codes[index], self.rows.numbers[index], self.rows.target[index]


class RowsByBatch(RowsOneByOne):
    """The loader asks for a whole batch of indices at once."""

    def __getitems__(self, indices: list[int]) -> tuple[torch.Tensor, ...]:
        chosen = torch.tensor(indices)
        return self.rows.codes[chosen], self.rows.numbers[chosen], self.rows.target[chosen]


def main() -> int:
    shipped = params.load().train
    plain = shipped.model_copy(update={"model": shipped.model.model_copy(update=PLAIN)})
    for name, settings in (("the model of params.yaml", shipped), ("a plain net", plain)):
        compare(name, settings, QUICK_ROWS if "--quick" in sys.argv else ROWS)
    return 0


def compare(name: str, settings: params.Train, count: int) -> None:
    """Print one table: our loop beside the usual ones, and beside what the processor could do."""
    if "--mkl" in sys.argv:  # ATen's own products under the same pins: what `arithmetic` saves
        torch.set_num_threads(settings.threads)
    else:
        arithmetic.reproducible(settings.threads)
    device = train.choose_device(settings.device)
    frame = feature_rows(count, seed=0)
    model, rows, _ = tensors.prepare(frame, frame, FEATURES, settings)
    model, rows = model.to(device), rows.to(device)
    loops: dict[str, Loop] = {
        "ours": lambda: ours(model, rows, settings),
        "a Dataset of rows": lambda: usual(model, rows, settings),
    }
    try:
        loops["Lightning, whole batches"] = lightning(model, rows, settings)
    except ImportError:
        print("Lightning is left out: it is in the group `bench` (uv run --group bench ...)", file=sys.stderr)
    speeds = {name: len(rows) / min(_seconds(loop) for _ in range(ROUNDS)) for name, loop in loops.items()}
    size, batch = train.count(model), settings.batch_size
    print(f"\n{name}: {size:,} parameters, {train.device_class(device)}, batches of {batch}\n")
    print("| loop | rows/s | ours is faster by | bar |\n|---|---:|---:|---:|")
    for loop, speed in speeds.items():
        print(f"| {loop} | {speed:,.0f} | {speeds['ours'] / speed:.1f} × | {BARS.get(loop, 1.0):.0f} × |")
    useful, possible = 3 * multiplications(model) * 2 * speeds["ours"], matmul_rate(device)
    print(f"\n{useful / 1e9:.1f} of {possible / 1e9:.0f} GFLOP/s of a large product: {useful / possible:.0%}")


def _seconds(loop: Loop) -> float:
    started = time.perf_counter()
    loop()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ours(model: Any, rows: tensors.Rows, settings: params.Train) -> None:
    """One epoch without the validation that follows it."""
    train.epoch(progress.start(model, settings), train.loss_function(model), rows, settings)


def usual(model: Any, rows: tensors.Rows, settings: params.Train) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=settings.weight_decay)
    loader = DataLoader(RowsOneByOne(rows), batch_size=settings.batch_size, shuffle=True, drop_last=True)
    for codes, numbers, target in loader:
        optimizer.zero_grad()
        loss = train.members_loss(model.spec.task, model.raw(codes, numbers), target)
        loss.backward()
        optimizer.step()


def lightning(model: Any, rows: tensors.Rows, settings: params.Train) -> Loop:
    """Raises ImportError where Lightning is not installed."""
    import lightning as pl

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: tuple[torch.Tensor, ...], _: int) -> torch.Tensor:
            codes, numbers, target = batch
            return train.members_loss(model.spec.task, model.raw(codes, numbers), target)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=1e-4, weight_decay=settings.weight_decay)

    def loop() -> None:
        loader = DataLoader(
            RowsByBatch(rows),
            batch_size=settings.batch_size,
            shuffle=True,
            drop_last=True,
            collate_fn=lambda batch: batch,
        )
        trainer = pl.Trainer(
            accelerator="gpu" if rows.target.is_cuda else "cpu",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(), loader)

    return loop


def multiplications(model: Any) -> int:
    """Multiply-adds of a row's forward pass; backward has twice as many."""
    total = 0
    members = model.network.head.shape[0]
    for name, weights in model.network.named_parameters():
        if weights.ndim == 2 and name.startswith(("codes", "numbers", "hidden")):
            total += weights.numel() * (members if name.startswith("hidden") else 1)
    return total + int(model.network.head.numel())


def matmul_rate(device: torch.device) -> float:
    """FLOP/s of a large float32 (CUDA: bfloat16) matrix product."""
    size, kind = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    one = torch.randn(size, size, device=device, dtype=kind)
    return max(2 * size**3 / _seconds(lambda: one @ one) for _ in range(10))


if __name__ == "__main__":
    sys.exit(main())
