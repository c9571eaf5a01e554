"""The whole error tree. Each error says what happened, why, and what to do, and owns its exit code.

A decision ("the gate said no") and a failure ("it crashed") never share a code; 1 is left to crashes
nobody foresaw and 2 to wrong usage, as Python and argparse have it.
"""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import ClassVar

# What the system says when a disk, a quota or a file takes no more.
DISK_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class Answer(IntEnum):
    """Exit codes of verbs that ask a question and got an answer other than yes; nothing failed."""

    STALE = 30
    BROKEN = 31
    HOLD = 32
    BLOCK = 33
    OUT_OF_BAND = 34
    WATCH = 35
    RETRAIN = 36
    INSUFFICIENT = 37


class MainlineError(Exception):
    """Base of every error we raise on purpose.

    Args:
        what: the thing that went wrong, named.
        why: the reason, when it is known.
        remedy: what the reader can do about it.
    """

    exit_code: ClassVar[int] = 10

    def __init__(self, what: str, *, why: str = "", remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"  why: {self.why}")
        if self.remedy:
            lines.append(f"  do:  {self.remedy}")
        return "\n".join(lines)


def of_exit_code(code: int, otherwise: type[MainlineError] = MainlineError) -> type[MainlineError]:
    """The class that owns an exit code, of another process of ours; `otherwise` where none does."""
    return {kind.exit_code: kind for kind in MainlineError.__subclasses__()}.get(code, otherwise)


class ConfigError(MainlineError):
    """`params.yaml` (or a flag) asks for something that does not exist or cannot be."""

    exit_code = 11


class SourceError(MainlineError):
    """The data source does not answer, or what it gave cannot be read."""

    exit_code = 12


class DataError(MainlineError):
    """The data breaks a critical expectation, or leaves nothing to work with."""

    exit_code = 13


class TrainingError(MainlineError):
    """Training cannot give a model that may be used, e.g. the loss became NaN."""

    exit_code = 14


class CheckpointError(MainlineError):
    """A checkpoint is damaged, or belongs to other parameters."""

    exit_code = 15


class IntegrityError(MainlineError):
    """A file is not the one its record names: changed, incomplete, or of a forbidden format."""

    exit_code = 16


class ParityError(MainlineError):
    """Two forms of the same model do not give the same answers."""

    exit_code = 17


class StorageError(MainlineError):
    """DVC, its cache or its remote failed, or an object is missing."""

    exit_code = 18


class RecordError(MainlineError):
    """A record is missing, malformed, or of a version this code does not know."""

    exit_code = 19


class ReproductionError(MainlineError):
    """A reproduction ended with other figures than the lock promises."""

    exit_code = 20


class GitError(MainlineError):
    """git refused or failed."""

    exit_code = 21


class ForgeError(MainlineError):
    """The forge (GitHub) refused, failed, or could not be reached."""

    exit_code = 22


class SupersededError(MainlineError):
    """The branch moved on while we worked: the newer commit's run does the rest."""

    exit_code = 23


class DeployError(MainlineError):
    """A deployment did not take: the new service fails its checks, or the target did not take it."""

    exit_code = 24


class ServiceError(MainlineError):
    """A service beside Git (MLflow, Sigstore) did not answer or refused; Git and the remote lose nothing."""

    exit_code = 25


class Interrupted(MainlineError):
    """Stopped by a signal after saving its state; the same command goes on from there (EX_TEMPFAIL)."""

    exit_code = 75
