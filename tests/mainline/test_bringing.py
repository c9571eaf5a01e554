"""`mainline run` where the work tree's data is not that of dvc.lock: real Git, real DVC, two people."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mainline import cli
from mainline.errors import Answer, IntegrityError, StorageError
from mainline.records import Manifest
from mainline.review import Run
from pipeline.exporting import manifest
from tests import clones
from tests.mainline import pipelines
from tests.mainline.pipelines import edit

MANIFEST = Manifest(
    task="binary", inputs=[], outputs=["p"], classes=["no", "yes"], threshold=0.5, vocabularies={},
    windows={}, device_class="cpu", files={}, code={},
)  # fmt: skip
SOURCES = {"PYTHONPATH": str(clones.ROOT / "src")}
OLD, NEW = "on model of a1", "on model of a2"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`mine` has version 1 with all data; version 2 was made elsewhere, pushed, and is in mine's Git."""
    folder = tmp_path_factory.mktemp("bringing")
    theirs = pipelines.build(folder)
    mine = pipelines.full(theirs, folder / "mine")
    edit(theirs, "seed.txt", "1", "2")
    pipelines.dvc(theirs, "repro", "--quiet")
    pipelines.dvc(theirs, "push", "--quiet")
    clones.commit(theirs, "two")
    clones.git(mine, "pull", "--quiet", str(theirs), "main")
    shutil.rmtree(theirs)
    return folder


@pytest.fixture
def mine(world: Path, tmp_path: Path) -> Path:
    """With a store of its own that a test may damage, and no run cache that could help."""
    shutil.copytree(world / "store", tmp_path / "store", copy_function=shutil.copyfile)
    root = pipelines.full(world / "mine", tmp_path / "mine")
    pipelines.use_store(root, tmp_path / "store")
    clones.commit(root, "a store of its own")
    return root


@pytest.fixture
def bare(mine: Path, tmp_path: Path) -> Path:
    """A fresh clone of version 2."""
    return pipelines.fresh(mine, tmp_path / "bare")


def run(root: Path, *arguments: str, code: int = 0) -> str:
    done = clones.mainline(root, "run", *arguments, extra=SOURCES)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def ran(root: Path) -> list[str]:
    return Run.read(root / Run.location).ran


def entry(root: Path, stage: str, path: str, kind: str = "outs") -> dict:
    found = yaml.safe_load((root / "dvc.lock").read_text())["stages"][stage][kind]
    return next(one for one in found if one["path"] == path)


def forget(root: Path, stage: str, path: str) -> None:
    """Take an output out of the store."""
    md5 = entry(root, stage, path)["md5"]
    (root.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]).unlink()


def empty(cache: Path) -> None:
    subprocess.run(["chmod", "-R", "u+w", cache], check=True)
    shutil.rmtree(cache)


def at_lock(root: Path) -> bool:
    """DVC's own word, and Git's."""
    return pipelines.dvc(root, "status", "--json").strip() == "{}" and not clones.git(root, "status", "-s")


def test_old_data_under_a_new_lock_is_brought_and_nothing_runs(mine: Path) -> None:
    """Stages once ran on the old model here, and the lock then had it as the new one."""
    assert (mine / "report.txt").read_text() == OLD
    said = run(mine, "--pull")
    assert "fetching what dvc.lock names, as other data is here: data, model.txt, report.txt" in said
    assert (mine / "report.txt").read_text() == NEW and at_lock(mine) and ran(mine) == []
    assert clones.mainline(mine, "lock", extra=SOURCES).returncode == 0
    assert run(mine, "--pull").startswith("Everything is up to date")
    assert not (mine / ".mainline" / "replaced").exists(), "the cache has what was replaced"


def test_what_must_run_reads_what_the_lock_names(mine: Path) -> None:
    edit(mine, "three.py", '"on "', '"about "')
    run(mine, "--pull")
    assert (mine / "report.txt").read_text() == "about model of a2" and ran(mine) == ["three"]
    assert clones.git(mine, "status", "-s").split() == ["M", "dvc.lock", "M", "three.py"]


def test_only_what_a_stage_rests_on_is_brought(mine: Path) -> None:
    run(mine, "--pull", "one")
    assert (mine / "data" / "a.txt").read_text() == "a2" and (mine / "report.txt").read_text() == OLD


def test_what_the_remote_lacks_is_made_again(mine: Path) -> None:
    forget(mine, "two", "model.txt")
    said = run(mine, "--pull")
    assert "neither the cache nor the remote has model.txt: made again" in said
    assert ran(mine) == ["two"] and (mine / "report.txt").read_text() == NEW and at_lock(mine)


def test_a_remote_that_fails_changes_nothing(mine: Path) -> None:
    (mine.parent / "store").rename(mine.parent / "elsewhere")
    said = run(mine, "--pull", code=StorageError.exit_code)
    assert "could not be fetched" in said and "mainline run" in said
    assert (mine / "report.txt").read_text() == OLD and not clones.git(mine, "status", "-s")


def test_what_was_changed_by_hand_is_moved_aside(mine: Path) -> None:
    run(mine, "--pull")
    empty(mine / ".dvc" / "cache")
    for content in ("by hand", "again"):
        pipelines.drop(mine / "model.txt")
        (mine / "model.txt").write_text(content)
        said = run(mine, "--pull")
    assert "model.txt was changed by hand: that is now .mainline/replaced/model.txt.1" in said
    replaced = mine / ".mainline" / "replaced"
    assert [p.read_text() for p in sorted(replaced.iterdir())] == ["by hand", "again"]
    assert (mine / "model.txt").read_text() == "model of a2" and not clones.git(mine, "status", "-s")


def test_a_folder_of_which_only_a_part_is_here(bare: Path) -> None:
    """As DVC leaves it where a stage reads a part; the next stage would take that for all of it."""
    pipelines.dvc(bare, "pull", "--quiet", "data/a.txt")
    run(bare, "--pull")
    assert (bare / "data" / "sub" / "b.txt").exists() and ran(bare) == []
    assert not clones.git(bare, "status", "-s")


def test_an_output_that_only_dvc_yaml_names_is_made(bare: Path) -> None:
    edit(bare, "dvc.yaml", "outs: [model.txt]", "outs: [model.txt, more.txt]")
    edit(bare, "two.py", "from pathlib import Path", "from pathlib import Path\nPath('more.txt').touch()")
    run(bare, "--pull")
    assert (bare / "more.txt").exists()
    edit(bare, "dvc.yaml", "outs: [report.txt]", "outs: [report.txt, seen.txt]")
    run(bare, "--pull")
    assert ran(bare) == ["three"], "DVC alone takes it for absent"


def test_a_lock_that_disagrees_with_itself_runs_the_stage(bare: Path) -> None:
    """As a merge of two locks can leave it; without data DVC does not see it in a part of a folder."""
    text = (bare / "dvc.lock").read_text()
    md5 = entry(bare, "two", "data/a.txt", "deps")["md5"]
    (bare / "dvc.lock").write_text(text.replace(md5, "ab" * 16))
    run(bare, "--pull")
    assert not clones.git(bare, "status", "-s"), "the lock is whole again"


def test_new_raw_data_is_not_taken_back(bare: Path) -> None:
    """DVC alone takes it for absent here, and then runs on it under the old name."""
    (bare / "raw.txt").write_text("newer")
    run(bare, "--pull")
    assert (bare / "raw.txt").read_text() == "newer"
    md5 = yaml.safe_load((bare / "raw.txt.dvc").read_text())["outs"][0]["md5"]
    assert entry(bare, "one", "raw.txt", "deps")["md5"] == md5


def test_raw_data_that_git_names_and_nobody_has(bare: Path) -> None:
    md5 = yaml.safe_load((bare / "raw.txt.dvc").read_text())["outs"][0]["md5"]
    (bare.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]).unlink()
    (bare / "raw.txt").write_text("newer")
    said = run(bare, "--pull", code=StorageError.exit_code)
    assert "raw.txt is not what Git names" in said and "dvc add" in said


def test_a_dry_run_says_what_would_be_brought(mine: Path) -> None:
    said = run(mine, "--pull", "--dry-run")
    assert "nothing would run" in said and "would be fetched: data, model.txt, report.txt" in said
    assert (mine / "report.txt").read_text() == OLD


def test_without_pull_the_cache_does(mine: Path) -> None:
    pipelines.dvc(mine, "fetch", "--quiet")
    said = run(mine)
    assert "from DVC's cache, as dvc.lock has them: data, model.txt, report.txt" in said
    assert ran(mine) == [] and at_lock(mine)


def test_without_pull_a_run_says_what_it_makes_in_vain(mine: Path, bare: Path) -> None:
    pipelines.dvc(bare, "pull", "--quiet", "raw.txt")
    for root in (mine, bare):
        said = run(root)
        hint = said.index("store has what dvc.lock names of one, two, three. To bring it")
        assert hint < said.index("▸ one")
        assert (root / "report.txt").read_text() == NEW and at_lock(root)
        assert "dvc pull" not in run(root), "once: now the lock is as our run left it"


@pytest.mark.parametrize("lost", ["the remote", "its setting", "the objects"])
def test_without_pull_a_remote_that_does_not_help_is_no_matter(bare: Path, lost: str) -> None:
    pipelines.dvc(bare, "pull", "--quiet", "raw.txt")
    store = bare.parent / "store"
    if lost == "the remote":
        store.rename(bare.parent / "elsewhere")
    elif lost == "its setting":
        (bare / ".dvc" / "config").write_text("")
    else:
        shutil.rmtree(store / "files")
    assert "dvc pull" not in run(bare)
    assert ran(bare) == ["one", "two", "three"]


def test_the_hint_names_only_what_would_run_in_vain(bare: Path) -> None:
    pipelines.dvc(bare, "pull", "--quiet", "raw.txt")
    edit(bare, "two.py", "model of", "a model of")
    assert "names of one. To bring it" in run(bare, "two")


def test_the_advice_to_who_lacks_the_model_works(tmp_path: Path) -> None:
    """Absent, changed by hand, or of another version: what the manifest's error says brings it."""
    made, store = tmp_path / "made", tmp_path / "store"
    (made / "models").mkdir(parents=True)
    names = {"train": "model.safetensors", "export": "model.onnx"}
    stages = {
        stage: {"cmd": f"cp {stage}.in models/{name}", "deps": [f"{stage}.in"], "outs": [f"models/{name}"]}
        for stage, name in names.items()
    }
    (made / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (made / "train.in").write_bytes(b"\2" + bytes(7) + b"{}")
    (made / "export.in").write_bytes(b"\x08\x01")
    clones.git(made, "init", "--quiet", "--initial-branch=main")
    pipelines.dvc(made, "init", "--quiet")
    pipelines.use_store(made, store)
    pipelines.dvc(made, "repro", "--quiet")
    pipelines.dvc(made, "push", "--quiet")
    clones.commit(made, "all")
    files = {name: manifest.file_sha256(made / "models" / name) for name in names.values()}
    record = MANIFEST.model_copy(update={"files": files})
    manifest.verify(record, made / "models")
    root = pipelines.fresh(made, tmp_path / "clone")
    for content in (None, b"\x08by hand"):
        if content:
            pipelines.drop(root / "models" / "model.onnx")
            (root / "models" / "model.onnx").write_bytes(content)
        with pytest.raises(IntegrityError) as raised:
            manifest.verify(record, root / "models")
        command = re.search(r"`dvc ([^`]*)`", str(raised.value))
        assert command
        pipelines.dvc(root, *command[1].split())
        manifest.verify(record, root / "models")
    assert run(root).startswith("Everything is up to date")


def test_the_lock_says_that_only_the_work_trees_data_is_old(mine: Path) -> None:
    done = clones.mainline(mine, "lock", extra=SOURCES)
    assert done.returncode == Answer.STALE
    assert "dvc.lock is current and pushed" in done.stdout and "mainline run --pull" in done.stdout
    assert "data, model.txt, report.txt" in done.stdout and "let CI do it" not in done.stdout
    done = clones.mainline(mine, "lock", "--no-remote", extra=SOURCES)
    assert "dvc.lock is current (the remote was not asked)" in done.stdout
    run(mine, "--pull")
    assert clones.mainline(mine, "lock", extra=SOURCES).returncode == 0


def test_a_second_run_does_not_touch_what_the_first_writes(
    mine: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dvc.repo import Repo
    from dvc.rwlock import rwlock

    monkeypatch.chdir(mine)
    with Repo() as repo, rwlock(repo.tmp_dir, repo.fs, "it", [], [str(mine / "model.txt")], False):
        assert cli.main(["run", "--pull"]) == StorageError.exit_code
    assert (mine / "model.txt").read_text() == "model of a1"
