"""promote.yml and release.yml as they are, run by the real act: tags on origin, and what they start."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from mainline import releases
from tests import clones
from tests.servers import ROBOT, GitHubServer, github
from tests.shelves import Shelves
from tests.workflows.act import DEFAULT, Ran
from tests.workflows.conftest import World

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("act")]


VERSION, STAGING, PRODUCTION = "wine@v1.0.0", "wine#staging#1", "wine#production#1"


@pytest.fixture(scope="module")
def forge() -> Iterator[GitHubServer]:
    with github() as server:
        yield server


def tags(world: World) -> dict[str, str]:
    """Objects by name, on origin."""
    form = "--format=%(refname:strip=2) %(objectname)"
    return dict(map(str.split, clones.git(world.origin, "for-each-ref", form, "refs/tags").splitlines()))


def promoted(world: World) -> Ran:
    """promote.yml for a push to main."""
    return world.run("promote.yml", "push", {"ref": f"refs/heads/{DEFAULT}"}, DEFAULT)


def released(world: World, tag: str, forge: GitHubServer) -> Ran:
    """release.yml for a push of the tag."""
    payload = {"ref": f"refs/tags/{tag}"}
    return world.run("release.yml", "push", payload, DEFAULT, GITHUB_API_URL=forge.url)


def tagged(world: World, *arguments: str) -> None:
    """`mainline ARGUMENTS` on a release manager's machine."""
    world.runs += 1
    root = world.clone(DEFAULT)
    clones.git(root, "config", "user.name", "Grace")
    clones.git(root, "config", "user.email", "grace@example.org")
    store = str(world.folder / "store")
    (root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    url = {store}\n")
    done = clones.mainline(root, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def merge(world: World, branch: str, file: str = "README.md", text: str = "# words\n") -> str:
    """main is at a new commit that changes this file; the commit."""
    sha = world.change(branch, file, text)
    clones.git(world.origin, "update-ref", f"refs/heads/{DEFAULT}", branch)
    return sha


def test_a_merge_is_promoted_once_and_a_tag_releases_it(world: World, forge: GitHubServer) -> None:
    shelves = Shelves(forge)
    merge(world, "first")
    ran = promoted(world)
    assert ran.code == 0, ran.output
    assert ran.jobs == {"promote": "success"}, "no target is configured: nothing is deployed"
    first = tags(world)
    assert set(first) == {VERSION, STAGING}
    record = releases.parse(clones.git(world.origin, "cat-file", "tag", VERSION))
    assert record.commit == clones.git(world.origin, "rev-parse", DEFAULT)
    assert record.gate.verdict == "promote"
    assert {"bento", "sbom", "provenance"} <= set(record.artifacts)

    merge(world, "words", text="# other words\n")
    world.variables["DEPLOY_TARGET"] = "kubernetes"  # which an image is missing for: the verb was reached
    ran = promoted(world)
    assert ran.jobs == {"promote": "success", "deploy": "failure"}, ran.output
    assert "v1.0.0 has no image" in ran.output
    assert tags(world) == first, "the package is the same"
    world.variables.clear()

    tagged(world, "release", "v1.0.0", "--target", "none")
    before = tags(world)
    assert set(before) == {*first, PRODUCTION}
    for result in ("created", "unchanged"):
        ran = released(world, PRODUCTION, forge)
        assert ran.code == 0, ran.output
        assert ran.jobs == {"release": "success"}
        assert "wine v1.0.0 is in production" in ran.output
        assert f"release:   {result}: " in ran.output
        assert tags(world) == before
    (page,) = shelves.releases()
    assert (page["tag_name"], page["draft"], page["author"]["login"]) == (VERSION, False, ROBOT)
    assert shelves.latest == page["id"]
    files = shelves.contents(page["id"])
    assert {hashlib.sha256(content).hexdigest() for content in files.values()} >= {
        one.sha256 for name, one in record.artifacts.items() if name != "bento"
    }
    card = clones.git(world.origin, "show", f"{record.commit}:models/MODEL_CARD.md")
    assert files["MODEL_CARD.md"].decode().strip() == card
    assert "| accuracy | " in page["body"] and "[" in page["body"].split("| accuracy | ")[1][:20]
    ran = released(world, STAGING, forge)
    assert ran.jobs == {"release": "failure"}, "a tag that is not production's is refused"


def test_a_merge_that_was_overtaken_promotes_nothing_and_fails_nothing(world: World) -> None:
    merge(world, "first")
    merge(world, "second", text="# other words\n")
    world.variables["DEPLOY_TARGET"] = "kubernetes"
    ran = world.run("promote.yml", "push", {"ref": f"refs/heads/{DEFAULT}"}, "first")
    assert ran.code == 0, ran.output
    assert ran.jobs == {"promote": "success"}, "there is no version to deploy"
    assert "HEAD is not what main is" in ran.output
    assert tags(world) == {}


def test_a_run_by_hand_on_another_branch_has_no_keys(world: World) -> None:
    world.change("idea", "README.md", "# words\n")
    ran = world.run("promote.yml", "workflow_dispatch", {"ref": "refs/heads/idea", "inputs": {}}, "idea")
    assert ran.jobs == {}, ran.output
