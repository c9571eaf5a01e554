"""`mainline release --publish`: real Git, DVC and tags; the page on emulate, as GitHub would keep it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mainline import cli, notes, publishing, releases
from mainline.errors import ConfigError, ForgeError, IntegrityError, StorageError
from mainline.git import Git
from mainline.records import Figure, Metrics
from mainline.releases import Release
from mainline.verbs.promote import promote
from mainline.verbs.release import release, rollback
from tests import servers, tagging
from tests.clones import git
from tests.mainline import releasing
from tests.mainline.releasing import QUIET, World, asked, options, tools
from tests.servers import REPOSITORY, ROBOT, Fault, GitHubServer
from tests.shelves import Shelves

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
NAMES = ("MODEL_CARD.md", "sbom.cdx.json", "provenance.json")


def attach(built: Any, folder: Path) -> dict[str, Path]:
    """What stands beside the Bento, small."""
    files = {"sbom": folder / "sbom.cdx.json", "provenance": folder / "provenance.json"}
    for name, path in files.items():
        path.write_text(json.dumps({name: built.release}))
    return files


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v1.0.0 and v1.1.0 were promoted, with their attachments."""
    patch = pytest.MonkeyPatch()
    world = releasing.build(tmp_path_factory.mktemp("publish"))
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.chdir(world.root)
    for minute, branch in enumerate(("one", "two")):
        patch.setenv("GIT_COMMITTER_DATE", f"2026-01-01T00:{minute:02}:00Z")
        world.merge(branch)
        assert promote(options(), tools(attach=attach)) == 0
    patch.undo()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    found = releasing.copy(template, tmp_path)
    monkeypatch.chdir(found.root)
    return found


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def shelves(running: GitHubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelves]:
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    for name, value in (("API_URL", running.url), ("REPOSITORY", REPOSITORY), ("TOKEN", f"{ROBOT}-token")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    made = Shelves(running)
    yield made
    for one in made.releases():
        running.call("DELETE", f"/repos/{REPOSITORY}/releases/{one['id']}")


def told(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(json.loads(capsys.readouterr().out.splitlines()[-1]))


def page(shelves: Shelves, version: str) -> dict[str, Any]:
    (one,) = [one for one in shelves.releases() if one["tag_name"] == f"flight-delay@{version}"]
    return dict(one)


def first_record(world: World) -> Release:
    book = world.book()
    return releases.parse(book.versions()[min(book.versions())].message)


def test_release_again_another_and_back(
    world: World, shelves: Shelves, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release(asked("v1.0.0", publish=True, reason="@octo <b>"), QUIET) == 0
    done = told(capsys)["published"]
    assert (done["result"], done["uploaded"]) == ("created", list(NAMES))
    first = page(shelves, "v1.0.0")
    assert (first["name"], first["draft"]) == ("flight-delay v1.0.0", False)
    contents = shelves.contents(first["id"])
    assert contents["MODEL_CARD.md"] == b"a card" and contents["sbom.cdx.json"] == b'{"sbom": "v1.0.0"}'
    for words in (
        "| log loss | 0.5000 [0.4000, 0.6000] |", "**promote**, against", "| nothing | `@octo` `\\x3cb>` |",
        "mainline verify v1.0.0", "  sbom.cdx.json", f"`{first_record(world).commit}`",
        "`flight-delay#production#1`",
    ):  # fmt: skip
        assert words in first["body"], first["body"]

    shelves.server.proxy.seen.clear()
    assert release(asked("v1.0.0", publish=True), QUIET) == 0
    assert told(capsys)["published"]["result"] == "unchanged" and shelves.server.proxy.writes() == []
    assert release(asked("v1.1.0", publish=True), QUIET) == 0
    assert shelves.latest == page(shelves, "v1.1.0")["id"]
    assert rollback(asked(publish=True), QUIET) == 0
    assert shelves.latest == first["id"], "the version that production has"
    assert "| v1.1.0, a rollback |" in page(shelves, "v1.0.0")["body"]
    assert len(shelves.releases()) == 2


def test_a_rerun_heals_what_is_missing(
    world: World, shelves: Shelves, capsys: pytest.CaptureFixture[str]
) -> None:
    release(asked("v1.0.0", publish=True), QUIET)
    one = page(shelves, "v1.0.0")
    (gone,) = [asset for asset in one["assets"] if asset["name"] == "provenance.json"]
    sender = publishing.shelf(Git())._sender
    sender.requestJsonAndCheck("DELETE", f"/repos/{REPOSITORY}/releases/assets/{gone['id']}")
    capsys.readouterr()
    assert release(asked("v1.0.0", publish=True), QUIET) == 0
    assert told(capsys)["published"] == {
        "result": "updated", "uploaded": ["provenance.json"], "url": one["html_url"],
    }  # fmt: skip
    assert shelves.contents(one["id"])["provenance.json"] == b'{"provenance": "v1.0.0"}'


def test_a_page_that_fails_leaves_production_released_and_says_how_to_go_on(
    world: World, shelves: Shelves, capsys: pytest.CaptureFixture[str]
) -> None:
    body = {"message": "Resource not accessible by integration"}
    shelves.server.proxy.faults.append(Fault("POST", "/releases$", 403, body=body, times=9))
    with pytest.raises(ForgeError, match="`contents: write`"):
        release(asked("v1.0.0", publish=True), QUIET)
    said = capsys.readouterr()
    assert json.loads(said.out)["tag"] == "flight-delay#production#1"
    assert json.loads(said.out)["published"] is None
    again = ["release", "--tag", "flight-delay#production#1", "--target", "none", "--publish"]
    assert " ".join(again).replace("flight-delay#production#1", "'flight-delay#production#1'") in said.err
    shelves.server.proxy.faults.clear()
    assert cli.main(again) == 0
    assert f"created: {page(shelves, 'v1.0.0')['html_url']}" in capsys.readouterr().out


def test_without_a_token_or_for_another_repository_nothing_is_tagged(
    world: World, shelves: Shelves, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(ForgeError, match="no token"):
        release(asked("v1.0.0", publish=True), QUIET)
    monkeypatch.setenv("GITHUB_TOKEN", f"{ROBOT}-token")
    git(world.root, "remote", "set-url", "origin", "https://github.com/octo/another.git")
    with pytest.raises(ConfigError, match="origin is 'octo/another'"):
        release(asked("v1.0.0", publish=True), QUIET)
    assert not any("#production#" in name for name in world.tags())


def test_a_tag_that_stands_is_deployed_before_anybody_asks_for_a_token(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """CI releases by tag: a rollback must not wait for the settings of a page."""
    assert release(asked("v1.0.0"), QUIET) == 0
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    capsys.readouterr()
    with pytest.raises(ForgeError, match="no token"):
        release(asked(tag="flight-delay#production#1", publish=True), QUIET)
    assert json.loads(capsys.readouterr().out)["version"] == "v1.0.0", "what production has is told"


def test_a_server_that_is_not_github_is_asked_by_its_own_address(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the token goes to api.github.com, and the page to whoever has that name there."""
    monkeypatch.delenv("GITHUB_API_URL", raising=False)
    monkeypatch.setenv("GITHUB_TOKEN", "a token")
    monkeypatch.setenv("GITHUB_REPOSITORY", REPOSITORY)
    git(world.root, "remote", "set-url", "origin", "https://github.example.com/octo/flights.git")
    with pytest.raises(ConfigError, match=r"not on github\.com"):
        publishing.shelf(Git(world.root))


def test_the_plan_says_what_becomes_of_the_page(
    world: World, shelves: Shelves, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["release", "v1.0.0", "--target", "none", "--publish", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert f"publish  create the release of flight-delay@v1.0.0, with {', '.join(NAMES)}" in out
    assert shelves.server.proxy.writes() == [] and world.book().history("production") == []


def test_bytes_that_are_not_the_records_are_not_published(world: World, shelves: Shelves) -> None:
    """They change between the check of the version and the reading."""
    md5 = first_record(world).artifacts["sbom"].md5

    def before(step: str) -> None:
        for place in (world.store(md5), world.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
            if step == "publish" and place.exists():
                place.chmod(0o644)
                place.write_bytes(b"evil")

    with pytest.raises((IntegrityError, StorageError)):
        release(asked("v1.0.0", publish=True), dataclasses.replace(QUIET, before=before))
    assert [one["draft"] for one in shelves.releases()] == [True]


def test_a_card_that_is_not_the_locks_is_refused(world: World) -> None:
    release(asked("v1.0.0"), QUIET)
    book, record = world.book(), first_record(world)
    assert publishing.prepare(Git(), book, record).page.latest
    assert not publishing.prepare(Git(), dataclasses.replace(book, tags=()), record).page.latest
    (world.root / "models/MODEL_CARD.md").write_text("evil")
    git(world.root, "add", "--all")
    git(world.root, *tagging.IDENTITY, "commit", "--quiet", "--message", "evil")
    evil = record.model_copy(update={"commit": git(world.root, "rev-parse", "HEAD")})
    with pytest.raises(IntegrityError, match="is not the one of its lock"):
        publishing.prepare(Git(), book, evil)


def test_an_interval_stands_only_beside_its_own_value() -> None:
    figures = {"log_loss": 0.5, "ece": None, "roc_auc": 0.7}
    record = tagging.record("m", "v1.0.0", "a" * 40).model_copy(update={"figures": figures})
    metrics = Metrics(
        task="binary", rows=10, blocks=5, resamples=100, confidence=0.95, parameters=1, model_bytes=1,
        threshold=0.5, slices=[], worst_slice=None, importance={},
        figures={
            "log_loss": Figure(value=0.5, low=0.4, high=0.6), "roc_auc": Figure(value=0.8, low=0.7, high=0.9),
        },
        baselines={"base_rate": {"log_loss": Figure(value=0.6, low=None, high=None)}},
    )  # fmt: skip
    text = notes.notes(record, metrics, [], {})
    assert "| log loss | 0.5000 [0.4000, 0.6000] | 0.6000 |" in text
    assert "| ece | undefined | undefined |" in text
    assert "| roc auc | 0.7000 | undefined |" in text, "another value is another model's"
    assert "no interval is known" in notes.notes(record, None, [], {})
