"""`mainline gate`: the candidate against the model in production; promote, hold or block, with the number."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mainline import champion, gates, policy
from mainline.champion import Base, Found
from mainline.errors import Answer, ConfigError, Interrupted, MainlineError, StorageError
from mainline.exported import LOCK, Exported
from mainline.gates import Decision, Evidence
from mainline.gathered import PLOTS
from mainline.git import Git
from mainline.policy import GatePolicy
from mainline.records import write_atomically
from mainline.review import Change, Comparison, Gate
from mainline.settings import read
from mainline.storage import Dvc
from mainline.verbs import parsing

POLICY = champion.FOLDER / "params.yaml"  # where `compare` looks for a gate other than the work tree's
COLOURS = {"promote": "green", "hold": "yellow", "block": "red"}
ANSWERS = {"promote": 0, "hold": Answer.HOLD, "block": Answer.BLOCK}


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline gate`."""
    verb = parsing.add(
        names,
        "gate",
        gate,
        "compare the candidate with the model in production, on the same rows, and decide",
        """\
  mainline gate                       exit code 0: promote; 32: hold; 33: block
  mainline gate --champion main       against another tag, branch or commit
  mainline gate --accept-hold         a person took the responsibility: a hold exits 0, a block does not
  mainline gate --json                the record, which is also in reports/gate.json""",
    )
    verb.add_argument("--champion", metavar="REF", help="compare with the model of this tag or commit")
    verb.add_argument("--accept-hold", action="store_true", help="exit 0 on a hold, and record that")


@dataclass(frozen=True)
class Case:
    """What is judged, under which policies. `main_policy` is None where it is the work tree's own."""

    candidate: Exported
    found: Found
    policy: GatePolicy
    main_policy: GatePolicy | None
    changes: list[Change]
    warnings: list[str]


def gate(options: argparse.Namespace) -> int:
    """Find, fetch, compare, decide, record, show. Raises MainlineError; nothing stale is left behind then."""
    for old in (Gate.location, Comparison.location):
        old.unlink(missing_ok=True)
    champion.clear(Path())
    try:
        record = _judge(options)
    except KeyboardInterrupt:
        champion.clear(Path())
        raise Interrupted("stopped; nothing was decided", remedy="run the same command again") from None
    record.write(Gate.location)
    if options.json:
        print(record.model_dump_json())
    else:
        _show(record)
    return 0 if record.accepted else ANSWERS[record.verdict]


def _judge(options: argparse.Namespace) -> Gate:
    case = _case(Git(), options.champion)
    name = case.found.champion.name
    _say(f"champion: {name}" + (f" ({case.found.champion.commit[:9]})" if case.found.champion.commit else ""))
    evidence, mains = _measure(case)
    decision = gates.decide(evidence, case.policy)
    if case.main_policy is not None:
        other = gates.decide(mains, case.main_policy) if mains else None
        decision = gates.under_main(decision, other)
    return _record(case, evidence, decision, accept=options.accept_hold)


def _case(git: Git, chosen: str | None) -> Case:
    own = read()
    mine = policy.gate(own)
    candidate = champion.here()
    base = champion.main_branch(git)
    same = None if chosen else champion.unchanged(git, base, candidate)
    found = same or champion.find(git, _model(git, base, own), base, chosen)
    main_policy, changes, warnings = _main(git, base, own, mine)
    theirs = found.exported.manifest if found.exported else None
    if theirs and candidate.manifest and (warning := gates.overlap(theirs, candidate.manifest)):
        warnings.append(warning)
    if git.changes():
        warnings.append("the work tree has changes that are not committed: the verdict is on what is here")
    return Case(candidate, found, mine, main_policy, changes, warnings)


def _model(git: Git, base: Base | None, own: dict[str, Any]) -> str:
    """The model's name on main: a branch that renames it does not lose the champion by that."""
    name = policy.release(own).model
    with suppress(ConfigError):
        if base:
            return policy.release(champion.parameters(git, base.tip)).model
    return name


def _main(
    git: Git, base: Base | None, own: dict[str, Any], mine: GatePolicy
) -> tuple[GatePolicy | None, list[Change], list[str]]:
    """The gate on main where it is another one; what the branch changed since it left main.

    The tip's gate, not the fork's: an old branch may not keep a gate that main has tightened.
    """
    if base is None:
        return None, [], ["there is no main branch: changes of the gate cannot be seen"]
    warnings = []
    try:
        changes = policy.changes(champion.parameters(git, base.fork), own)
    except ConfigError as error:
        changes, warnings = [], [f"changes of the gate cannot be seen: {error.what}"]
    try:
        theirs = policy.gate(champion.parameters(git, base.tip))
    except ConfigError as error:
        return None, changes, [*warnings, f"{base.name} has no gate to hold this one against: {error.what}"]
    return (None if _same(theirs, mine) else theirs), changes, warnings


def _same(one: GatePolicy, other: GatePolicy) -> bool:
    """The order of the margins counts: the first decides."""
    return one == other and one.deciding == other.deciding


def _measure(case: Case) -> tuple[Evidence, Evidence | None]:
    """The evidence under the own policy, and under main's where that is another one."""
    ours, theirs = case.candidate, case.found.exported
    if theirs and (ours.model_md5, ours.test_md5) == (theirs.model_md5, theirs.test_md5) and ours.test_md5:
        _say("the same model and the same test rows: nothing is fetched")
        evidence = _evidence(case, None)
        return evidence, evidence
    started = time.perf_counter()
    _say("fetching the models and the test rows")
    champion.fetch_candidate(Path(), ours)
    if theirs and not theirs.problem:
        champion.fetch_champion(Path(), theirs)
    _say(f"fetched in {time.perf_counter() - started:.1f} s; scoring")
    mains = None
    if case.main_policy:
        with suppress(ConfigError):  # another task has other figures
            mains = _evidence(case, _compare(case.main_policy))
    evidence = _evidence(case, _compare(None))
    if not PLOTS.is_dir():
        with suppress(StorageError):  # pictures for the report; it is complete without
            Dvc().pull([str(PLOTS)])
    return evidence, mains


def _compare(other: GatePolicy | None) -> Comparison:
    """`python -m pipeline compare`, by the work tree's gate or by another one. Raises MainlineError."""
    if other is not None:
        # JSON is YAML; the order of the margins is kept.
        write_atomically(POLICY, f'{{"gate": {other.model_dump_json()}}}'.encode())
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "compare"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        POLICY.unlink(missing_ok=True)
    for line in done.stdout.splitlines():
        _say(line)
    if done.returncode:
        raise _failure(done.returncode)
    return Comparison.read(Comparison.location)


def _failure(code: int) -> MainlineError:
    """The error that the other process ended with, by its exit code."""
    kinds = {kind.exit_code: kind for kind in MainlineError.__subclasses__()}
    return kinds.get(code, MainlineError)(
        f"the comparison failed (exit code {code})", why="its message is above"
    )


def _evidence(case: Case, comparison: Comparison | None) -> Evidence:
    ours, theirs = case.candidate, case.found.exported
    assert ours.metrics is not None  # noqa: S101  # `here` refuses a candidate without
    basis: gates.Basis = "baselines"
    unreadable = (theirs.problem if theirs else "") or (comparison.unreadable if comparison else "")
    if theirs:
        basis = "same model" if comparison is None else "recorded figures" if unreadable else "same rows"
    return Evidence(
        champion=case.found.champion.name,
        basis=basis,
        metrics=ours.metrics,
        model_bytes=ours.model_bytes,
        comparison=comparison,
        recorded=theirs.metrics if theirs else None,
        same_window=bool(
            theirs and gates.same_window(ours.metrics, theirs.metrics, ours.manifest, theirs.manifest)
        ),
        unreadable=unreadable,
    )


def _record(case: Case, evidence: Evidence, decision: Decision, *, accept: bool) -> Gate:
    return Gate(
        verdict=decision.verdict,
        reason=decision.reason,
        rules=list(decision.rules),
        basis=evidence.basis,
        commit=Git()("rev-parse", "HEAD"),
        lock_sha256=hashlib.sha256(Path(LOCK).read_bytes()).hexdigest(),
        model_md5=case.candidate.model_md5,
        champion=case.found.champion,
        comparison=evidence.comparison,
        policy=case.policy.model_dump(mode="json"),
        changes=case.changes,
        warnings=case.warnings,
        accepted=accept and decision.verdict == "hold",
    )


def _show(record: Gate) -> None:
    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("outcome", "rule", ""):
        table.add_column(name, overflow="fold")
    for rule in record.rules:
        table.add_row(f"[{COLOURS[rule.outcome]}]{rule.outcome}[/]", escape(rule.name), escape(rule.text))
    console.print(table)
    for change in record.changes:
        console.print(
            f"changed: {escape(change.key)}: {escape(str(change.before))} to {escape(str(change.after))}"
        )
    for warning in record.warnings:
        console.print(f"[yellow]warning[/]: {escape(warning)}")
    accepted = " (accepted by a person)" if record.accepted else ""
    console.print(f"[bold {COLOURS[record.verdict]}]{record.verdict}[/]{accepted}: {escape(record.reason)}")


def _say(line: str) -> None:
    """Progress; standard output is for the answer."""
    print(line, file=sys.stderr, flush=True)
