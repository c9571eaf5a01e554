"""Finding and fetching the champion, in real Git and DVC repositories with a real remote folder."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mainline import champion, ledger, mainbranch, releases
from mainline.errors import ConfigError, GitError, IntegrityError, StorageError
from mainline.exported import LOCK, MODEL, TEST, read_exported
from mainline.git import Git
from mainline.locks import judge
from mainline.records import Manifest, Metrics
from mainline.storage import Dvc
from tests import clones, tagging
from tests.tagging import stage as tag

PIPELINE = """\
stages:
  make:
    cmd: python make.py
    deps: [make.py]
    outs: [models/model.onnx]
    metrics:
      - models/manifest.json: {cache: false}
      - reports/metrics.json: {cache: false}
  rows:
    cmd: python rows.py
    deps: [rows.py]
    outs: [data/features]
  check:
    cmd: python -c pass
    deps: [data/features/test.parquet]
"""
MODEL_NAME = "flight-delay"


def manifest(content: bytes) -> Manifest:
    return Manifest(
        task="binary", inputs=[], outputs=["probability"], classes=[], threshold=0.5, vocabularies={},
        windows={"train": ["2013-01", "2013-08"], "test": ["2013-10", "2013-10"]}, device_class="cpu",
        files={"model.onnx": hashlib.sha256(content).hexdigest()}, code={},
    )  # fmt: skip


METRICS = Metrics(
    task="binary", rows=10, blocks=10, resamples=100, confidence=0.95, parameters=1, model_bytes=1,
    threshold=0.5, figures={}, baselines={}, slices=[], worst_slice=None, importance={},
)  # fmt: skip


def export(root: Path, content: str) -> str:
    """A model in the work tree and on the remote, its records, and a lock that names them; the commit."""
    (root / MODEL).unlink(missing_ok=True)  # it may be a link into the cache
    (root / MODEL).write_text(content)
    manifest(content.encode()).write(root / Manifest.location)
    METRICS.write(root / Metrics.location)
    stored = remote_object(root, content.encode())
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(content)
    relock(root, Path(MODEL), Manifest.location, Metrics.location)
    clones.commit(root, content)
    return clones.git(root, "rev-parse", "HEAD")


def relock(root: Path, *paths: Path) -> None:
    """Write what these files are now into the lock, by hand."""
    lock = yaml.safe_load((root / LOCK).read_text())
    for stage in lock["stages"].values():
        for out in stage.get("outs", []):
            if Path(out["path"]) in paths:
                content = (root / out["path"]).read_bytes()
                out.update(md5=md5(content), size=len(content))
    (root / LOCK).write_text(yaml.safe_dump(lock))


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def remote_object(root: Path, content: bytes) -> Path:
    name = md5(content)
    return root.parent / "store/files/md5" / name[:2] / name[2:]


def dvc(root: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`main` has model one; the remote is a folder."""
    root = tmp_path_factory.mktemp("champion") / "repository"
    root.mkdir()
    clones.git(root, "init", "--quiet", "--initial-branch=main")
    dvc(root, "init", "-q")
    dvc(root, "remote", "add", "-q", "-d", "store", "../store")
    (root / ".gitignore").write_text("/.mainline/\n")
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("gate: {}\n")
    (root / "rows.py").write_text(
        "import os; os.makedirs('data/features', exist_ok=True)\n"
        "[open(f'data/features/{n}.parquet', 'w').write(n) for n in ('train', 'test')]"
    )
    (root / "make.py").write_text(
        "import os, shutil\n"
        "for path in ('models/model.onnx', 'models/manifest.json', 'reports/metrics.json'):\n"
        "    os.makedirs(os.path.dirname(path), exist_ok=True); shutil.copy('first/' + path, path)"
    )
    for name in (MODEL, Manifest.location, Metrics.location):
        (root / "first" / name).parent.mkdir(parents=True, exist_ok=True)
    (root / "first" / MODEL).write_text("one")
    manifest(b"one").write(root / "first" / Manifest.location)
    METRICS.write(root / "first" / Metrics.location)
    dvc(root, "repro", "-q")
    dvc(root, "push", "-q")
    clones.commit(root, "one")
    return root.parent


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A copy with its own remote, so that a test may break either."""
    subprocess.run(["cp", "-r", template, tmp_path / "world"], check=True)
    return tmp_path / "world" / "repository"


def find(root: Path, chosen: str | None = None) -> champion.Found:
    git = Git(root)
    return champion.find(git, MODEL_NAME, mainbranch.main_branch(git), chosen)


def told(found: champion.Found) -> tuple[str, str]:
    return found.champion.kind, found.champion.name


def test_main_until_something_is_in_production(repository: Path) -> None:
    clones.git(repository, "switch", "--quiet", "--create", "feature")
    export(repository, "two")
    found = find(repository)
    assert told(found) == ("main", "main")
    assert found.exported and found.exported.model_md5 == md5(b"one")
    assert champion.here(repository).model_md5 == md5(b"two")


def test_a_branch_that_does_not_touch_the_model_is_held_against_mains(repository: Path) -> None:
    """Else a hold that was accepted at the merge would come back on every change of words."""
    git = Git(repository)
    tag(repository, "flight-delay#production#1")
    export(repository, "merged, not yet released")
    clones.commit(repository, "another model")
    base = mainbranch.main_branch(git)
    assert champion.unchanged(git, base, champion.here(repository)) is None, "on main production counts"
    clones.git(repository, "checkout", "--quiet", "-b", "words")
    clones.commit(repository, "words")
    found = champion.unchanged(git, base, champion.here(repository))
    assert found and told(found) == ("main", "main")
    export(repository, "a third")
    clones.commit(repository, "a third model")
    assert champion.unchanged(git, base, champion.here(repository)) is None


def test_a_branch_of_words_is_held_against_what_it_left_though_main_has_another_model(
    repository: Path,
) -> None:
    git, left = Git(repository), clones.git(repository, "rev-parse", "HEAD")
    clones.git(repository, "checkout", "--quiet", "-b", "words")
    assert champion.unchanged(git, mainbranch.main_branch(git), champion.here(repository)) is None
    clones.commit(repository, "words")
    clones.git(repository, "checkout", "--quiet", "main")
    export(repository, "merged meanwhile")
    clones.commit(repository, "another model")
    clones.git(repository, "checkout", "--quiet", "--force", "words")
    found = champion.unchanged(git, mainbranch.main_branch(git), champion.here(repository))
    assert found and (*told(found), found.champion.commit) == ("main", "main", left)
    clones.git(repository, "checkout", "--quiet", "--detach", left)
    base = mainbranch.main_branch(git)
    assert champion.unchanged(git, base, champion.here(repository)) is None, "an older main is no branch"


def test_the_newest_production_tag_wins_and_others_do_not_count(repository: Path) -> None:
    for name in ("flight-delay#production#2", "flight-delay#staging#11", "other#production#12"):
        tag(repository, name)
    export(repository, "two")
    tag(repository, "flight-delay#production#10")
    two = clones.git(repository, "rev-parse", "HEAD")
    export(repository, "three")
    found = find(repository)
    assert told(found) == ("production", "flight-delay#production#10")
    assert found.champion.commit == two, "the commit, not the annotated tag"
    assert told(find(repository, "flight-delay#production#2")) == ("chosen", "flight-delay#production#2")


def test_a_production_tag_that_nobody_may_rely_on_is_passed_over_with_a_word(repository: Path) -> None:
    """Who may push a tag could choose a weak champion: `release` refuses these, and `status` shows none."""
    tag(repository, "flight-delay#production#1")
    one = clones.git(repository, "rev-parse", "HEAD")
    weak = export(repository, "weak")
    clones.git(repository, "tag", "flight-delay#production#2")
    tagging.annotate(repository, "flight-delay#production#3", "release")
    clones.git(repository, "tag", "flight-delay#production#4", "flight-delay#production#3")
    tagging.annotate(repository, "flight-delay@v9.0.0", releases.write(
        tagging.record("other", "v9.0.0", weak), "words"))  # fmt: skip
    tagging.annotate(repository, "flight-delay#production#5", "release")
    tagging.annotate(repository, "flight-delay#production#6", "release", f"{weak}^{{tree}}")
    found = find(repository)
    assert told(found) == ("production", "flight-delay#production#1") and found.champion.commit == one
    said = [f"flight-delay#production#{number} is passed over: {why}" for number, why in (
        (6, "it does not point to a commit"), (5, "no version with a record"), (4, "inside it is called"),
        (3, "no version with a record"), (2, "it is a lightweight tag"),
    )]  # fmt: skip
    assert [word.startswith(start) for word, start in zip(found.warnings, said, strict=True)] == [True] * 5
    clones.git(repository, "tag", "--delete", "flight-delay#production#1")
    found = find(repository)
    assert told(found) == ("main", "main") and len(found.warnings) == 5


def test_a_production_tag_of_nobody_who_may_sign_is_passed_over(repository: Path) -> None:
    tag(repository, "flight-delay#production#1")
    (repository.parent / "allowed").touch()
    clones.git(repository, "config", ledger.SIGNERS, str(repository.parent / "allowed"))
    found = find(repository)
    assert told(found) == ("main", "main")
    assert "is not signed by an allowed signer" in found.warnings[0]


def test_origins_main_comes_before_the_local_one(repository: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clones.git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (clone / "new").touch()
    clones.commit(clone, "local main is ahead")
    found = find(clone)
    assert told(found) == ("main", "origin/main")
    assert found.champion.commit == clones.git(repository, "rev-parse", "HEAD")


def test_without_a_main_or_a_model_on_it_there_are_the_baselines(repository: Path) -> None:
    clones.git(repository, "branch", "--move", "trunk")
    assert told(find(repository)) == ("baselines", "the baselines")
    (repository / LOCK).unlink()
    clones.commit(repository, "no lock")
    clones.git(repository, "branch", "main")
    assert told(find(repository)) == ("baselines", "the baselines")
    with pytest.raises(StorageError, match="no candidate"):
        champion.here(repository)


def test_a_production_tag_without_a_model_is_no_reason_to_compare_with_less(repository: Path) -> None:
    clones.git(repository, "rm", "--quiet", LOCK)
    clones.commit(repository, "no lock")
    tag(repository, "flight-delay#production#1")
    with pytest.raises(StorageError, match="flight-delay#production#1 has no exported model"):
        find(repository)


@pytest.mark.parametrize("ref", ["nowhere", "-x", "--all", "main:params.yaml", "", "HEAD\n"])
def test_a_ref_that_is_no_commit_is_an_error(repository: Path, ref: str) -> None:
    with pytest.raises(GitError, match="is no commit here"):
        find(repository, ref)


@pytest.mark.parametrize("tagged", [False, True])
def test_a_single_branch_clone_asks_origin(repository: Path, tmp_path: Path, tagged: bool) -> None:
    """Such a clone lacks main and tags: it must not fall back to comparing with less."""
    clones.git(repository, "switch", "--quiet", "--create", "feature")
    export(repository, "two")
    clones.git(repository, "switch", "--quiet", "main")
    export(repository, "three")
    if tagged:
        tag(repository, "flight-delay#production#7")
    clone = tmp_path / "clone"
    clones.git(
        tmp_path, "clone", "--quiet", "--single-branch", "--branch=feature", repository.as_uri(), str(clone)
    )
    found, base = find(clone), mainbranch.main_branch(Git(clone))
    assert told(found) == (("production", "flight-delay#production#7") if tagged else ("main", "origin/main"))
    assert found.exported and found.exported.model_md5 == md5(b"three")
    assert base and base.fork != base.tip, "the history came with it"
    shutil.rmtree(repository)
    with pytest.raises(GitError):
        find(clone)


def test_the_fork_is_where_the_branch_left_main(repository: Path) -> None:
    left = clones.git(repository, "rev-parse", "HEAD")
    clones.git(repository, "switch", "--quiet", "--create", "feature")
    clones.commit(repository, "ours")
    clones.git(repository, "switch", "--quiet", "main")
    (repository / "params.yaml").write_text("gate: {a: 1}\n")
    clones.commit(repository, "theirs")
    clones.git(repository, "switch", "--quiet", "feature")
    base = mainbranch.main_branch(Git(repository))
    assert base and base.fork == left and base.tip != left
    assert champion.parameters(Git(repository), base.tip) == {"gate": {"a": 1}}
    assert champion.parameters(Git(repository), base.fork) == {"gate": {}}


@pytest.mark.parametrize("content", [None, "", "- a\n", "a: [", "\udcff"])
def test_parameters_that_cannot_be_read_are_an_error_of_ours(repository: Path, content: str | None) -> None:
    if content is None:
        (repository / "params.yaml").unlink()
    else:
        (repository / "params.yaml").write_bytes(content.encode(errors="surrogateescape"))
    clones.commit(repository, "odd")
    with pytest.raises(ConfigError, match=r"params\.yaml of"):
        champion.parameters(Git(repository), "HEAD")


# Fetching.


def fresh(repository: Path, tmp_path: Path) -> Path:
    """A clone with an empty cache, beside the repository, so that the remote's path fits."""
    clone = repository.parent / "fresh"
    clones.git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    return clone


def test_a_fresh_clone_fetches_three_files_and_nothing_else(repository: Path, tmp_path: Path) -> None:
    clones.git(repository, "switch", "--quiet", "--create", "feature")
    export(repository, "two")
    clones.git(repository, "switch", "--quiet", "main")  # what HEAD is on is origin's default
    clone = fresh(repository, tmp_path)
    clones.git(clone, "switch", "--quiet", "feature")
    found = find(clone)
    assert found.exported
    champion.fetch_candidate(clone, champion.here(clone))
    champion.fetch_champion(clone, found.exported)
    assert (clone / MODEL).read_text() == "two"
    assert (clone / champion.ROWS).read_text() == "test"
    assert not (clone / "data/features").exists(), "a part of an output would make the lock stale"
    assert {path.name for path in (clone / champion.FOLDER).iterdir()} == {
        "model.onnx", "manifest.json", "metrics.json",
    }  # fmt: skip
    assert (clone / champion.FOLDER / "model.onnx").read_text() == "one"
    assert len([path for path in (clone / ".dvc/cache").rglob("*") if path.is_file()]) == 3


def test_a_fetch_leaves_the_lock_current_and_runs_again(repository: Path, tmp_path: Path) -> None:
    clone = fresh(repository, tmp_path)
    for _ in range(2):
        champion.fetch_candidate(clone, champion.here(clone))
        assert judge(Dvc(clone).survey(), "c" * 40).state == "current"
    old = clone / champion.ROWS
    old.write_text("rows of an older candidate")
    champion.fetch_candidate(clone, champion.here(clone))
    assert old.read_text() == "test"
    dvc(clone, "pull", "-q")
    champion.fetch_candidate(clone, champion.here(clone))
    assert not old.exists(), "what is in the work tree counts"


def test_what_is_here_is_not_fetched_again(repository: Path) -> None:
    shutil.rmtree(repository / ".dvc/cache")
    shutil.rmtree(repository.parent / "store")
    before = (repository / MODEL).stat()
    champion.fetch_candidate(repository, champion.here(repository))
    assert (repository / MODEL).stat() == before, "the file that was there"


def test_an_object_that_is_nowhere_is_named(repository: Path, tmp_path: Path) -> None:
    remote_object(repository, b"one").unlink()
    clone = fresh(repository, tmp_path)
    with pytest.raises(StorageError, match=f"neither the cache nor the remote has {MODEL}"):
        champion.fetch_candidate(clone, champion.here(clone))
    assert not (clone / MODEL).exists()


def test_a_champion_that_is_nowhere_is_named_with_its_commit(repository: Path, tmp_path: Path) -> None:
    remote_object(repository, b"one").unlink()
    clone = fresh(repository, tmp_path)
    with pytest.raises(StorageError) as caught:
        champion.fetch_champion(clone, champion.here(clone), of="origin/main (3b47f08)")
    assert caught.value.what == f"{MODEL} of origin/main (3b47f08) cannot be fetched"
    assert "neither the cache nor the remote" in caught.value.why
    assert str(champion.FOLDER) not in str(caught.value), "a path that nobody knows"
    assert "`dvc push` from a checkout of that commit" in caught.value.remedy


def test_no_remote_is_an_error_of_ours(repository: Path, tmp_path: Path) -> None:
    dvc(repository, "remote", "remove", "-q", "store")
    clones.commit(repository, "no remote")
    clone = fresh(repository, tmp_path)
    with pytest.raises(StorageError, match=r"model\.onnx"):
        champion.fetch_candidate(clone, champion.here(clone))


def test_a_tampered_object_on_the_remote_is_refused(repository: Path, tmp_path: Path) -> None:
    path = remote_object(repository, b"one")
    path.chmod(0o644)
    path.write_bytes(b"evil")
    clone = fresh(repository, tmp_path)
    with pytest.raises((IntegrityError, StorageError)):
        champion.fetch_champion(clone, champion.here(clone))
    assert not (clone / champion.FOLDER / "model.onnx").exists()


def test_a_tampered_object_in_the_cache_is_refused(repository: Path, tmp_path: Path) -> None:
    clone = fresh(repository, tmp_path)
    champion.fetch_champion(clone, champion.here(clone))
    name = md5(b"one")
    path = clone / ".dvc/cache/files/md5" / name[:2] / name[2:]
    path.chmod(0o644)
    path.write_bytes(b"evil")
    with pytest.raises(IntegrityError, match="something else under the name"):
        champion.fetch_champion(clone, champion.here(clone))
    assert not (clone / champion.FOLDER / "model.onnx").exists()


def test_a_model_that_its_manifest_does_not_name_is_refused(repository: Path) -> None:
    """The lock and the object agree, but the manifest, whose digest the lock has too, names another."""
    record = json.loads((repository / Manifest.location).read_text())
    record["files"]["model.onnx"] = "0" * 64
    (repository / Manifest.location).write_text(json.dumps(record))
    relock(repository, Manifest.location)
    with pytest.raises(IntegrityError, match="not the file that its manifest names"):
        champion.fetch_champion(repository, champion.here(repository))
    assert not (repository / champion.FOLDER).exists()


@pytest.mark.parametrize("path", [Manifest.location, Metrics.location])
def test_a_record_edited_by_hand_is_refused(repository: Path, path: Path) -> None:
    (repository / path).write_text((repository / path).read_text().replace("0.5", "0.6"))
    with pytest.raises(IntegrityError, match=f"{path} of the work tree is not the file"):
        champion.here(repository)
    clones.commit(repository, "edited")
    with pytest.raises(IntegrityError, match=f"{path} of commit"):
        find(repository)
    clones.git(repository, "rm", "--quiet", str(path))
    clones.commit(repository, "removed")
    with pytest.raises(IntegrityError, match=rf"{path} of commit .* is missing"):
        find(repository)


def test_a_record_of_another_version_is_told_not_guessed(repository: Path) -> None:
    (repository / Metrics.location).write_text('{"version": 99}\n')
    relock(repository, Metrics.location)
    clones.commit(repository, "from the future")
    found = find(repository)
    assert found.exported and found.exported.metrics is None
    assert "version" in found.exported.problem


def test_a_changed_work_tree_is_no_candidate(repository: Path) -> None:
    path = repository / TEST
    path.unlink()
    path.write_text("other rows")
    with pytest.raises(IntegrityError, match=f"{TEST} is not the file that {LOCK} names"):
        champion.fetch_candidate(repository, champion.here(repository))


@pytest.mark.parametrize(
    "text", ["<<<<<<< HEAD\n", "[]", "stages: []", "stages: {make: {outs: [1]}}", "\x00", "stages: {a: 1}"]
)
def test_a_lock_that_cannot_be_read_is_an_error_of_ours(text: str) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        read_exported(lambda _: text.encode(), "here")


@pytest.mark.parametrize("text", [None, "", "stages: {}", "schema: '2.0'", "stages: {make: {cmd: x}}"])
def test_a_lock_without_a_model_has_none(text: str | None) -> None:
    assert read_exported(lambda _: None if text is None else text.encode(), "here") is None
