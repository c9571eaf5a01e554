"""The forge: git over HTTP, who may push, a cut in the middle, pull requests with real commits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainline import trailers
from mainline.report.headline import ACCEPT
from tests import clones
from tests.e2e import leftovers
from tests.e2e.gitserver import ZERO, Pushed
from tests.e2e.hub import APP_TOKEN, MAIN, Hub
from tests.e2e.hubserver import hub
from tests.servers import REPOSITORY

pytestmark = pytest.mark.slow

TRAILER = "Stage-Seconds: train=26.1"


@pytest.fixture
def forge(tmp_path: Path) -> Iterator[Hub]:
    with hub(tmp_path) as server:
        yield server


def work(forge: Hub, folder: Path, token: str) -> Path:
    """A clone with one pushed commit on main."""
    root = folder / "work"
    clones.git(folder, "clone", "--quiet", forge.origin(token), str(root))
    clones.git(root, "checkout", "--quiet", "-B", MAIN)
    (root / "large").write_bytes(bytes(range(256)) * 8000)  # git sends more than a megabyte in chunks
    clones.commit(root, "first")
    return root


def test_a_push_is_told_with_its_token_and_comes_back(forge: Hub, tmp_path: Path) -> None:
    told: list[Pushed] = []
    forge.pushed = told.append
    root = work(forge, tmp_path, APP_TOKEN)
    clones.git(root, "push", "--quiet", "origin", MAIN)
    sha = clones.git(root, "rev-parse", "HEAD")
    assert told == [Pushed("refs/heads/main", ZERO, sha, APP_TOKEN)]
    clones.git(tmp_path, "clone", "--quiet", forge.origin(), str(tmp_path / "again"))
    assert (tmp_path / "again/large").read_bytes() == (root / "large").read_bytes()


@pytest.mark.parametrize("token", ["", "stranger-token", "wrong"])
def test_who_may_not_write_is_refused(forge: Hub, tmp_path: Path, token: str) -> None:
    root = work(forge, tmp_path, token)
    with pytest.raises(AssertionError, match=r"could not read|403|Authentication failed"):
        clones.git(root, "-c", "core.askPass=true", "push", "--quiet", "origin", MAIN)
    assert forge.repository.refs() == {}


def test_a_push_that_is_cut_changes_nothing_and_the_next_one_arrives(forge: Hub, tmp_path: Path) -> None:
    told: list[Pushed] = []
    forge.pushed = told.append
    root = work(forge, tmp_path, "ada-token")
    forge.repository.cuts = ["pack"]
    with pytest.raises(AssertionError):
        clones.git(root, "push", "--quiet", "origin", MAIN)
    assert forge.repository.refs() == {} and told == []
    clones.git(root, "push", "--quiet", "origin", MAIN)
    assert list(forge.repository.refs()) == ["refs/heads/main"] and len(told) == 1


def test_a_pull_request_has_the_commits_of_git_and_is_squashed_by_git(forge: Hub, tmp_path: Path) -> None:
    acts: list[str] = []
    forge.acted = lambda action, pull, token: acts.append(f"{action} {pull.number} {token}")
    root = work(forge, tmp_path, "ada-token")
    clones.git(root, "push", "--quiet", "origin", MAIN)
    clones.git(root, "checkout", "--quiet", "-b", "topic")
    (root / "a").write_text("a")
    clones.commit(root, "a")
    clones.git(root, "push", "--quiet", "origin", "topic")
    pull = forge.open_pull("topic", "A topic", "", "ada")
    (root / "b").write_text("b")
    clones.commit(root, f"b\n\n{TRAILER}")
    clones.git(root, "push", "--quiet", "origin", "topic")
    assert forge.pull(pull.number).sha == clones.git(root, "rev-parse", "HEAD"), "emulate keeps the first one"
    clones.git(root, "checkout", "--quiet", MAIN)
    (root / "c").write_text("c")
    clones.commit(root, "the base moves")
    clones.git(root, "push", "--quiet", "origin", MAIN)
    base = clones.git(root, "rev-parse", "HEAD")
    forge.may_merge = lambda _: "no"
    with pytest.raises(ValueError, match="no"):
        forge.merge(pull.number, "grace-token")
    forge.may_merge = lambda _: ""
    with pytest.raises(ValueError, match="not up to date"):
        forge.merge(pull.number, "grace-token")
    forge.update(pull.number, "ada-token")
    forge.merge(pull.number, "grace-token")
    clones.git(root, "pull", "--quiet", "origin", MAIN)
    assert {"a", "b", "c"} <= {path.name for path in root.iterdir()}
    parents, message = clones.git(root, "log", "-1", "--format=%P%x00%B").split("\0")
    assert parents == base, "main's history is linear"
    assert message == f"A topic (#{pull.number})\n\n* a\n\n* b\n\n{TRAILER}"
    assert trailers.read(message).seconds == {"train": 26.1}, "promote and the bot read them on main"
    assert forge.pull(pull.number).content["merged"] is True
    assert forge.repository.tip("topic") is None
    assert acts == [f"opened {pull.number} ada-token", f"closed {pull.number} grace-token"]
    assert REPOSITORY in forge.home


def test_a_label_is_part_of_the_event_when_the_pull_request_is_opened_again(
    forge: Hub, tmp_path: Path
) -> None:
    """There `ci.yml` reads `accept-hold`. The label itself starts nothing, as our workflows have it."""
    root = work(forge, tmp_path, "ada-token")
    clones.git(root, "push", "--quiet", "origin", MAIN, f"{MAIN}:topic")
    pull = forge.open_pull("topic", "A topic", "", "ada")
    acts: list[tuple[str, list[str]]] = []
    forge.acted = lambda action, pull, _: acts.append(
        (action, [label["name"] for label in pull.content["labels"]])
    )
    forge.label(pull.number, ACCEPT, "grace")
    forge.set_state(pull.number, "closed", "grace")
    forge.set_state(pull.number, "open", "grace")
    assert acts == [("closed", [ACCEPT]), ("reopened", [ACCEPT])]


def test_what_was_started_is_found_by_its_mark_and_ended(tmp_path: Path) -> None:
    """Detached twice, as a service is."""
    command = "setsid sh -c 'sleep 600 & sleep 600' > /dev/null 2>&1 &"
    subprocess.run(
        ["sh", "-c", command], env={"PATH": "/usr/bin:/bin", leftovers.MARK: str(tmp_path)}, check=True
    )
    assert leftovers.marked(str(tmp_path))
    assert leftovers.end(str(tmp_path)) >= 1
    assert leftovers.marked(str(tmp_path)) == []
