"""`python -m pipeline STAGE`: pin the processor's choices, run one stage, turn errors into exit codes."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path

from mainline.errors import DISK_FULL, ConfigError, Interrupted, MainlineError, StorageError
from mainline.interrupts import insistent
from mainline.records import write_atomically
from pipeline import determinism, paths

STAGES = {
    "ingest": "read the source up to data.as_of, one Parquet file a month",
    "validate": "hold every batch against the use case's expectations (--features: the feature table)",
    "featurize": "build the time-ordered train, validation and test sets",
    "profile": "sketch the raw and the modelling tables, so that two commits' data can be compared",
    "train": "fit the torch model, on a GPU if there is one",
    "evaluate": "figures with intervals, baselines, slices and plots on the test window",
    "export": "ONNX, manifest and model card",
    "compare": "the candidate beside the model in .mainline/champion, on the same rows (not a DVC stage)",
    "params": "check params.yaml and the use case, and run nothing (not a DVC stage)",
    "walkforward": "the model against the baselines, month after month (not a DVC stage)",
}
MODULES = {"params": "interface"}  # it checks first what `params` imports
FIRST = "ingest"  # asks the same first: plain `dvc repro` would find it after the training
FEATURES_TOO = ["validate", "--features"]


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; 0, the error's own exit code, or 2 for a stage that does not exist."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in STAGES:
        print(_usage(), file=sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    if arguments[1:] != [] and arguments != FEATURES_TOO:
        print(f"{arguments[0]} does not know {' '.join(arguments[1:])!r}\n\n{_usage()}", file=sys.stderr)
        return 2
    started = time.perf_counter()
    startup = _seconds_since_process_start()
    name = "-".join(arguments).replace("--", "")
    (paths.STAGES / f"{name}.json").unlink(missing_ok=True)  # a crash must not be told by an old exit code
    determinism.pin()
    try:
        if arguments[0] == FIRST:  # by name, as it makes none of the bytes: no dep of the stage
            importlib.import_module("pipeline.interface").main([])
        module = importlib.import_module(f"pipeline.{MODULES.get(arguments[0], arguments[0])}")
        imported = time.perf_counter()
        with insistent():
            code = module.main(arguments[1:]) or 0
    except (Exception, KeyboardInterrupt) as error:
        told = _foreseen(error)
        if told is None:
            raise
        print(f"{arguments[0]}: {told}", file=sys.stderr)
        imported, code = started, told.exit_code
    seconds = {
        "startup": startup + imported - started,
        "total": startup + time.perf_counter() - started,
    }
    _note(name, code, seconds)
    return code


def _foreseen(error: BaseException) -> MainlineError | None:
    """The same as an error of ours; None for a crash, whose traceback is to be seen."""
    if isinstance(error, MainlineError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Interrupted("stopped", remedy="run the same command again")
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return StorageError(
            f"no room to write {error.filename or 'an output'}",
            why=error.strerror or "",
            remedy="free disk space (old cache objects: dvc gc -w), then run the same command again",
        )
    return _of_use_case(error)


def _of_use_case(error: BaseException) -> ConfigError | None:
    """A file of the use case whose import raised, and the line there; None where something else did."""
    places = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_name == "<module>" and frame.f_globals["__name__"].partition(".")[0] == "usecase"
    ]
    if isinstance(error, SyntaxError) and Path(error.filename or "").parent.name == "usecase":
        places.append((error.filename or "", error.lineno or 1))
    if not places:
        return None
    file, line = places[-1]
    said = " ".join((error.msg if isinstance(error, SyntaxError) else str(error)).split())
    return ConfigError(
        f"src/usecase/{Path(file).name}, line {line}: {type(error).__name__}: {said}",
        why="the file cannot be imported, so no stage that reads it can run",
        remedy="correct it there; `python -m pipeline params` asks again, in half a second",
    )


def _usage() -> str:
    lines = [f"  {name:12} {text}" for name, text in STAGES.items()]
    return "\n".join(["usage: python -m pipeline STAGE", "", *lines, "", "example: python -m pipeline train"])


def _seconds_since_process_start() -> float:
    """How long Python took to get here. Linux only; 0 elsewhere."""
    try:
        ticks = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def _note(name: str, code: int, seconds: dict[str, float]) -> None:
    """Leave seconds and exit code for `mainline run`; DVC passes neither on."""
    content = {"stage": name, "exit_code": code, "seconds": {k: round(v, 3) for k, v in seconds.items()}}
    with contextlib.suppress(OSError):  # it is only a note
        write_atomically(paths.STAGES / f"{name}.json", json.dumps(content).encode())


if __name__ == "__main__":
    sys.exit(main())
