"""Checkpoints of a training run: atomic, checksummed, bound to what is trained; safetensors and JSON only.

A file is one safetensors file: tensors (weights, optimizer, random state, best weights) and, under the one
metadata key `checkpoint`, JSON with the fingerprint, the counters and the SHA-256 of the tensors' bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from mainline.errors import CheckpointError
from mainline.records import write_atomically

Tensors = dict[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """Where a run stood: `step` counts optimizer steps from the start, `state` is JSON."""

    step: int
    tensors: Tensors
    state: dict[str, Any]


@dataclass
class Checkpoints:
    """The checkpoints of one training, named by `fingerprint`: parameters, data and code as one digest."""

    folder: Path
    fingerprint: str
    keep: int = 2
    warn: Callable[[str], None] = field(default=lambda text: print(f"warning: {text}", flush=True))

    def save(self, checkpoint: Checkpoint) -> bool:
        """Write and prune. A full disk costs the checkpoint, not the training: it warns and returns False."""
        path = self.folder / self.fingerprint[:16] / f"step-{checkpoint.step:09d}.safetensors"
        try:
            write_atomically(path, _serialise(checkpoint, self.fingerprint))
        except OSError as error:
            self.warn(
                f"no checkpoint at step {checkpoint.step}: {error.strerror or error} ({path}); training "
                "goes on, and would start again from the one before"
            )
            return False
        for old in self._files()[self.keep :]:
            old.unlink(missing_ok=True)
        return True

    def newest(self) -> Checkpoint | None:
        """The newest one that is whole; damaged ones are passed over with a warning."""
        others = [path.name for path in self.folder.glob("*/") if path.name != self.fingerprint[:16]]
        if others:
            self.warn(
                f"left alone in {self.folder}: {len(others)} unfinished, of other parameters, data or code"
            )
        for path in self._files():
            try:
                return read(path, self.fingerprint)
            except CheckpointError as error:
                self.warn(f"{error.what}: {error.why}; trying the one before")
        return None

    def clear(self) -> None:
        """Forget this training: it has finished."""
        shutil.rmtree(self.folder / self.fingerprint[:16], ignore_errors=True)

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted((self.folder / self.fingerprint[:16]).glob("step-*.safetensors"), reverse=True)


def read(path: Path, fingerprint: str) -> Checkpoint:
    """Raises CheckpointError when the file is missing, damaged, or belongs to another training."""
    try:
        with safe_open(path, framework="pt") as file:
            head = json.loads((file.metadata() or {})["checkpoint"])
            expected = head.pop("sha256")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = expected == _digest(tensors, head)
    except (
        SafetensorError,
        OSError,
        LookupError,
        AttributeError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise CheckpointError(
            f"checkpoint {path.name} cannot be read", why=str(error), remedy="delete it and train again"
        ) from None
    if not whole:
        raise CheckpointError(
            f"checkpoint {path.name} is damaged",
            why="its checksum differs",
            remedy="delete it and train again",
        )
    if head["fingerprint"] != fingerprint:
        raise CheckpointError(
            f"checkpoint {path.name} belongs to another training",
            why=f"parameters, data or code differ: {head['fingerprint'][:16]}, not {fingerprint[:16]}",
            remedy="restore what it was made from, or train without it",
        )
    return Checkpoint(head["step"], tensors, head["state"])


def _serialise(checkpoint: Checkpoint, fingerprint: str) -> bytes:
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.tensors.items()}
    head = {"fingerprint": fingerprint, "step": checkpoint.step, "state": checkpoint.state}
    head["sha256"] = _digest(tensors, head)
    return to_safetensors(tensors, metadata={"checkpoint": json.dumps(head, sort_keys=True)})


def _digest(tensors: Tensors, head: dict[str, Any]) -> str:
    sha256 = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        sha256.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        sha256.update(value.numpy().tobytes())
    return sha256.hexdigest()
