"""What all verbs have in common: help with examples and exit codes, and a `--json` to rely on."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from mainline import cli
from mainline.errors import Answer
from mainline.verbs import parsing, promote, release
from tests.imports import ROOT
from tests.mainline import releasing
from tests.mainline.releasing import World

# What each needs to get as far as its first question about this folder.
NEEDED = {
    "required": ("--event", "push", "--needs", "{"),
    "release": ("v1.0.0",),
    "deploy": ("v1.0.0", "--stage", "staging"),
    "score": ("--month", "2013-11", "--output", "scores"),
    "verify": ("v1.0.0",),
    "trace": ("a1", "--log", "logs"),
    "registry": ("sync",),
}
NO_JOB = ("data", "provision", "train", "gate", "report")
JOBS = {
    "quality": {"result": "success", "outputs": {}},
    "lock": {"result": "success", "outputs": {"lock": "current"}},
    **{name: {"result": "skipped", "outputs": {}} for name in NO_JOB},
}
# What each does where v1.0.0 and v1.1.0 were in production, v1.1.0 in staging, and main is at v1.1.0.
DONE = {
    "run": ("--dry-run",),
    "lock": (),
    "gate": (),
    "push": ("--dry-run", "--allow-main"),
    "report": (),
    "required": ("--event", "push", "--needs", json.dumps(JOBS)),
    "answers": (),
    "promote": ("--dry-run",),
    "release": ("v1.0.0", "--dry-run"),
    "rollback": ("--dry-run",),
    "deploy": ("v1.1.0", "--stage", "staging", "--dry-run"),
    "status": (),
    "verify": ("v1.0.0",),
    "site": ("--offline",),
}
# They need a service, a log, a forge or minutes, and their own tests read their --json.
ELSEWHERE = {
    "reproduce": "tests/slow/test_reproducibility.py",
    "comment": "tests/mainline/test_comment.py",
    "monitor": "tests/mainline/test_monitor_verb.py",
    "retrain": "tests/mainline/test_retrain.py",
    "registry": "tests/mainline/test_registry.py",
    "score": "tests/serving/test_batch.py",
    "trace": "tests/mainline/test_release_verb.py",
}


def verbs() -> dict[str, argparse.ArgumentParser]:
    names = next(one for one in cli.parser()._actions if isinstance(one, argparse._SubParsersAction))
    return dict(names.choices)


VERBS = verbs()


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_examples_and_exit_codes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main([verb, "--help"])
    assert caught.value.code == 0
    about, examples = capsys.readouterr().out.split("examples:")
    assert f"mainline {verb}" in examples and "--json" in about
    codes = examples.split("exit codes: ")[1]
    assert codes.startswith("0 done") and len(re.findall(r"\b\d\d\b", codes)) == len(parsing.CODES[verb])


@pytest.mark.parametrize("module", cli.VERBS)
def test_help_has_every_answer_that_the_verb_may_give(module: str) -> None:
    tree = ast.parse((ROOT / f"src/mainline/verbs/{module}.py").read_text())
    used = {
        Answer[node.attr]
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Answer"
    }
    own = [
        code for verb, parser in VERBS.items() if _module(parser) == module for code in parsing.CODES[verb]
    ]
    assert used <= set(own)


def _module(parser: argparse.ArgumentParser) -> str:
    return str(parser.get_default("verb").__module__).rsplit(".", 1)[1]


@pytest.mark.parametrize("verb", VERBS)
def test_a_failure_is_one_json_object_too(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = cli.main([verb, *NEEDED.get(verb, ()), "--json"])
    shown, said = capfd.readouterr()
    told = json.loads(shown)
    assert code == told["exit_code"] and code not in (0, 1, 2)
    assert set(told) == {"error", "why", "remedy", "exit_code"}
    assert f"mainline {verb}: {told['error']}" in said


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = releasing.build(tmp_path_factory.mktemp("verbs"))
    patch = pytest.MonkeyPatch()
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.chdir(world.root)
    for branch, version in (("one", "v1.0.0"), ("two", "v1.1.0")):
        world.merge(branch)
        assert promote.promote(releasing.options(), releasing.tools()) == 0
        assert release.release(releasing.asked(version), releasing.QUIET) == 0
    assert cli.main(["lock"]) == 0
    patch.undo()
    return world


@pytest.mark.slow
@pytest.mark.parametrize("verb", DONE)
def test_nothing_but_one_json_object_is_on_standard_output(
    verb: str,
    template: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nor from what the verb starts."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(releasing.copy(template, tmp_path).root)
    code = cli.main([verb, *DONE[verb], "--json"])
    shown, said = capfd.readouterr()
    told: Any = json.loads(shown)
    assert isinstance(told, dict) and "error" not in told, said
    assert code == 0, said


def test_no_verb_is_forgotten() -> None:
    assert {*DONE, *ELSEWHERE} == set(VERBS) == set(parsing.CODES)
    for verb, file in ELSEWHERE.items():
        text = (ROOT / file).read_text()
        assert "--json" in text and "json.loads" in text and verb in text
