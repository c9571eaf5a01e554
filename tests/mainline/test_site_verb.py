"""`mainline site` in real repositories, with the real renderer and a real GitHub API."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline import cli
from mainline.drift import Drift
from mainline.errors import ConfigError, RecordError
from mainline.git import Git
from mainline.retraining.state import PREFIX
from mainline.state import State
from mainline.verbs import promote, release, site
from mainline.watching import Watch
from tests import servers, tagging
from tests.clones import git
from tests.imports import ROOT
from tests.mainline import releasing
from tests.mainline.releasing import MODEL, World
from tests.monitoring import siting
from tests.servers import REPOSITORY, ROBOT, Fault, GitHubServer

STUB = site.Tools(draw=(sys.executable, "-c", "pass"))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One version in production: promoted, released, and a second one in staging."""
    world = releasing.build(tmp_path_factory.mktemp("template"))
    before = Path.cwd()
    os.chdir(world.root)
    try:
        promote.promote(releasing.options(), releasing.tools())
        release.release(releasing.asked("v1.0.0", reason="the <first> one"), releasing.QUIET)
        world.merge("two")
        promote.promote(releasing.options(), releasing.tools())
    finally:
        os.chdir(before)
    return world


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    copied = releasing.copy(template, tmp_path)
    monkeypatch.chdir(copied.root)
    for name in ("GITHUB_TOKEN", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL", "GITHUB_API_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1383289200")
    return copied


def asked(**changes: Any) -> argparse.Namespace:
    given = {
        "out": Path("site"), "drift": Drift.location, "watch": Watch.location, "mlflow_url": None,
        "offline": False, "json": True,
    }  # fmt: skip
    return argparse.Namespace(**(given | changes))


def collected(**changes: Any) -> State:
    return site.collect(Git(), asked(**changes))


def test_the_state_is_what_git_says(world: World) -> None:
    state = collected()
    assert {stage: one.version for stage, one in state.now.items()} == {
        "production": "v1.0.0", "staging": "v1.1.0"
    }  # fmt: skip
    production = state.find("v1.0.0")
    assert production and production.record and production.evaluation
    assert production.record.commit == git(world.root, "rev-parse", "one")
    assert production.evaluation.figures["log_loss"].value == 0.5
    assert production.evaluation.windows["train"] == ["2013-01", "2013-01"]
    assert state.now["production"].why == "the <first> one"
    assert [one.version for one in state.versions] == ["v1.1.0", "v1.0.0"], "the newest first"
    assert sorted(f"{one.stage}#{one.number}" for one in state.history) == [
        "production#1", "staging#1", "staging#2"
    ]  # fmt: skip
    assert state.deciding == "log_loss" and state.at == "2013-11-01T07:00:00+00:00"


def test_a_rollback_is_told_as_one(world: World) -> None:
    assert release.release(releasing.asked("v1.1.0"), releasing.QUIET) == 0
    assert release.rollback(releasing.asked(reason="answers came late"), releasing.QUIET) == 0
    state = collected()
    back = state.now["production"]
    assert (back.version, back.left) == ("v1.0.0", "v1.1.0")
    assert back.why == "rollback from v1.1.0: answers came late"
    assert [one.left for one in state.history if one.stage == "production"] == ["v1.1.0", None, None]


def test_what_is_not_there_is_told(world: World) -> None:
    state = collected()
    assert state.drift is None and state.watch is None
    assert state.pulls is None and "GITHUB_TOKEN is not set" in state.pulls_note
    assert "reports/drift.json is not here: mainline monitor" in state.notes


def test_before_the_first_version_there_is_a_page(world: World) -> None:
    for name in world.tags():
        git(world.root, "push", "--quiet", "origin", f":refs/tags/{name}")
    state = collected()
    assert not state.now and not state.versions and not state.history


def test_a_tag_without_a_record_is_shown_with_its_problem(world: World) -> None:
    tagging.annotate(world.root, f"{MODEL}@v9.0.0", "by <hand>")
    git(world.root, "push", "--quiet", "origin", f"{MODEL}@v9.0.0")
    found = collected().find("v9.0.0")
    assert found and found.record is None and "no release record" in found.problem
    assert found.why == "by <hand>", "as it is: the page escapes it"


def test_without_origin_the_tags_of_this_clone_are_shown(world: World) -> None:
    assert collected(offline=True).now["staging"].version == "v1.1.0"
    shutil.rmtree(world.origin)
    state = collected()
    assert state.now["staging"].version == "v1.1.0"
    assert any(note.startswith("origin's tags: ") for note in state.notes)
    assert "--offline" in collected(offline=True).pulls_note


def test_a_record_that_cannot_be_read_is_a_note_and_no_failure(world: World) -> None:
    Path("reports").mkdir(exist_ok=True)
    Drift.location.write_text('{"version": 2}')
    siting.watch().write(Watch.location)
    state = collected()
    assert state.drift is None and state.watch
    assert any("drift.json is not a valid Drift record" in note for note in state.notes)


def test_records_of_two_watches_are_told_apart(world: World) -> None:
    siting.drift().write(Drift.location)
    siting.watch(until="2013-11-07").write(Watch.location)
    assert any("not of the same watch" in note for note in collected().notes)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)", "databricks", "https://user:hunter2@mlflow", "postgresql://ml:hunter2@db/mlflow",
        "https://[hunter2",
    ],
)  # fmt: skip
def test_a_tracking_address_that_is_no_page_is_a_note_without_it(world: World, url: str) -> None:
    """It may hold a password, and the page is published."""
    state = collected(mlflow_url=url)
    assert "MLflow" not in [one.name for one in state.resources]
    [note] = [note for note in state.notes if "MLflow" in note]
    assert "--mlflow-url" in note and url not in note and "hunter2" not in state.model_dump_json()


def test_the_page_stands_with_what_it_links_to(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The real renderer, as a subprocess; twice gives the same bytes, and no older copy stays."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{ROOT / 'src'}")
    siting.drift().write(Drift.location)
    siting.watch(release="v1.0.0").write(Watch.location)
    docs = ("data_docs/raw/index.html", "data_docs/features/index.html")  # as the stages write them
    for name in ("drift.html", "report.html", *docs):
        path = Path("reports", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    arguments = ["site", "--json", "--out", "public", "--mlflow-url", "https://mlflow.example"]
    assert cli.main(arguments) == 0
    assert json.loads(capfd.readouterr().out)["page"] == "public/index.html"
    content = Path("public/index.html").read_text(encoding="utf-8")
    assert "v1.0.0 is in production since" in content and "mean_delay_3h" in content
    for address in ("drift.html", "report.html", *docs, "state.json"):
        assert f'href="{address}"' in content and Path("public", address).exists()
    assert 'href="https://mlflow.example"' in content and Path("public/.nojekyll").exists()
    State.read(Path("public/state.json"))
    shutil.rmtree("reports/data_docs")
    assert cli.main(arguments) == 0
    assert not list(Path("public").rglob("data_docs/*"))
    assert "reports/data_docs/raw is not here" in Path("public/index.html").read_text(encoding="utf-8")


def test_a_renderer_that_fails_is_an_error_of_its_class(world: World) -> None:
    failing = site.Tools(draw=(sys.executable, "-c", "import sys; sys.exit(19)"))
    with pytest.raises(RecordError, match="could not be drawn"):
        site.site(asked(), failing)


def test_without_json_it_says_where_the_page_is(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    assert site.site(asked(json=False), STUB) == 0
    said = capfd.readouterr()
    assert said.out == "site/index.html\n" and "note: reports/drift.json" in said.err


def test_the_verb_has_examples() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mainline.cli", "site", "--help"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0 and "mainline site --offline" in done.stdout


# --- the forge


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def server(running: GitHubServer, world: World, monkeypatch: pytest.MonkeyPatch) -> GitHubServer:
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    monkeypatch.setenv("GITHUB_TOKEN", f"{ROBOT}-token")
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    monkeypatch.setenv("GITHUB_API_URL", running.url)
    return running


@pytest.mark.slow
@pytest.mark.xdist_group("emulate")
def test_the_pull_requests_are_those_of_the_bots_branch(server: GitHubServer) -> None:
    assert collected().pulls == []
    number = server.pull_request(f"{PREFIX}{MODEL}")["number"]
    server.pull_request("topic")
    server.call("PATCH", f"/repos/{REPOSITORY}/pulls/{number}", {"title": "<b>@team\u202e"})
    found = collected().pulls
    assert found and [(one.number, one.state) for one in found] == [(number, "open")]
    assert found[0].title == "<b>@team\\u202e" and found[0].opened.endswith("+00:00")
    server.call("PATCH", f"/repos/{REPOSITORY}/pulls/{number}", {"state": "closed"})
    closed = collected().pulls
    assert closed and closed[0].state == "closed" and closed[0].closed
    assert server.proxy.writes() == [], "a page writes nothing"


@pytest.mark.slow
@pytest.mark.xdist_group("emulate")
def test_a_forge_that_refuses_is_a_line_on_the_page(server: GitHubServer) -> None:
    server.proxy.faults.append(Fault("GET", r"/pulls", status=403, body={"message": "no"}, times=9))
    state = collected()
    assert state.pulls is None and "did not say" in state.pulls_note and ROBOT not in state.pulls_note


@pytest.mark.slow
@pytest.mark.xdist_group("emulate")
def test_offline_asks_nobody(server: GitHubServer) -> None:
    assert collected(offline=True).pulls is None
    assert server.proxy.seen == []


def test_a_file_is_no_place_for_the_page(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    options = cli.parser().parse_args(["site", "--offline", "--out", str(tmp_path / "file")])
    with pytest.raises(ConfigError, match="is no folder"):
        options.verb(options)
