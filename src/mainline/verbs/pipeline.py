"""The verbs that run the pipeline: they call the adapters, hand values to the pure parts, and print."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from mainline import policy, reproduction, summary
from mainline.errors import RecordError, ReproductionError
from mainline.gathered import LAST_RUN, last_run
from mainline.git import Git
from mainline.lookout import EVERY, Lookout
from mainline.records import Manifest, Metrics, Training
from mainline.review import Run
from mainline.storage import Dvc, Outcome, without_tokens
from mainline.verbs import bringing, failing, lock, parsing

CHECKED = Path("src/pipeline/params.py")  # other pipelines have keys of their own
PLACES = {
    "model card": "models/MODEL_CARD.md",
    "all figures": "reports/metrics.json",
    "plots": "reports/plots/",
    "data checks": "reports/data_docs/raw/index.html",
    "feature checks": "reports/data_docs/features/index.html",
}


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline run` and `mainline reproduce`."""
    go = parsing.add(
        names,
        "run",
        run,
        "run what changed in the pipeline, then show the figures",
        """\
  mainline run                 everything that is not up to date
  mainline run featurize       only up to that stage
  mainline run --dry-run       which stages would run, and why
  mainline run --pull          fetch from the remote what the changed stages need, and what is here in
                               another version than dvc.lock names; nothing else
  mainline run --json          the figures for a program
  mainline run --while-tip-of BRANCH   in CI: ends, state saved, when origin's BRANCH has another commit""",
    )
    go.add_argument("stages", nargs="*", help="stages of dvc.yaml (default: all)")
    go.add_argument("--dry-run", action="store_true", help="say what would run; change nothing")
    go.add_argument("--pull", action="store_true", help="fetch missing data, and only what is needed")
    go.add_argument(
        "--while-tip-of", metavar="BRANCH", help="end once BRANCH on origin is no longer at this commit"
    )
    go.add_argument(
        "--look-every", type=_pause, default=EVERY, metavar="SECONDS", help=f"at that (default: {EVERY:g})"
    )

    again = parsing.add(
        names,
        "reproduce",
        reproduce,
        "train again from an empty cache and compare",
        """\
  mainline reproduce           clone HEAD, run everything, compare with dvc.lock
  mainline reproduce --keep    leave the clone to look at""",
    )
    again.add_argument("--keep", action="store_true", help="do not remove the clone")


def run(options: argparse.Namespace) -> int:
    """Run what is not up to date and show the figures; `--dry-run` only says what would run."""
    if code := _refused(as_json=options.json):
        return code
    dvc = Dvc()
    dvc.check_stages(options.stages)
    if options.dry_run:
        changed, fetched = bringing.plan(dvc, options.stages) if options.pull else (dvc.status(), [])
        for name, reasons in dvc.leftover().items():
            changed[name] = [
                *changed.get(name, []),
                *(one for one in reasons if one not in changed.get(name, [])),
            ]
        return _show_plan(changed, fetched, as_json=options.json)
    started, say = time.perf_counter(), _printer(as_json=options.json)
    lookout = _lookout(options, say)
    for name, reasons in dvc.forget().items():
        say(f"  {name}: {'; '.join(reasons)}")
    bringing.prepare(dvc, options.stages, say, pull=options.pull)
    result = dvc.reproduce(options.stages, say, pull=options.pull, lookout=lookout)
    if result.failed is not None:
        return failing.of_stage(result.failed, result.output, as_json=options.json)
    _deliver()
    seconds = {name: failing.note(name)["seconds"] for name in result.ran if failing.note(name)}
    _record(result, seconds)
    if options.json:
        print(json.dumps(_outcome(result, seconds)))
        return 0
    _show(result, seconds, time.perf_counter() - started)
    return 0


def _pause(text: str) -> float:
    if not 0 < (seconds := float(text)) < threading.TIMEOUT_MAX:
        raise argparse.ArgumentTypeError("seconds, more than 0")
    return seconds


def _lookout(options: argparse.Namespace, say: Callable[[str], None]) -> Lookout | None:
    """After a first look: a branch that has moved on already raises SupersededError, and nothing begins."""
    if options.while_tip_of is None:
        return None
    git = Git()
    git.check_branch(options.while_tip_of)
    lookout = Lookout(git, options.while_tip_of, say, options.look_every)
    if error := lookout.ask():
        raise error
    return lookout


def _refused(*, as_json: bool) -> int:
    """The exit code with which params.yaml is refused; 0 for a good one. Raises ConfigError for our sections.

    Before anything runs: DVC compares values and knows no keys, and it takes a stage's outputs away first.
    """
    if not CHECKED.exists():
        return 0
    for section in (policy.release, policy.gate, policy.monitor):
        section()
    command = [sys.executable, "-m", "pipeline", "params"]
    done = subprocess.run(command, check=False, env=without_tokens(), stderr=subprocess.PIPE, text=True)
    return failing.of_parameters(done.stderr, done.returncode, as_json=as_json)


def _deliver() -> None:
    """Start sending MLflow what earlier runs left, beside us: to import MLflow alone takes seconds."""
    if any(LAST_RUN.parent.glob("*/events.jsonl")):
        command, null = [sys.executable, "-m", "pipeline.tracking.delivery"], subprocess.DEVNULL
        own = without_tokens()
        subprocess.Popen(command, env=own, stdin=null, stdout=null, stderr=null, start_new_session=True)


def _record(result: Outcome, seconds: dict[str, Any]) -> None:
    """What ran, for the commit of the lock and the report; running nothing does not take that away."""
    found = Run(
        ran=result.ran,
        cached=result.cached,
        unchanged=result.unchanged,
        seconds={name: values["total"] for name, values in seconds.items()},
        lock_sha256=lock.digest(),
    )
    if not found.ran + found.cached:
        with suppress(RecordError):
            if Run.read(Run.location).lock_sha256 == found.lock_sha256:
                return
    found.write(Run.location)


def _outcome(result: Outcome, seconds: dict[str, Any]) -> dict[str, Any]:
    metrics = Metrics.read(Metrics.location).model_dump(mode="json") if Metrics.location.exists() else None
    return {
        "ran": result.ran,
        "cached": result.cached,
        "unchanged": result.unchanged,
        "seconds": seconds,
        "metrics": metrics,
    }


def _show(result: Outcome, seconds: dict[str, Any], elapsed: float) -> None:
    console = Console(highlight=False)
    if not result.ran and not result.cached:
        console.print(f"Everything is up to date ({elapsed:.1f} s).")
    if seconds:
        console.print(_rich(summary.timings(seconds)))
    if Metrics.location.exists():
        metrics = Metrics.read(Metrics.location)
        console.print(_rich(summary.figures(metrics)))
        console.print(f"on {metrics.rows:,} rows in {metrics.blocks} blocks that no training saw")
    for name, place in PLACES.items():
        if Path(place).exists():
            console.print(f"  {name:14} {place}")
    if found := _mlflow_run():
        console.print(f"  {'MLflow run':14} {found}", soft_wrap=True)
    console.print("Next: edit params.yaml or src/usecase/, then `make run`: only changes run again.")


def _mlflow_run() -> str:
    """Where the run that made this model is to be seen; empty where another run was the last one here."""
    last = last_run()
    made: set[str] = set()
    with suppress(RecordError):
        made.update(Manifest.read(Manifest.location).files.values())
    if last is None or last.model not in made:
        return ""
    here = f"make mlflow, then\n{'':17}http://127.0.0.1:5000"
    return f"{last.server if last.server.startswith('http') else here}/{last.page}"


def _rich(table: summary.Table) -> Table:
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(table.header):
        # One word a line where a heading is long, so that the table fits 80 columns.
        heading = name if index < 2 else name.replace(" ", "\n")
        shown.add_column(heading, justify="right" if index else "left", no_wrap=True)
    for row in table.rows:
        shown.add_row(*row)
    return shown


def _show_plan(status: dict[str, Any], fetched: list[str], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"changed": status, **({"fetched": fetched} if fetched else {})}))
        return 0
    if fetched:
        print(f"Other data is here, and would be fetched: {', '.join(fetched)}")
    if not status:
        print("Everything is up to date: nothing would run.")
    else:
        print("These stages would run, and those after them if their outputs change:")
        for stage, reasons in status.items():
            print(f"  {stage}: {_reasons(reasons)}")
    return 0


def _reasons(reasons: list[Any]) -> str:
    found = []
    for reason in reasons:
        if isinstance(reason, dict):
            for kind, files in reason.items():
                found.append(f"{kind} ({', '.join(_changed(*item) for item in files.items())})")
        else:
            found.append(str(reason))
    return "; ".join(found)


def _changed(file: str, what: Any) -> str:
    """A file, or the keys that changed in a file of parameters."""
    return f"{file}: {', '.join(what)}" if isinstance(what, dict) else file


def reproduce(options: argparse.Namespace) -> int:
    """Run HEAD's pipeline in a clone with an empty cache; raises ReproductionError when it differs."""
    folder = Path(tempfile.mkdtemp(prefix="mainline-reproduce-"))
    try:
        root = Git().clone(folder / "clone").root
        # Its own sources, and its own MLflow: a check is no run of the team's.
        dvc = Dvc(
            root, {"PYTHONPATH": str(root / "src"), "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db"}
        )
        recorded = reproduction.outputs(dvc.lock())
        metrics, device = Metrics.read(root / Metrics.location), _device(root)
        result = dvc.reproduce([], _printer(as_json=options.json), force=True)
        if result.failed is not None:
            return failing.of_stage(result.failed, result.output, as_json=options.json, root=root)
        verdict = reproduction.compare(
            recorded,
            reproduction.outputs(dvc.lock()),
            metrics,
            Metrics.read(root / Metrics.location),
            same_device_class=device == _device(root),
        )
    finally:
        if options.keep:
            print(f"the clone is in {folder / 'clone'}", file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return _judge(verdict, as_json=options.json)


def _printer(*, as_json: bool) -> Callable[[str], None]:
    """Progress goes to standard error when standard output is for a program."""
    return (lambda line: print(line, file=sys.stderr)) if as_json else print


def _device(root: Path) -> str:
    return Training.read(root / Training.location).device_class


def _judge(found: reproduction.Comparison, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"verdict": found.verdict, "differing": found.differing, "outside": found.outside}))
    if found.verdict == "different":
        raise ReproductionError(
            f"the reproduction differs in {', '.join(found.differing)}",
            why=f"outside their interval: {', '.join(found.outside) or 'no figure'}",
            remedy="did an output depend on the clock, the machine or the order of threads?",
        )
    if not as_json:
        differ = f"{len(found.differing)} outputs differ" if found.differing else "every output, to the byte"
        print(f"{found.verdict}: {differ}")
    return 0
