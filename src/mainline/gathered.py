"""Everything a report speaks of, from the work tree and from the commit it is held against."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import ValidationError

from mainline import champion, ledger, mainbranch, policy, reproduction, trailers, upcoming
from mainline.errors import GitError, MainlineError
from mainline.git import Git
from mainline.profile import Profile
from mainline.records import Features, Manifest, Metrics, Record, Training, Validation
from mainline.report.facts import Base, Facts
from mainline.report.headline import COMPARE
from mainline.review import Gate, LockState, Run
from mainline.settings import PARAMS
from mainline.trailers import Told

LOCK = Path("dvc.lock")
PLOTS = Path("reports/plots")
STAGES = Path(".mainline/stages")
LAST_RUN = Path(".mainline/mlflow/last_run.json")
COMMITS = 200  # of the lock, that are asked for the seconds of its stages
VALIDATIONS = (Validation.location, Path("reports/validation_features.json"))
R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller says: the base (a tag, branch or commit), the title, and where to see more."""

    base: str | None = None
    title: str = ""
    run_url: str = ""
    mlflow_url: str = ""


def gather(asked: Asked, git: Git) -> Facts:
    """Everything that is there. Raises GitError outside of a repository, and for a base that is no commit."""
    commit = git("rev-parse", "HEAD")
    problems: list[str] = []
    gate = _record(Gate, Gate.location, problems)
    told = _told(git)
    return Facts(
        commit=commit,
        branch=git.branch() or os.environ.get("GITHUB_HEAD_REF") or os.environ.get("CHANGE_BRANCH") or "",
        title=asked.title,
        base=_base(git, asked.base, gate, problems),
        lock_sha256=hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None,
        outputs=_outputs(LOCK.read_bytes() if LOCK.is_file() else None),
        gate=gate,
        lock=_record(LockState, LockState.location, problems),
        run=_run(git, told, problems),
        metrics=_record(Metrics, Metrics.location, problems),
        training=_record(Training, Training.location, problems),
        features=_record(Features, Features.location, problems),
        manifest=_record(Manifest, Manifest.location, problems),
        profile=_record(Profile, Profile.location, problems),
        validations=tuple(v for path in VALIDATIONS if (v := _record(Validation, path, problems))),
        params=_params(PARAMS.read_bytes() if PARAMS.is_file() else None, "the work tree", problems),
        failed=_failed(Path("dvc.yaml")),
        seconds={name: value for one in reversed(told) for name, value in one.seconds.items()},
        calibration=_calibration(PLOTS / "calibration.csv"),
        following=_following(git),
        plots=tuple(path.stem for path in sorted(PLOTS.glob("*.svg"))),
        run_url=asked.run_url,
        mlflow_url=_mlflow_url(asked.mlflow_url, told),
        mlflow_run=_mlflow_here(),
        problems=tuple(problems),
    )


def _following(git: Git) -> str:
    """The version that a merge would get, by the tags of this clone; empty where that cannot be known."""
    with suppress(MainlineError):
        book = ledger.here(git, policy.release().model)
        base = mainbranch.main_branch(git)
        step = upcoming.following(git, replace(book, main=base.tip if base else None), "HEAD")
        return f"{step.version}, {step.reason}"
    return ""


def _record(kind: type[R], path: Path, problems: list[str]) -> R | None:
    return _parsed(kind, path.read_bytes(), str(path), problems) if path.is_file() else None


def _parsed(kind: type[R], content: bytes, name: str, problems: list[str]) -> R | None:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        problems.append(f"{name} cannot be read as a record ({where}: {first['msg']})")
        return None


def _base(git: Git, chosen: str | None, gate: Gate | None, problems: list[str]) -> Base:
    """The commit that was asked for, else the champion's, else where HEAD left main: what main has done
    since is nothing that this branch changed. Raises GitError for the first.
    """
    name, commit = "", None
    if chosen:
        name, commit = chosen, mainbranch.commit_of(git, chosen)
    elif gate is not None and gate.champion.commit:
        name, commit = gate.champion.name, _commit(git, gate.champion.commit)
    elif main := _main(git):
        name, commit = main
    if commit is None:
        problems.append(f"{name or 'a main branch'} is not in this clone: nothing to show changes against")
        return Base(name=name or "none")
    return Base(
        name=name,
        commit=commit,
        metrics=_of(git, commit, Metrics, problems),
        profile=_of(git, commit, Profile, problems),
        params=_params(champion.blob(git, commit, str(PARAMS)), name, problems),
        outputs=_outputs(champion.blob(git, commit, str(LOCK))),
    )


def _main(git: Git) -> tuple[str, str] | None:
    try:
        found = mainbranch.main_branch(git)
    except GitError:
        return None
    return (found.name, found.fork) if found else None


def _commit(git: Git, name: str) -> str | None:
    try:
        return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    except GitError:
        return None


def _of(git: Git, commit: str, kind: type[R], problems: list[str]) -> R | None:
    content = champion.blob(git, commit, str(kind.location))
    return None if content is None else _parsed(kind, content, f"{kind.location} of {commit[:12]}", problems)


def _params(content: bytes | None, where: str, problems: list[str]) -> Mapping[str, Any] | None:
    try:
        found = yaml.safe_load(content) if content is not None else None
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None
    if isinstance(found, dict):
        return found
    problems.append(f"params.yaml of {where} is missing or cannot be read")
    return None


def _outputs(content: bytes | None) -> dict[str, str]:
    """md5 by path of a lock; empty when it cannot be read, which `mainline lock` tells."""
    try:
        return reproduction.outputs(yaml.safe_load(content or b"{}"))
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
        return {}


def _failed(pipeline: Path) -> dict[str, int]:
    """Stages whose last run stopped, the latest first; and the gate's comparison."""
    try:
        names = {*yaml.safe_load(pipeline.read_bytes())["stages"], COMPARE}
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError):
        return {}
    found = {}
    notes = (path for path in STAGES.glob("*.json") if path.stem in names)
    for path in sorted(notes, key=lambda path: -path.stat().st_mtime):
        try:
            code = int(json.loads(path.read_text())["exit_code"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if code:
            found[path.stem] = code
    return found


def _told(git: Git) -> list[Told]:
    """What the lock's commits tell of their runs, the newest first."""
    try:
        log = git("log", f"--max-count={COMMITS}", "--format=%B%x1e", "--", str(LOCK))
    except GitError:
        return []
    return [trailers.read(message) for message in log.split("\x1e") if message]


def _run(git: Git, told: list[Told], problems: list[str]) -> Run | None:
    """What made this lock: here, or, as its commit tells, where CI trained for this branch."""
    here = _record(Run, Run.location, problems)
    if (here and here.ran + here.cached) or not told or not _of_this_branch(git):
        return here
    ran, cached = list(told[0].seconds), list(told[0].cached)
    if not ran + cached:
        return here
    try:
        stages = yaml.safe_load(Path("dvc.yaml").read_bytes())["stages"]
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        stages = {}
    return Run(
        ran=ran,
        cached=cached,
        unchanged=[str(name) for name in stages if name not in ran + cached],
        seconds=told[0].seconds,
        lock_sha256=hashlib.sha256(LOCK.read_bytes()).hexdigest() if LOCK.is_file() else None,
    )


def _of_this_branch(git: Git) -> bool:
    """Whether the lock in the work tree is that of a commit which the main branch has not."""
    try:
        base = mainbranch.main_branch(git)
        git("diff", "--quiet", "HEAD", "--", str(LOCK))
        return bool(base and git("log", "--max-count=1", "--format=%H", f"{base.tip}..HEAD", "--", str(LOCK)))
    except GitError:
        return False


def _calibration(path: Path) -> tuple[tuple[float, float], ...]:
    """Predicted and observed share of each bin; empty without the plot's data."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            found = [(float(row["predicted"]), float(row["observed"])) for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return ()
    return tuple(point for point in found if all(map(math.isfinite, point)))


@dataclass(frozen=True, slots=True)
class LastRun:
    """Where the newest run of this work tree is: the server's address without name and password.

    `model`: sha256 of the model that it made, empty before there is one.
    """

    server: str
    experiment: str
    run: str
    told: float  # seconds since 1970
    model: str = ""

    @property
    def page(self) -> str:
        return _page(self.experiment, self.run)


def last_run() -> LastRun | None:
    """None when nothing was tracked here."""
    try:
        last = json.loads(LAST_RUN.read_text())
        server = re.sub(r"//[^/@]*@", "//", last["tracking_uri"])
        told, model = LAST_RUN.stat().st_mtime, str(last.get("model_sha256", ""))
        return LastRun(server, str(last["experiment_id"]), str(last["run_id"]), told, model)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def began(stage: str) -> float | None:
    """When a stage last began to run here, seconds since 1970; None where it left no note."""
    note = STAGES / f"{stage}.json"
    try:
        return note.stat().st_mtime - float(json.loads(note.read_text())["seconds"]["total"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _mlflow_url(asked: str, told: list[Told]) -> str:
    """The run's page: of the run here, else as the lock's commit tells on the server that was asked for."""
    last = last_run()
    if not asked and last and last.server.startswith("http"):
        return f"{last.server}/{last.page}"
    run = told[0].mlflow if told else None
    return f"{asked.rstrip('/')}/{_page(*run)}" if asked and run else asked


def _mlflow_here() -> str:
    """How to see the run where MLflow is a local file."""
    last = last_run()
    return f"make mlflow, then {last.page}" if last and not last.server.startswith("http") else ""


def _page(experiment: str, run: str) -> str:
    return f"#/experiments/{experiment}/runs/{run}"
