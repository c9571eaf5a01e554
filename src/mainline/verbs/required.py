"""`mainline required`: what branch protection asks for; `mainline answers`: the lock's answer, for YAML."""

from __future__ import annotations

import argparse
import json

from mainline import required as jobs
from mainline.errors import Answer, ConfigError, RecordError
from mainline.review import LockState
from mainline.verbs import parsing


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline required` and `mainline answers`."""
    judge = parsing.add(
        names,
        "required",
        required,
        "whether every job of a CI run ended as it must (skipped is not success unless it was meant)",
        """\
  mainline required --event pull_request --needs "$NEEDS"          $NEEDS: GitHub's toJSON(needs)
  mainline required --event pull_request --needs "$NEEDS" --fork   from a fork, which is never trained""",
    )
    judge.add_argument("--event", required=True, help="name of the event that started the run")
    judge.add_argument("--needs", required=True, help="the jobs' results and outputs, as JSON")
    judge.add_argument("--fork", action="store_true", help="the pull request comes from a fork")

    parsing.add(
        names,
        "answers",
        answers,
        "print what the last `mainline lock` answered as lock=current or lock=stale, for a workflow",
        """\
  mainline answers >> "$GITHUB_OUTPUT"   for the conditions of later jobs""",
    )


def required(options: argparse.Namespace) -> int:
    """Say what keeps the commit from being merged; Answer.BLOCK when anything does. Raises ConfigError."""
    try:
        found = jobs.problems(options.event, jobs.parse(options.needs), fork=options.fork)
    except ValueError as error:
        raise ConfigError("--needs is not what GitHub's toJSON(needs) gives", why=str(error)) from None
    if options.json:
        print(json.dumps({"problems": found}))
    elif found:
        print("Not to be merged:")
        for problem in found:
            print(f"  {problem}")
    else:
        print("Every job ended as it must.")
    return Answer.BLOCK if found else 0


def answers(options: argparse.Namespace) -> int:
    """Print the state that `mainline lock` recorded. Raises RecordError when it left no record."""
    if not LockState.location.exists():
        raise RecordError("the lock has not been checked here", remedy="mainline lock")
    state = LockState.read(LockState.location).state
    print(json.dumps({"lock": state}) if options.json else f"lock={state}")
    return 0
