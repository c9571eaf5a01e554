"""What DVC says of the work tree, and what the remote has: a survey for `locks`, printed as JSON.

A process of its own (`python -m mainline.remote`), so that DVC's imports, settings, output and hanging
connections stay out of ours. It changes nothing: DVC's own status of a folder remote would hash every object
and delete the damaged ones, and its index of a remote may be older than the remote, so neither is used.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import threading
from pathlib import Path
from typing import Any

import yaml

from mainline import inventory, policy
from mainline.leftover import leftover
from mainline.locks import Item, Stage, Survey
from mainline.review import Change

LONGEST = 40  # characters of a parameter's value that are told
ENTRIES = 8  # of a list, that are told
CONFLICT = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
SECRETS = re.compile(r"//[^/@\s]*@")


def survey(*, ask_remote: bool, seconds: float) -> Survey:
    """Of the repository in the current folder; the remote has so many seconds to answer."""
    from dvc.repo import Repo

    try:
        repo = Repo()
        stages = tuple(_stage(stage) for stage in repo.index.stages)
        forgotten = leftover(_read(Path("dvc.yaml")), _read(Path("dvc.lock")))
    except Exception as error:  # any tool's, while it reads the repository
        return Survey(problem=_unreadable(error))
    if not any(stage.deps or stage.outs for stage in stages):
        return Survey(problem="dvc.yaml has no stages")
    name = repo.config["core"].get("remote")
    if not ask_remote:
        return Survey(stages=stages, leftover=forgotten, listings=inventory.cached_listings(repo))
    if name is None and any(out.remote is None for out in inventory.outputs(repo)):
        return Survey(stages=stages, problem="no remote is configured: dvc remote add --default NAME URL")
    answers: list[Survey] = []

    def ask() -> None:
        try:
            answers.append(
                inventory.with_remote(repo, stages, name).model_copy(update={"leftover": forgotten})
            )
        except Exception as error:  # as many kinds as there are stores
            problem = f"the remote {name or ''} failed: {_said(error)}"
            answers.append(Survey(stages=stages, remote=name, problem=problem))

    # The stores' clients retry for minutes and cannot be stopped: the thread is left behind.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    late = f"the remote {name or ''} did not answer within {seconds:g} s"
    return answers[0] if answers else Survey(stages=stages, remote=name, problem=late)


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_bytes()) or {} if path.exists() else {}


def _stage(stage: Any) -> Stage:
    pipeline = hasattr(stage, "cmd_changed")
    deps: list[Item] = []
    params: dict[str, Any] = {}
    for dep in stage.deps if pipeline else []:
        status = {} if stage.frozen else dep.status()
        if dep.hash_name == "params":
            params.update({file: _leaves(dep, words) for file, words in status.items()})
        else:
            deps.append(Item(path=str(dep), md5=dep.hash_info.value, seen=status.get(str(dep), "")))
    return Stage(
        name=stage.addressing,
        frozen=stage.frozen or not pipeline,
        always=bool(pipeline and (stage.is_callback or stage.always_changed)),
        command_changed=bool(pipeline and stage.cmd_changed),
        deps=tuple(deps),
        outs=tuple(
            Item(
                path=str(out),
                md5=out.hash_info.value,
                # Of the work tree alone: DVC's `status` stops at what its cache lacks.
                seen=out.workspace_status().get(str(out), ""),
                cached=out.use_cache,
            )
            for out in stage.outs
        ),
        params=params,
    )


def _leaves(dep: Any, words: Any) -> Any:
    """DVC's words on parameters; where one is a whole section, on the keys inside it, with both values."""
    if not isinstance(words, dict):
        return words
    found: dict[str, str] = {}
    before, after = dep.hash_info.value or {}, dep.read_params()
    for name, word in words.items():
        if word != "modified":
            found[name] = word
            continue
        told = policy.differing({name: before[name]}, {name: after[name]})
        found |= {one.key: _told(one) for one in told} or {
            name: word
        }  # text like the other's, of another type
    return found


def _told(one: Change) -> str:
    """As DVC would say it of a key, with both values where there are two; of lists, what differs."""
    if one.before is None or one.after is None:
        return "new" if one.before is None else "deleted"
    before, after = json.loads(one.before), json.loads(one.after)
    if isinstance(before, list) and isinstance(after, list):
        told = [*_more("added", after, before), *_more("removed", before, after)]
        if told or sorted(one.before) == sorted(one.after):
            return f"another list: {'; '.join(told) or 'the order'}"
    pairs = zip(one.before, one.after, strict=False)
    same = next((at for at, (old, new) in enumerate(pairs) if old != new), 0)
    start = max(same - LONGEST // 2, 0)
    return f"{_cut(one.after, start)}, was {_cut(one.before, start)}"


def _more(word: str, these: list[Any], those: list[Any]) -> list[str]:
    """What only `these` has, in words; a requirement as it is, anything else as JSON."""
    more = [one if isinstance(one, str) else json.dumps(one) for one in these if one not in those]
    rest = [f"and {len(more) - ENTRIES} more"] if len(more) > ENTRIES else []
    return [f"{word} {', '.join([*(_cut(one, 0) for one in more[:ENTRIES]), *rest])}"] if more else []


def _cut(text: str, start: int) -> str:
    if len(text) <= LONGEST:
        return text
    end = start + LONGEST
    return f"{'…' if start else ''}{text[start:end]}{'…' if len(text) > end else ''}"


def _unreadable(error: Exception) -> str:
    for path in (Path("dvc.lock"), Path("dvc.yaml"), Path("params.yaml")):
        if path.is_file() and CONFLICT.search(path.read_text(encoding="utf-8", errors="replace")):
            return f"{path} holds an unresolved merge conflict"
    return f"the pipeline cannot be read: {_said(error)}"


def _said(error: BaseException) -> str:
    """What the error and its causes say, without passwords."""
    said: list[str] = []
    cause: BaseException | None = error
    while cause is not None and len(said) < 4:
        text = " ".join(str(cause).split()) or type(cause).__name__
        said += [] if any(text in other for other in said) else [text]
        cause = cause.__cause__
    return SECRETS.sub("//", ": ".join(said))[:1000]


def main() -> None:
    """Print the survey; it alone stands on standard output."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--no-remote", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr
    found = survey(ask_remote=not options.no_remote, seconds=options.seconds)
    print(found.model_dump_json(), file=out, flush=True)
    os._exit(0)  # without waiting for a remote that hangs


if __name__ == "__main__":
    main()
