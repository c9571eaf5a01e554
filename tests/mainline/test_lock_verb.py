"""`mainline lock` against real DVC repositories, and held against what DVC says where all data is present."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from mainline import cli, locks, remote
from mainline.errors import Answer
from mainline.review import LockState, Run
from tests import clones
from tests.mainline import pipelines
from tests.mainline.pipelines import edit


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipelines.build(tmp_path_factory.mktemp("lock"))


@pytest.fixture
def clone(built: Path, tmp_path: Path) -> Path:
    """Fresh, with a store of its own that a test may damage."""
    root = pipelines.fresh(built, tmp_path / "clone")
    store = tmp_path / "store"
    subprocess.run(["cp", "-r", built.parent / "store", store], check=True)
    subprocess.run(["chmod", "-R", "u+w", store], check=True)
    pipelines.use_store(root, store)
    return root


def ask(root: Path, monkeypatch: pytest.MonkeyPatch, *, remote_too: bool = True) -> LockState:
    monkeypatch.chdir(root)
    return locks.judge(remote.survey(ask_remote=remote_too, seconds=30), "c" * 40)


def locked(root: Path) -> dict:
    return yaml.safe_load((root / "dvc.lock").read_text())


def relock(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def mutate(root: Path) -> None:
        content = locked(root)
        change(content["stages"])
        (root / "dvc.lock").write_text(yaml.safe_dump(content))

    return mutate


def item(stage: dict, kind: str, path: str) -> dict:
    return next(entry for entry in stage[kind] if entry["path"] == path)


def changed(name: str, old: str, new: str) -> Callable[[Path], None]:
    return lambda root: edit(root, name, old, new)


def gone(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


OTHER = "ab" * 16
# Name: the mutation; the stages that DVC says changed where all data is there; ours, where they differ.
MUTATIONS = {
    "nothing": (lambda _: None, set()),
    "documentation": (changed("README.md", "words", "other words"), set()),
    "a parameter of no stage": (changed("params.yaml", "margin: 1", "margin: 2"), set()),
    "a comment in dvc.yaml": (changed("dvc.yaml", "stages:", "# why\nstages:"), set()),
    "code": (changed("two.py", "model of", "a model of"), {"two"}),
    "code of two stages": (
        lambda root: [edit(root, name, "import Path", "import  Path") for name in ("one.py", "two.py")],
        {"one", "two"},
    ),
    "a parameter": (changed("params.yaml", "size: 1", "size: 2"), {"one"}),
    "a nested parameter": (changed("params.yaml", "[1, 2]", "[1, 3]"), {"two"}),
    "a parameter of another type": (changed("params.yaml", "size: 1", "size: '1'"), {"one"}),
    "a parameter gone": (changed("params.yaml", "one: {size: 1}\n", ""), {"one"}),
    "parameters gone": (gone("params.yaml"), {"one", "two"}),
    "a parameter more": (changed("dvc.yaml", "params: [two]", "params: [two, gate]"), {"two"}),
    # DVC's own answer to these is "up to date", with a lock that names more than dvc.yaml.
    "a parameter fewer": (changed("dvc.yaml", "    params: [one.size]\n", ""), set(), {"one"}),
    "a key of a section for all of it": (changed("dvc.yaml", "params: [two]", "params: [two.lr]"), {"two"}),
    "a dependency more": (changed("dvc.yaml", "[two.py,", "[two.py, README.md,"), {"two"}),
    "a dependency fewer": (changed("dvc.yaml", "seed.txt, raw.txt", "raw.txt"), set(), {"one"}),
    "a dependency gone": (gone("seed.txt"), {"one"}),
    "another command": (changed("dvc.yaml", "python three.py", "python three.py -v"), {"three"}),
    "an output more": (changed("dvc.yaml", "outs: [model.txt]", "outs: [model.txt, more.txt]"), {"two"}),
    "an output fewer": (changed("dvc.yaml", "    outs: [report.txt]\n", ""), set(), {"three"}),
    "a stage fewer": (
        lambda root: (root / "dvc.yaml").write_text((root / "dvc.yaml").read_text().partition("  three:")[0]),
        set(), {"three"},
    ),
    "a stage more": (
        changed("dvc.yaml", "stages:", "stages:\n  new: {cmd: ls, deps: [seed.txt]}"), {"new"},
    ),
    "a stage without dependencies": (changed("dvc.yaml", "stages:", "stages:\n  new: {cmd: ls}"), {"new"}),
    "a stage that always runs": (
        changed("dvc.yaml", "cmd: python two.py", "cmd: python two.py\n    always_changed: true"), {"two"},
    ),
    "a frozen stage": (
        lambda root: [
            edit(root, "dvc.yaml", "cmd: python two.py", "cmd: python two.py\n    frozen: true"),
            edit(root, "two.py", "model of", "a model of"),
        ],
        set(),
    ),
    "a Git-kept output by hand": (changed("figures.json", ": 2", ": 9"), {"two", "three"}),
    "a Git-kept output gone": (gone("figures.json"), {"two", "three"}),
    "no lock": (gone("dvc.lock"), {"one", "two", "three"}),
    "a stage fewer in the lock": (relock(lambda stages: stages.pop("two")), {"two"}),
    "the lock's command": (relock(lambda stages: stages["two"].update(cmd="x")), {"two"}),
    "the lock's parameter": (
        relock(lambda stages: stages["one"]["params"]["params.yaml"].update({"one.size": 7})), {"one"},
    ),
    "the lock's md5 of code": (
        relock(lambda stages: item(stages["two"], "deps", "two.py").update(md5=OTHER)), {"two"},
    ),
    "the lock's md5 of data read": (
        relock(lambda stages: item(stages["three"], "deps", "model.txt").update(md5=OTHER)), {"three"},
    ),
    "the lock's md5 of raw data": (
        relock(lambda stages: item(stages["one"], "deps", "raw.txt").update(md5=OTHER)), {"one"},
    ),
    "the lock's md5 of a part of a folder": (
        relock(lambda stages: item(stages["two"], "deps", "data/a.txt").update(md5=OTHER)), {"two"},
    ),
    "the lock's md5 of a folder in a folder": (
        relock(lambda stages: item(stages["two"], "deps", "data/sub").update(md5=f"{OTHER}.dir")), {"two"},
    ),
    "the lock's md5 of data written": (
        # Without the data, its reader is what does not fit; and no remote has such an object.
        relock(lambda stages: item(stages["two"], "outs", "model.txt").update(md5=OTHER)), {"two"}, {"three"},
    ),
    "an output of a stage fewer in the lock": (
        relock(lambda stages: stages["two"]["outs"].pop()), {"two"},
    ),
    "raw data of another version": (
        lambda root: [edit(root, "raw.txt.dvc", locked(root)["stages"]["one"]["deps"][1]["md5"], OTHER)],
        {"raw.txt.dvc"}, {"one"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MUTATIONS)
def test_without_data_we_say_what_dvc_says_with_all_of_it(
    name: str, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dvc.repo import Repo

    mutate, *expected = MUTATIONS[name]
    everything = pipelines.full(built, tmp_path / "full")
    mutate(everything)
    monkeypatch.chdir(everything)
    assert set(Repo().status()) == expected[0], "of DVC, where all data is there"
    ours = {stage.stage for stage in ask(everything, monkeypatch, remote_too=False).stale}
    assert ours in (set(expected[0]), set(expected[0]) | set(expected[-1]))

    bare = pipelines.fresh(built, tmp_path / "bare")
    mutate(bare)
    found = ask(bare, monkeypatch)
    assert {stage.stage for stage in found.stale} == expected[-1], "of us, without any data"
    assert (found.state == "current") == (not expected[-1])


@pytest.mark.parametrize(
    "name", ["a parameter fewer", "a dependency fewer", "an output fewer", "a stage fewer"]
)
def test_run_mends_a_lock_that_names_more_than_dvc_yaml(
    name: str, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate, _, (stage,) = MUTATIONS[name]
    root = pipelines.full(built, tmp_path / "full")
    mutate(root)
    (told,) = ask(root, monkeypatch, remote_too=False).stale
    planned = clones.mainline(root, "run", "--dry-run", extra=SOURCES)
    assert told.stage == stage and told.reasons[0] in planned.stdout
    done = clones.mainline(root, "run", extra=SOURCES)
    assert done.returncode == 0 and told.reasons[0] in done.stdout, done.stdout + done.stderr
    assert ("▸ " + stage in done.stdout) == (name != "a stage fewer")
    assert ask(root, monkeypatch, remote_too=False).state == "current"
    lock = (root / "dvc.lock").read_bytes()
    assert "up to date" in clones.mainline(root, "run", extra=SOURCES).stdout
    assert (root / "dvc.lock").read_bytes() == lock


def unpush(root: Path) -> dict[str, str]:
    """Take model.txt and the whole of data from the remote; their md5s."""
    gone = {path: outputs(root)[path] for path in ("data", "model.txt")}
    inner = [entry["md5"] for entry in json.loads(stored(root, gone["data"]).read_text())]
    for md5 in (*gone.values(), *inner):
        pipelines.drop(stored(root, md5))
    return gone


def test_what_is_in_the_cache_and_not_on_the_remote_is_not_pushed_yet(
    built: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is to train again for want of a push."""
    unpush(clone)
    shutil.copytree(built / ".dvc" / "cache", clone / ".dvc" / "cache")
    monkeypatch.chdir(clone)
    assert cli.main(["lock"]) == Answer.BROKEN
    shown = capsys.readouterr().out
    assert shown.startswith("dvc.lock is not pushed yet: 2 objects are in DVC's cache here, and not on store")
    assert "not pushed yet: model.txt" in shown and "do: mainline push" in shown
    assert "--force" not in shown and "broken" not in shown
    found = LockState.read(LockState.location)
    assert (found.state, found.unpushed) == ("broken", True)
    assert [(item.path, item.state, item.here) for item in found.missing] == [
        ("data", "missing", True), ("model.txt", "missing", True),
    ]  # fmt: skip


@pytest.mark.parametrize("lost", ["data", "sub/deep/c é.txt", "model.txt"])
def test_what_the_cache_lacks_too_is_nowhere(
    lost: str, built: Path, clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a directory each file counts: its listing alone is no data."""
    listing = json.loads(stored(clone, outputs(clone)["data"]).read_text())
    md5 = next((e["md5"] for e in listing if e["relpath"] == lost), None) or outputs(clone)[lost]
    unpush(clone)
    shutil.copytree(built / ".dvc" / "cache", clone / ".dvc" / "cache")
    pipelines.drop(clone / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:])
    monkeypatch.chdir(clone)
    assert cli.main(["lock"]) == Answer.BROKEN
    shown = capsys.readouterr().out
    assert shown.startswith("dvc.lock is broken") and "dvc repro --force" in shown
    path = "model.txt" if lost == "model.txt" else "data"
    assert {item.path: item.here for item in LockState.read(LockState.location).missing} == {
        "data": path != "data", "model.txt": path != "model.txt",
    }  # fmt: skip


def test_nothing_is_pulled_or_changed(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Path(clone.parent / "store")
    before = sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*"))
    found = ask(clone, monkeypatch)
    assert (found.state, found.objects) == ("current", 7)
    assert not (clone / "data").exists()
    assert not list((clone / ".dvc").glob("cache/files/**/*"))
    assert sorted((p, p.stat().st_mtime_ns) for p in store.rglob("*")) == before


def test_data_that_is_here_and_was_changed_is_stale(built: Path, tmp_path: Path, monkeypatch) -> None:
    """Also with an empty cache, where DVC's status says no more than `not in cache`."""
    root = pipelines.full(built, tmp_path / "full")
    subprocess.run(["rm", "-rf", root / ".dvc" / "cache"], check=True)
    assert ask(root, monkeypatch).state == "current"
    pipelines.drop(root / "data" / "a.txt")
    (root / "data" / "a.txt").write_text("by hand")
    found = ask(root, monkeypatch)
    assert {s.stage: s.reasons for s in found.stale} == {
        "one": ["output data changed"], "two": ["data/a.txt changed"], "three": ["data changed"],
    }  # fmt: skip


def stored(root: Path, md5: str) -> Path:
    return root.parent / "store" / "files" / "md5" / md5[:2] / md5[2:]


def outputs(root: Path) -> dict[str, str]:
    return {out["path"]: out["md5"] for stage in locked(root)["stages"].values() for out in stage["outs"]}


def test_a_missing_object_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = outputs(clone)["model.txt"]
    pipelines.drop(stored(clone, md5))
    found = ask(clone, monkeypatch)
    assert found.state == "broken"
    assert [(m.path, m.md5, m.file, m.state) for m in found.missing] == [("model.txt", md5, "", "missing")]


def test_a_missing_object_inside_a_folder_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = json.loads(stored(clone, outputs(clone)["data"]).read_text())
    victim = next(entry for entry in listing if entry["relpath"] == "sub/deep/c é.txt")
    pipelines.drop(stored(clone, victim["md5"]))
    found = ask(clone, monkeypatch)
    assert [(m.path, m.md5, m.file) for m in found.missing] == [("data", victim["md5"], "sub/deep/c é.txt")]


@pytest.mark.parametrize("content", ["", "[]", "not json", '[{"md5": 1}]', None])
def test_a_damaged_or_missing_listing(clone: Path, monkeypatch, content: str | None) -> None:
    listing = stored(clone, outputs(clone)["data"])
    pipelines.drop(listing)
    if content is not None:
        listing.write_text(content)
    found = ask(clone, monkeypatch)
    assert found.state == "broken"
    assert [(m.path, m.state) for m in found.missing] == [
        ("data", "missing" if content is None else "damaged")
    ]
    assert stored(clone, outputs(clone)["data"]).exists() == (content is not None), (
        "the remote is not ours to mend"
    )


def test_a_damaged_object_is_left_as_it_is(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC's status of a folder remote would delete it; a pull finds it by its md5."""
    stored(clone, outputs(clone)["model.txt"]).write_text("damaged")
    found = ask(clone, monkeypatch)
    assert (found.state, [(m.path, m.file, m.state) for m in found.missing]) == (
        "broken", [("model.txt", "", "damaged")],
    )  # fmt: skip
    assert stored(clone, outputs(clone)["model.txt"]).read_text() == "damaged"


def test_a_damaged_object_inside_a_folder(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lock has the folder's size alone, so the folder is named."""
    listing = json.loads(stored(clone, outputs(clone)["data"]).read_text())
    stored(clone, next(entry["md5"] for entry in listing if entry["relpath"] == "sub/b.txt")).write_text("")
    found = ask(clone, monkeypatch)
    assert [(m.path, m.file, m.state) for m in found.missing] == [("data", "", "damaged")]


def test_raw_data_damaged_on_the_remote(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored(clone, yaml.safe_load((clone / "raw.txt.dvc").read_text())["outs"][0]["md5"]).write_text("")
    found = ask(clone, monkeypatch)
    assert [(m.path, m.state) for m in found.missing] == [("raw.txt", "damaged")]
    done = clones.mainline(clone, "lock", extra=SOURCES)
    assert "do: delete what is damaged from the remote, then dvc push" in done.stdout


def test_a_lock_without_sizes_has_nothing_to_hold_against(clone: Path, monkeypatch) -> None:
    relock(lambda stages: [out.pop("size") for stage in stages.values() for out in stage["outs"]])(clone)
    assert ask(clone, monkeypatch).state == "current"


def test_what_is_never_pushed_is_not_looked_for(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines.drop(stored(clone, outputs(clone)["report.txt"]))
    edit(clone, "dvc.yaml", "outs: [report.txt]", "outs: [report.txt: {push: false}]")
    assert ask(clone, monkeypatch).state == "current"


def test_passwords_stay_out_of_what_is_said() -> None:
    try:
        try:
            raise OSError("ssh://me:secret@host/x refused")
        except OSError as error:
            raise ValueError("no answer\nfrom it") from error
    except ValueError as error:
        assert remote._said(error) == "no answer from it: ssh://host/x refused"


def test_a_folder_is_no_object(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines.drop(stored(clone, outputs(clone)["model.txt"]))
    stored(clone, outputs(clone)["model.txt"]).mkdir()
    assert ask(clone, monkeypatch).state == "broken"


def test_raw_data_that_no_stage_made_is_looked_for_too(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    md5 = yaml.safe_load((clone / "raw.txt.dvc").read_text())["outs"][0]["md5"]
    pipelines.drop(stored(clone, md5))
    found = ask(clone, monkeypatch)
    assert (found.state, [m.path for m in found.missing]) == ("broken", ["raw.txt"])


def test_what_stale_stages_make_again_need_not_be_there(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("model.txt", "report.txt"):
        pipelines.drop(stored(clone, outputs(clone)[path]))
    edit(clone, "two.py", "model of", "a model of")
    found = ask(clone, monkeypatch)
    assert (found.state, {m.path for m in found.missing}) == ("stale", {"model.txt", "report.txt"})
    pipelines.drop(stored(clone, outputs(clone)["data"]))
    assert ask(clone, monkeypatch).state == "broken", "what they read must be"


def test_an_object_of_two_outputs_is_missing_for_both(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of them is made again; the other is not."""
    listing = json.loads(stored(clone, outputs(clone)["data"]).read_text())
    inner = next(entry["md5"] for entry in listing if entry["relpath"] == "a.txt")
    relock(lambda stages: item(stages["three"], "outs", "report.txt").update(md5=inner))(clone)
    edit(clone, "three.py", "on ", "about ")
    assert ask(clone, monkeypatch).state == "stale"
    pipelines.drop(stored(clone, inner))
    found = ask(clone, monkeypatch)
    assert [(m.path, m.file) for m in found.missing] == [("data", "a.txt"), ("report.txt", "")]
    assert found.state == "broken"


def test_an_md5_that_no_object_has(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edited in every place, so that the lock agrees with itself; and hostile text is no path."""
    md5 = outputs(clone)["model.txt"]
    for other in (OTHER, "../../../clone/seed.txt", "f" * 31):
        root = clone
        text = (root / "dvc.lock").read_text()
        (root / "dvc.lock").write_text(text.replace(md5, other))
        found = ask(root, monkeypatch)
        assert (found.state, found.stale, [m.md5 for m in found.missing]) == ("broken", [], [other])
        (root / "dvc.lock").write_text(text)


def test_without_asking_the_remote(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines.use_store(clone, Path("/nowhere"))
    found = ask(clone, monkeypatch, remote_too=False)
    assert (found.state, found.remote, found.objects) == ("current", None, 0)
    assert found.unproven == ["two: data/a.txt", "two: data/sub"]


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml", "params.yaml"])
def test_a_real_merge_conflict(name: str, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = {"dvc.lock": "cmd: python two.py", "dvc.yaml": "cmd: python two.py", "params.yaml": "size: 1"}[name]
    clones.git(clone, "checkout", "--quiet", "-b", "other")
    edit(clone, name, old, f"{old}1")
    clones.commit(clone, "theirs")
    clones.git(clone, "checkout", "--quiet", "main")
    edit(clone, name, old, f"{old}2")
    clones.commit(clone, "ours")
    merge = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "merge", "other"]
    assert subprocess.run(merge, cwd=clone, capture_output=True).returncode == 1
    found = ask(clone, monkeypatch)
    assert (found.state, found.problem) == ("broken", f"{name} holds an unresolved merge conflict")


@pytest.mark.parametrize(
    ("name", "content"),
    [("dvc.lock", "{"), ("dvc.lock", "- 1\n"), ("dvc.lock", "schema: '9.0'\nstages: {}\n"),
     ("dvc.lock", "\xff"), ("dvc.yaml", "stages: {two: {deps: [x]}}\n"),
     ("dvc.yaml", "stages: [\n"), ("params.yaml", "one: [\n")],
)  # fmt: skip
def test_an_unreadable_file_is_named(name: str, content: str, clone: Path, monkeypatch) -> None:
    (clone / name).write_bytes(content.encode("latin-1"))
    found = ask(clone, monkeypatch)
    assert found.state == "broken"
    assert name in found.problem, found.problem


@pytest.mark.parametrize("content", ["", "stages: {}\n"])
def test_a_pipeline_without_stages_is_not_current(content: str, clone: Path, monkeypatch) -> None:
    (clone / "dvc.yaml").write_text(content)
    (clone / "raw.txt.dvc").unlink()
    assert ask(clone, monkeypatch).state == "broken"


def test_no_remote(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (clone / ".dvc" / "config").write_text("")
    found = ask(clone, monkeypatch)
    assert (found.state, found.remote) == ("broken", None)
    assert "no remote is configured" in found.problem


@pytest.mark.parametrize(
    ("config", "said"),
    [("[core]\nremote = other\n", "other"), ("['remote \"store\"']\nurl = s3://bucket\n", "no remote"),
     ("[core]\nremote = store\n['remote \"store\"']\nurl = nosuch://x/y\n", "nosuch"),
     ("[core]\nremote = store\n['remote \"store\"']\nurl = http://a:secret@127.0.0.1:9/x\n", "")],
)  # fmt: skip
def test_a_remote_that_cannot_be_had(config: str, said: str, clone: Path, monkeypatch) -> None:
    (clone / ".dvc" / "config").write_text(config)
    found = ask(clone, monkeypatch)
    assert found.state == "broken"
    assert said in found.problem
    assert "secret" not in found.problem


def test_the_folder_of_the_remote_does_not_exist(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipelines.use_store(clone, clone.parent / "nowhere")
    found = ask(clone, monkeypatch)
    assert (found.state, found.problem) == ("broken", "the folder of remote store does not exist")
    assert not (clone.parent / "nowhere").exists()


def test_before_the_first_push_the_folder_of_the_remote_need_not_exist(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fork's first run on a laptop: nothing is broken, and the push that is asked for makes the folder."""
    root = pipelines.fresh(built, tmp_path / "clone")
    pipelines.use_store(root, tmp_path / "nowhere")
    monkeypatch.chdir(root)
    shutil.copytree(built / ".dvc" / "cache", root / ".dvc" / "cache")
    pipelines.dvc(root, "checkout", "--quiet")
    assert cli.main(["lock"]) == Answer.BROKEN
    shown = capsys.readouterr().out
    assert "dvc.lock is not pushed yet" in shown and "do: mainline push; on main: dvc push" in shown
    assert "broken" not in shown and "does not exist" not in shown
    assert not (tmp_path / "nowhere").exists(), "it was only looked at"
    pipelines.dvc(root, "push", "--quiet")
    assert cli.main(["lock"]) == 0
    assert "current" in capsys.readouterr().out


def test_without_the_folder_and_with_half_of_the_data_a_push_would_not_do(
    built: Path, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(built / ".dvc" / "cache", clone / ".dvc" / "cache")
    pipelines.drop(clone / ".dvc/cache/files/md5" / f"{(one := outputs(clone)['model.txt'])[:2]}/{one[2:]}")
    pipelines.use_store(clone, clone.parent / "nowhere")
    found = ask(clone, monkeypatch)
    assert (found.state, found.problem) == ("broken", "the folder of remote store does not exist")


def test_a_remote_that_never_answers(clone: Path) -> None:
    """An HTTP server that takes the request and keeps silent: the verb ends, and still says what is stale."""
    leave = threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            leave.wait(60)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server wants

    server = HTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/x"
    (clone / ".dvc" / "config").write_text(f"[core]\nremote = store\n['remote \"store\"']\nurl = {url}\n")
    edit(clone, "two.py", "model of", "a model of")
    try:
        done = clones.mainline(clone, "lock", "--timeout", "2", "--json", extra=SOURCES)
    finally:
        leave.set()
        server.shutdown()
    found = json.loads(done.stdout)
    assert done.returncode == Answer.BROKEN
    assert "did not answer within 2 s" in found["problem"]
    assert [stage["stage"] for stage in found["stale"]] == ["two"]


SOURCES = {"PYTHONPATH": str(clones.ROOT / "src")}


def test_the_verb(clone: Path) -> None:
    """Exit codes, the record and what a person reads; --json prints the record."""
    done = clones.mainline(clone, "lock", extra=SOURCES)
    assert (done.returncode, done.stdout) == (0, "dvc.lock is current and pushed: 7 objects on store\n")
    found = LockState.read(clone / LockState.location)
    assert found.commit == clones.git(clone, "rev-parse", "HEAD")
    assert found.lock_sha256 == hashlib.sha256((clone / "dvc.lock").read_bytes()).hexdigest()
    edit(clone, "params.yaml", "size: 1", "size: 2")
    edit(clone, "three.py", "on ", "[bold]on ")
    done = clones.mainline(clone, "lock", extra=SOURCES)
    assert done.returncode == Answer.STALE
    assert "one would run: params.yaml: one.size is 2, was 1" in done.stdout
    assert "three would run: three.py changed" in done.stdout
    pipelines.drop(stored(clone, yaml.safe_load((clone / "raw.txt.dvc").read_text())["outs"][0]["md5"]))
    done = clones.mainline(clone, "lock", "--json", extra=SOURCES)
    assert done.returncode == Answer.BROKEN
    assert json.loads(done.stdout) == json.loads((clone / LockState.location).read_text())


def test_one_changed_library_of_several_stages_is_told_once(clone: Path) -> None:
    libraries = [f"library-{index}==1.0" for index in range(9)]
    (clone / "libraries.yaml").write_text(yaml.safe_dump({"data": libraries}))
    for name in ("one.size", "two"):
        edit(clone, "dvc.yaml", f"params: [{name}]", f"params: [{name}, {{libraries.yaml: [data]}}]")
    content = locked(clone)
    for name in ("one", "two"):
        content["stages"][name]["params"]["libraries.yaml"] = {"data": libraries}
    (clone / "dvc.lock").write_text(yaml.safe_dump(content))
    assert clones.mainline(clone, "lock", extra=SOURCES).returncode == 0
    edit(clone, "libraries.yaml", "library-7==1.0", "library-7==1.1")
    said = clones.mainline(clone, "lock", extra=SOURCES).stdout
    why = "libraries.yaml: data is another list: added library-7==1.1; removed library-7==1.0"
    assert f"one, two would run: {why}\n" in said and said.count("library-7") == 2


def test_a_dry_run_that_pulls_does_not_take_absent_data_for_a_change(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(clone)
    assert cli.main(["run", "--pull", "--dry-run"]) == 0
    assert capsys.readouterr().out == "Everything is up to date: nothing would run.\n"
    edit(clone, "three.py", "on ", "about ")
    assert cli.main(["run", "--pull", "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"changed": {"three": ["three.py changed"]}}
    (clone / "dvc.lock").write_text("{")
    assert cli.main(["run", "--pull", "--dry-run"]) == 18


def test_a_run_of_nothing_keeps_the_record_of_the_run_that_made_the_lock(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = pipelines.full(built, tmp_path / "full")
    monkeypatch.chdir(root)
    edit(root, "three.py", "on ", "about ")
    for _ in range(2):
        assert cli.main(["run"]) == 0
        found = Run.read(Run.location)
        assert found.ran == ["three"]
        assert found.lock_sha256 == hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    clones.git(root, "checkout", "--quiet", "three.py", "dvc.lock")
    assert cli.main(["run"]) == 0
    assert "three" not in Run.read(Run.location).ran


def test_outside_of_a_pipeline(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lock"]) == 11
    assert "run from the root" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "abc"])
def test_a_senseless_timeout_is_wrong_usage(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["lock", f"--timeout={seconds}"])
    assert caught.value.code == 2
    assert f"'{seconds}' is no number of seconds" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_store_that_may_not_be_read(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = clone.parent / "store"
    store.chmod(0)
    try:
        assert ask(clone, monkeypatch).state == "broken"
    finally:
        store.chmod(0o755)
