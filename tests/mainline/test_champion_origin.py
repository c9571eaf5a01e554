"""Origin's word on the main branch and on production, in clones of real repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from mainline import champion, mainbranch
from mainline.errors import GitError
from mainline.exported import LOCK
from mainline.git import Git
from mainline.records import Manifest
from tests import clones
from tests.mainline.test_champion import (
    export,
    find,
    md5,
    relock,
    repository,  # noqa: F401
    template,  # noqa: F401
    told,
)
from tests.tagging import stage as tag

TAG = "flight-delay#production#{}"


@pytest.fixture
def clone(repository: Path, tmp_path: Path) -> Path:  # noqa: F811
    root = tmp_path / "clone"
    clones.git(tmp_path, "clone", "--quiet", str(repository), str(root))
    return root


def test_a_release_after_the_last_fetch_counts(repository: Path, clone: Path) -> None:  # noqa: F811
    """The clone knows origin's main, and tags of yesterday."""
    tag(repository, TAG.format(1))
    clones.git(clone, "fetch", "--quiet", "--tags")
    export(repository, "two")
    tag(repository, TAG.format(2))
    found = find(clone)
    assert told(found) == ("production", TAG.format(2)) and found.warnings == ()
    assert found.exported and found.exported.model_md5 == md5(b"two")


def test_a_tag_that_never_arrived_is_no_production(repository: Path, clone: Path) -> None:  # noqa: F811
    """What the loser of a race, or a withdrawn release, leaves behind."""
    tag(repository, TAG.format(1))
    tag(clone, TAG.format(9))
    assert told(find(clone)) == ("production", TAG.format(1))
    clones.git(repository, "tag", "--delete", TAG.format(1))
    assert told(find(clone)) == ("main", "origin/main")


def test_a_tag_that_is_another_one_here_is_origins(repository: Path, clone: Path) -> None:  # noqa: F811
    tag(clone, TAG.format(1))
    two = export(repository, "two")
    tag(repository, TAG.format(1))
    assert find(clone).champion.commit == two


def test_without_origin_this_clones_tags_and_a_warning(repository: Path, clone: Path) -> None:  # noqa: F811
    tag(clone, TAG.format(1))
    repository.rename(repository.with_name("gone"))
    found = find(clone)
    assert told(found) == ("production", TAG.format(1))
    assert len(found.warnings) == 1 and "origin cannot be asked for production tags" in found.warnings[0]
    clones.git(clone, "remote", "remove", "origin")
    assert find(clone).warnings == ()


def test_the_main_branch_is_origins_default_whatever_it_is_called(
    repository: Path,  # noqa: F811
    clone: Path,
    tmp_path: Path,
) -> None:
    """A branch that happens to be called main is not it; nor is what the clone remembers after a renaming."""
    assert told(find(clone)) == ("main", "origin/main")
    clones.git(repository, "switch", "--quiet", "--create", "trunk")
    trunk = export(repository, "two")
    base = mainbranch.main_branch(Git(clone))
    assert base and (base.name, base.tip) == ("origin/trunk", trunk)
    single = tmp_path / "single"
    clones.git(
        tmp_path, "clone", "--quiet", "--single-branch", "-b", "main", repository.as_uri(), str(single)
    )
    base = mainbranch.main_branch(Git(single))
    assert base and (base.name, base.tip) == ("origin/trunk", trunk)
    repository.rename(repository.with_name("gone"))
    base = mainbranch.main_branch(Git(clone))
    assert base and base.name == "origin/main", "as it remembers"
    clones.git(clone, "remote", "set-head", "origin", "--delete")
    base = mainbranch.main_branch(Git(clone))
    assert base and base.name == "origin/main", "as most are called"
    clones.git(clone, "update-ref", "-d", "refs/remotes/origin/main")
    with pytest.raises(GitError):
        mainbranch.main_branch(Git(clone))


def test_an_origin_without_a_default_branch_has_no_main(repository: Path, clone: Path) -> None:  # noqa: F811
    """Not the local one: nobody reviewed what is on that."""
    clones.git(repository, "branch", "--move", "other")
    clones.git(repository, "checkout", "--quiet", "--detach")
    assert clones.git(clone, "branch", "--show-current") == "main"
    assert mainbranch.has_origin(Git(clone))
    assert mainbranch.main_branch(Git(clone)) is None


@pytest.mark.parametrize(("change", "same"), [({"threshold": 0.9}, False), ({"code": {"a": "b"}}, True)])
def test_the_same_bytes_with_another_threshold_are_another_model(
    repository: Path,  # noqa: F811
    change: dict,
    same: bool,
) -> None:
    clones.git(repository, "switch", "--quiet", "--create", "feature")
    record = Manifest.read(repository / Manifest.location).model_copy(update=change)
    record.write(repository / Manifest.location)
    relock(repository, Manifest.location)
    clones.commit(repository, "another manifest")
    git, candidate = Git(repository), champion.here(repository)
    base = mainbranch.main_branch(git)
    assert base is not None
    theirs = champion.at(git, base.tip)
    assert theirs is not None and theirs.model_md5 == candidate.model_md5
    assert champion.same_model(candidate, theirs) is same
    assert (champion.unchanged(git, base, candidate) is not None) is same


def test_a_lock_left_over_in_git_is_not_read(repository: Path) -> None:  # noqa: F811
    """A stage that dvc.yaml of that very commit no longer has."""
    (repository / "dvc.yaml").write_text((repository / "dvc.yaml").read_text().replace("  make:", "  made:"))
    clones.commit(repository, "renamed, never run")
    assert champion.at(Git(repository), "HEAD") is None
    before = champion.at(Git(repository), "HEAD~1")
    assert before and (repository / LOCK).exists()
