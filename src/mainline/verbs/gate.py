"""`mainline gate`: the candidate against the model in production; promote, hold or block, with the number."""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mainline import champion, gates, mainbranch, mainpolicy, manifests, policy
from mainline.champion import Found
from mainline.errors import Answer, ConfigError, Interrupted, StorageError, of_exit_code
from mainline.exported import LOCK, MODEL, Exported
from mainline.gates import Decision, Evidence
from mainline.gathered import PLOTS, STAGES
from mainline.git import Git
from mainline.mainpolicy import Mains
from mainline.policy import GatePolicy
from mainline.records import write_atomically
from mainline.report.headline import COMPARE
from mainline.review import Champion, Change, Comparison, Gate, Rule
from mainline.settings import read
from mainline.storage import Dvc
from mainline.untrusted import line
from mainline.verbs import lock, parsing

POLICY = champion.FOLDER / "params.yaml"  # where `compare` looks for a gate other than the work tree's
NOTE = STAGES / f"{COMPARE}.json"  # by which the report tells that a comparison failed
SHOWN = 3  # stages that would run
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
    verb.set_defaults(plots=True)  # a promotion shows nobody pictures


@dataclass(frozen=True)
class Case:
    """What is judged, under which policies. `mains` is None where main's gate is the work tree's own."""

    candidate: Exported
    found: Found
    policy: GatePolicy
    mains: Mains | None
    changes: list[Change]
    warnings: list[str]


def gate(options: argparse.Namespace) -> int:
    """Find, fetch, compare, decide, record, show. Raises MainlineError; nothing stale is left behind then."""
    for old in (Gate.location, Comparison.location, NOTE):
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
    _say(f"champion: {_named(case.found.champion)}")
    if (stale := _stale()) is not None:
        return _record(case, None, Decision.of([stale]), accept=options.accept_hold)
    evidence, mains = _measure(case)
    if options.plots and evidence.comparison and not PLOTS.is_dir():
        with suppress(StorageError):  # pictures for the report; it is complete without
            Dvc().pull([str(PLOTS)])
    decision = gates.decide(evidence, case.policy)
    if case.mains is not None:
        other = gates.decide(mains, case.mains.policy) if mains and case.mains.policy else None
        decision = gates.under_main(decision, other, case.mains.why)
    return _record(case, evidence, decision, accept=options.accept_hold)


def _named(found: Champion) -> str:
    return f"{found.name} ({found.commit[:9]})" if found.commit else found.name


def _stale() -> Rule | None:
    """What blocks where the model is not the one of what is here: a verdict on it would be none on this."""
    found, _ = lock.check(ask_remote=False)
    if found.state == "current":
        return None
    told = [f"{one.stage} would run: {'; '.join(one.reasons)}" for one in found.stale[:SHOWN]]
    more = len(found.stale) - len(told)
    text = "; ".join([*told, *([f"and {more} more stages"] if more > 0 else [])]) or found.problem
    text = f"{LOCK} is {found.state}: {text}"
    return Rule(name="lock", outcome="block", observed=None, limit=None, text=text)


def _case(git: Git, chosen: str | None) -> Case:
    own = read()
    mine = policy.gate(own)
    candidate = champion.here()
    base = mainbranch.main_branch(git)
    same = None if chosen else champion.unchanged(git, base, candidate)
    found = same or champion.find(git, mainpolicy.model(git, base, own), base, chosen)
    changes, warnings = mainpolicy.changes(git, base, own)
    warnings += [*found.warnings, *_notes(candidate, found)]
    if git.changes():
        warnings.append("the work tree has changes that are not committed: the verdict is on what is here")
    return Case(candidate, found, mine, mainpolicy.mains(git, base, own, mine), changes, warnings)


def _notes(candidate: Exported, found: Found) -> list[str]:
    """What no figure tells: a champion that saw the rows, a manifest that changed without its model."""
    theirs, ours = found.exported, candidate.manifest
    if theirs is None or theirs.manifest is None or ours is None:
        return []
    notes = [manifests.overlap(theirs.manifest, ours)]
    if theirs.model_md5 == candidate.model_md5 and (other := manifests.differing(theirs.manifest, ours)):
        notes.append(f"the model is that of {found.champion.name}, its manifest is not: {', '.join(other)}")
    return [note for note in notes if note]


def _measure(case: Case) -> tuple[Evidence, Evidence | None]:
    """The evidence under the own policy, and under main's where that is another one."""
    ours, theirs = case.candidate, case.found.exported
    measured = case.mains is not None and case.mains.evaluate is not None  # by main's `evaluate` as well
    if theirs and champion.same_model(ours, theirs) and not measured:
        _say("the same model and the same test rows: nothing is fetched")
        evidence = _evidence(case, None)
        return evidence, evidence
    started = time.perf_counter()
    _say("fetching the models and the test rows")
    champion.fetch_candidate(Path(), ours)
    if theirs and not theirs.problem:
        champion.fetch_champion(Path(), theirs, _named(case.found.champion))
    _say(f"fetched in {time.perf_counter() - started:.1f} s; scoring")
    mains = None
    if case.mains and case.mains.policy:
        with suppress(ConfigError):  # another task has other figures
            scored = _compare(policy.written(case.mains.policy, case.mains.evaluate))
            mains = replace(_evidence(case, scored), alike=not measured)
    return _evidence(case, _compare(None)), mains


def _compare(other: str | None) -> Comparison:
    """`python -m pipeline compare`, by the work tree's gate or another file. Raises MainlineError."""
    if other is not None:
        write_atomically(POLICY, other.encode())
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", "compare"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    finally:
        POLICY.unlink(missing_ok=True)
    for said in done.stdout.splitlines():
        _say(said)
    if done.returncode:
        raise of_exit_code(done.returncode)(
            f"the comparison failed (exit code {done.returncode})", why="its message is above"
        )
    return Comparison.read(Comparison.location)


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
        model_bytes=_size(case, comparison),
        comparison=comparison,
        recorded=theirs.metrics if theirs else None,
        same_window=bool(
            theirs and manifests.same_window(ours.metrics, theirs.metrics, ours.manifest, theirs.manifest)
        ),
        unreadable=unreadable,
        manifest=ours.manifest,
    )


def _size(case: Case, comparison: Comparison | None) -> int | None:
    """Bytes of the file; of the champion's model, which nobody fetched, as the champion's lock has them."""
    if comparison is None:
        return case.found.exported.model_bytes if case.found.exported else None
    return Path(MODEL).stat().st_size if Path(MODEL).is_file() else None


def _record(case: Case, evidence: Evidence | None, decision: Decision, *, accept: bool) -> Gate:
    return Gate(
        verdict=decision.verdict,
        reason=decision.reason,
        rules=list(decision.rules),
        basis=evidence.basis if evidence else "nothing",
        commit=Git()("rev-parse", "HEAD"),
        lock_sha256=hashlib.sha256(Path(LOCK).read_bytes()).hexdigest(),
        model_md5=case.candidate.model_md5,
        champion=case.found.champion,
        comparison=evidence.comparison if evidence else None,
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
        table.add_row(f"[{COLOURS[rule.outcome]}]{rule.outcome}[/]", _plain(rule.name), _plain(rule.text))
    console.print(table)
    for change in record.changes:
        console.print(
            f"changed: {_plain(change.key)}: {_plain(str(change.before))} to {_plain(str(change.after))}"
        )
    for warning in record.warnings:
        console.print(f"[yellow]warning[/]: {_plain(warning)}")
    accepted = " (accepted by a person)" if record.accepted else ""
    console.print(f"[bold {COLOURS[record.verdict]}]{record.verdict}[/]{accepted}: {_plain(record.reason)}")


def _plain(text: str) -> str:
    return escape(line(text))


def _say(said: str) -> None:
    """Progress; standard output is for the answer."""
    print(line(said), file=sys.stderr, flush=True)
