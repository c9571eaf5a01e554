"""`mainline push` with real DVC, origin and store: what arrives, and what a stop leaves behind."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from mainline import cli, trailers
from mainline.errors import Answer, ConfigError, GitError, Interrupted, StorageError, SupersededError
from mainline.gathered import LAST_RUN, STAGES
from mainline.git import Git
from mainline.locks import judge
from mainline.review import LockState, Run
from mainline.storage import Dvc
from tests import clones
from tests.clones import git
from tests.mainline import pipelines

RUN = Run(ran=["two", "three"], cached=[], unchanged=["one"], seconds={"two": 26.12, "three": 8.0})


@dataclass(frozen=True)
class Place:
    """A checkout of branch `topic` whose stages have run but whose lock is neither committed nor pushed."""

    root: Path

    @property
    def origin(self) -> Path:
        return self.root.parent / "origin.git"

    @property
    def store(self) -> Path:
        return self.root.parent / "store"

    def tip(self, branch: str = "topic") -> str:
        return git(self.origin, "rev-parse", f"refs/heads/{branch}")

    def untouched(self) -> list[str]:
        """What must be as before when nothing was pushed: HEAD, the index, the work tree, origin."""
        return [git(self.root, "rev-parse", "HEAD"), git(self.root, "status", "--porcelain"),
                git(self.root, "write-tree"), git(self.origin, "show-ref")]  # fmt: skip

    def stored(self, path: str) -> Path:
        stages = yaml.safe_load((self.root / "dvc.lock").read_text())["stages"]
        md5 = next(o["md5"] for stage in stages.values() for o in stage["outs"] if o["path"] == path)
        return self.store / "files" / "md5" / md5[:2] / md5[2:]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("push")
    root = pipelines.build(folder)
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"))
    git(root, "checkout", "--quiet", "-b", "topic")
    pipelines.use_store(root, Path("../../store"))
    pipelines.edit(root, "two.py", "model of", "a longer model of")
    pipelines.edit(root, "two.py", "% len", "% 7 + len")
    pipelines.edit(root, "two.py", "% 7 + len", "% -len")
    clones.commit(root, "code")
    git(root, "remote", "add", "origin", "../origin.git")
    git(root, "push", "--quiet", "origin", "main", "topic")
    pipelines.dvc(root, "repro", "--quiet")
    assert git(root, "status", "--porcelain").split() == ["M", "dvc.lock", "M", "figures.json"]
    sha256 = hashlib.sha256((root / "dvc.lock").read_bytes()).hexdigest()
    RUN.model_copy(update={"lock_sha256": sha256}).write(root / Run.location)
    return Place(root)


@pytest.fixture
def place(template: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name in ("work", "origin.git", "store"):
        shutil.copytree(template.root.parent / name, tmp_path / name, symlinks=True)
    monkeypatch.chdir(tmp_path / "work")
    for name in ("CI", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # a runner has no user
    return Place(tmp_path / "work")


def hook(place: Place, name: str, script: str) -> Path:
    path = place.origin / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def assert_arrived(place: Place, before: str) -> None:
    """One commit on the branch, of the lock and the Git-kept output; a fresh clone finds the lock current."""
    assert git(place.origin, "rev-parse", "topic^") == before
    assert git(place.origin, "diff", "--name-only", "topic^", "topic").split() == ["dvc.lock", "figures.json"]
    assert git(place.root, "status", "--porcelain") == ""
    assert git(place.root, "rev-parse", "HEAD") == place.tip()
    other = place.root.parent / "other"
    git(place.origin, "clone", "--quiet", "--branch", "topic", str(place.origin), str(other))
    pipelines.use_store(other, place.store)
    found = judge(Dvc(other).survey(), place.tip())
    assert found.state == "current", found


def test_data_then_lock_then_nothing_more(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.tip()
    (place.root / "notes.txt").write_text("untracked files are nobody's business")
    last = {"tracking_uri": "https://me:secret@mlflow.example", "experiment_id": "3", "run_id": "0" * 32}
    LAST_RUN.parent.mkdir(parents=True, exist_ok=True)
    LAST_RUN.write_text(json.dumps(last))
    STAGES.mkdir(parents=True, exist_ok=True)
    (STAGES / "two.json").write_text(json.dumps({"seconds": {"total": 26.1}}))
    assert cli.main(["push"]) == 0
    (place.root / "notes.txt").unlink()
    assert_arrived(place, before)
    message = git(place.origin, "log", "-1", "--format=%B", "topic")
    assert message.splitlines()[0] == "dvc.lock: ran two, three"
    assert trailers.read(message).seconds == {"two": 26.1, "three": 8.0}
    assert trailers.read(message).mlflow == ("3", "0" * 32), "the team's server has it"
    assert "secret" not in message
    bot = "mainline-bot <mainline-bot@users.noreply.github.com>"
    assert git(place.origin, "log", "-1", "--format=%an <%ae>%n%cn <%ce>", "topic").split("\n") == [bot, bot]
    assert LockState.read(place.root / LockState.location).state == "current"
    assert list((place.store / "files" / "md5").parent.parent.glob("runs/*/*/*")), (
        "the run cache is there too"
    )
    assert "data and run cache: 7 files sent" in capsys.readouterr().err

    after = place.untouched()
    assert cli.main(["push", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "branch": "topic", "commit": None, "files": [], "objects": 7,
    }  # fmt: skip
    assert place.untouched() == after


def test_a_detached_head_as_in_ci(place: Place, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.tip()
    git(place.root, "checkout", "--quiet", "--detach")
    assert cli.main(["push"]) == ConfigError.exit_code
    assert "--branch" in capsys.readouterr().err
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Somebody")
    (place.root / Run.location).unlink()
    assert cli.main(["push", "--branch", "topic"]) == 0
    assert_arrived(place, before)
    shown = git(place.origin, "log", "-1", "--format=%an|%cn|%s", "topic")
    assert shown == "Somebody|Somebody|dvc.lock: brought up to date"


def test_to_another_branch_leaves_this_one_alone(place: Place) -> None:
    git(place.root, "push", "--quiet", "origin", "HEAD:refs/heads/elsewhere")
    before = place.untouched()[:3]
    assert cli.main(["push", "--branch", "elsewhere"]) == 0
    assert place.untouched()[:3] == before
    first = place.tip("elsewhere")
    assert cli.main(["push", "--branch", "elsewhere"]) == 0
    assert place.tip("elsewhere") == first, "the second time finds it there"


HOSTILE = ["-f", "--delete", "", " ", "a b", "a..b", "refs/heads/..", "a\nb", "x:main", "a~1",
           "@{-1}", "HEAD", "a.lock", "/a", "a/", "\x1b[31m", "*", "a\\b"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_branch_name_is_refused(name: str, place: Place) -> None:
    before = place.untouched()
    assert cli.main(["push", f"--branch={name}"]) == ConfigError.exit_code
    assert place.untouched() == before


@pytest.mark.parametrize(
    "name", ["$(touch owned)", "`touch owned`;true", "'\"&&touch${IFS}owned", "ü/é", "+main"]
)
def test_an_odd_name_is_only_a_name(name: str, place: Place) -> None:
    name = name.replace(" ", "_")
    git(place.root, "push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    before = place.tip(name)
    assert Git().remote_tip(name) == (before, "main")
    Git().check_branch(name)
    commit = Git().commit_tree(Git().tree_with(["dvc.lock"]), "m")
    Git().push_commit(commit, name, before)
    assert place.tip(name) == commit
    assert not list(place.root.rglob("owned*"))


@pytest.mark.parametrize("name", ["main", "master", "trunk"])
def test_the_default_branch_is_refused(name: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    if name == "trunk":
        git(place.origin, "branch", "trunk", "topic")
        git(place.origin, "symbolic-ref", "HEAD", "refs/heads/trunk")
    before = place.untouched()
    assert cli.main(["push", "--branch", name]) == ConfigError.exit_code
    assert "pull request" in capsys.readouterr().err
    assert place.untouched() == before
    if name == "trunk":
        assert cli.main(["push", "--branch", name, "--allow-main"]) == 0
        assert git(place.origin, "rev-parse", "trunk^") == git(place.root, "rev-parse", "HEAD")


@pytest.mark.parametrize("staged", [False, True])
def test_other_changes_are_refused_by_name(staged: bool, place: Place, capsys) -> None:
    (place.root / "README.md").write_text("by hand")
    (place.root / "seed é.txt").write_text("new")
    if staged:
        git(place.root, "add", "README.md", "seed é.txt")
    before = place.untouched()
    assert cli.main(["push"]) == GitError.exit_code
    said = capsys.readouterr().err
    assert "README.md" in said
    assert ("seed é.txt" in said) == staged
    assert place.untouched() == before
    assert not place.stored("model.txt").exists(), "nothing was sent yet"


def test_a_stale_lock_is_not_pushed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    git(place.root, "checkout", "--quiet", "dvc.lock")
    before = place.untouched()
    assert cli.main(["push"]) == Answer.STALE
    assert "two would run" in capsys.readouterr().out
    assert place.untouched() == before


def test_an_object_that_is_nowhere(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """DVC warns and exits 0."""
    lost = place.stored("model.txt")
    cached = place.root / ".dvc" / "cache" / lost.relative_to(place.store)
    pipelines.drop(cached)
    before = place.untouched()
    assert cli.main(["push"]) == Answer.BROKEN
    assert "missing on the remote: model.txt" in capsys.readouterr().out
    assert place.untouched() == before
    shutil.copy2(place.root / "model.txt", cached)
    tip = place.tip()
    assert cli.main(["push"]) == 0
    assert_arrived(place, tip)


def moved_on(place: Place) -> str:
    other = place.root.parent / "colleague"
    git(place.origin, "clone", "--quiet", "--branch", "topic", str(place.origin), str(other))
    (other / "README.md").write_text("newer")
    clones.commit(other, "newer")
    git(other, "push", "--quiet", "origin", "topic")
    return git(other, "rev-parse", "HEAD")


def force_pushed(place: Place) -> str:
    git(place.origin, "update-ref", "refs/heads/topic", "main")
    return place.tip("main")


@pytest.mark.parametrize("how", [moved_on, force_pushed], ids=["a new commit", "a force push"])
def test_the_branch_moved_on_meanwhile(how: Callable[[Place], str], place: Place, capsys) -> None:
    before = place.untouched()[:3]
    newer = how(place)
    assert cli.main(["push"]) == SupersededError.exit_code
    assert place.tip() == newer
    assert place.untouched()[:3] == before
    assert "takes over" in capsys.readouterr().err
    assert place.stored("model.txt").exists(), "the newer run finds the data"


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_a_branch_that_is_gone_is_not_made_again(flags: list[str], place: Place, capsys) -> None:
    git(place.origin, "update-ref", "-d", "refs/heads/topic")
    before = place.untouched()
    assert cli.main(["push", *flags]) == SupersededError.exit_code
    assert place.untouched() == before
    said = capsys.readouterr().err
    assert "topic is not on origin" in said and "git push -u origin topic" in said
    assert not place.stored("model.txt").exists(), "nothing is sent for a branch that is not there"


def test_a_dry_run_says_that_the_branch_moved_on(place: Place, capsys) -> None:
    moved_on(place)
    assert cli.main(["push", "--dry-run"]) == SupersededError.exit_code
    assert "takes over" in capsys.readouterr().err
    assert not place.stored("model.txt").exists()


@pytest.mark.parametrize(("in_ci", "author"), [(False, "Me|me@example.org"), (True, "mainline-bot|")])
def test_on_a_laptop_a_person_is_the_author(
    in_ci: bool, author: str, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(place.root, "config", "user.name", "Me")
    git(place.root, "config", "user.email", "me@example.org")
    if in_ci:
        monkeypatch.setenv("CI", "true")
    commit = Git().commit_tree(Git().tree_with(["dvc.lock"]), "m")
    assert git(place.root, "log", "-1", "--format=%an|%ae", commit).startswith(author)
    assert git(place.root, "log", "-1", "--format=%cn|%ce", commit).startswith(author)


def test_an_old_run_does_not_describe_a_newer_lock(place: Place) -> None:
    RUN.write(place.root / Run.location)
    assert cli.main(["push"]) == 0
    assert git(place.origin, "log", "-1", "--format=%B", "topic") == "dvc.lock: brought up to date"


def test_without_origin_and_outside_of_a_repository_it_says_so(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(place.root, "remote", "remove", "origin")
    assert cli.main(["push"]) == GitError.exit_code
    assert "there is no remote called origin" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert cli.main(["push"]) == GitError.exit_code
    assert "this is no Git repository" in capsys.readouterr().err


def test_the_branch_moves_between_the_look_and_the_push(place: Place) -> None:
    """git's own hook before a push moves it: the lease must hold."""
    script = place.root / ".git" / "hooks" / "pre-push"
    script.parent.mkdir(exist_ok=True)
    script.write_text(f"#!/bin/sh\ngit -C '{place.origin}' update-ref refs/heads/topic refs/heads/main\n")
    script.chmod(0o755)
    before = place.untouched()[:3]
    assert cli.main(["push"]) == SupersededError.exit_code
    assert place.tip() == place.tip("main")
    assert place.untouched()[:3] == before


def test_a_branch_that_was_moved_back_is_not_moved_forward_again(place: Place) -> None:
    """It would be a fast-forward: only the lease sees that somebody took commits away."""
    tip = place.tip()
    commit = Git().commit_tree(Git().tree_with(["dvc.lock"]), "m")
    older = force_pushed(place)
    with pytest.raises(SupersededError):
        Git().push_commit(commit, "topic", tip)
    assert place.tip() == older


def test_origin_refuses(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    refuse = hook(place, "pre-receive", "echo 'protected, says the forge' >&2; exit 1")
    tip, before = place.tip(), place.untouched()
    assert cli.main(["push"]) == GitError.exit_code
    assert "protected, says the forge" in capsys.readouterr().err
    assert place.untouched() == before
    refuse.unlink()
    assert cli.main(["push"]) == 0
    assert_arrived(place, tip)


def test_origin_cannot_be_reached(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    git(place.root, "remote", "set-url", "origin", "http://bot:secret@127.0.0.1:9/x.git")
    assert cli.main(["push"]) == GitError.exit_code
    assert "secret" not in capsys.readouterr().err


def test_the_store_refuses_an_object(place: Place) -> None:
    """A file is where a folder must be; rights would not stop a test that runs as root."""
    blocked = place.stored("model.txt").parent
    assert not blocked.exists()
    blocked.write_text("in the way")
    tip, before = place.tip(), place.untouched()
    assert cli.main(["push"]) == StorageError.exit_code
    assert place.untouched() == before
    blocked.unlink()
    assert cli.main(["push"]) == 0
    assert_arrived(place, tip)


def test_stopped_after_the_push_before_head_moved(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    tip = place.tip()
    commit = Git().commit_tree(Git().tree_with(["dvc.lock", "figures.json"]), "m")
    Git().push_commit(commit, "topic", tip)
    assert cli.main(["push"]) == 0
    assert place.tip() == commit, "no second commit"
    assert_arrived(place, tip)


@pytest.mark.slow
@pytest.mark.parametrize("accepts", [True, False])
def test_killed_while_origin_decides(accepts: bool, place: Place) -> None:
    folder = place.root.parent
    waiting = hook(
        place, "pre-receive",
        f"touch '{folder}/asked'\nwhile [ ! -e '{folder}/go' ]; do sleep 0.05; done\n"
        f"touch '{folder}/done'\nexit {0 if accepts else 1}",
    )  # fmt: skip
    tip = place.tip()
    process = subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "push"], start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    until((folder / "asked").exists)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    (folder / "go").touch()
    until((folder / "done").exists)
    if accepts:
        until(lambda: place.tip() != tip)
    waiting.unlink()
    assert cli.main(["push"]) == 0
    assert_arrived(place, tip)


def test_a_dry_run_changes_nothing(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = place.untouched()
    assert cli.main(["push", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "would commit to topic: dvc.lock, figures.json" in said
    assert "would push 2 objects that it lacks and the run cache to store" in said
    assert "dvc.lock is" not in said, "no alarm of what a push mends"
    assert place.untouched() == before
    assert not place.stored("model.txt").exists()


def test_a_dry_run_says_what_no_push_brings(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    pipelines.drop(Dvc().root / ".dvc" / "cache" / place.stored("model.txt").relative_to(place.store))
    assert cli.main(["push", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "dvc.lock is broken" in said and "missing on the remote: model.txt" in said


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.02)


@pytest.mark.slow
def test_as_ci_does_it(place: Place) -> None:
    """A fresh clone with an empty cache, at a commit that changed the last stage: run --pull, then push."""
    assert cli.main(["push"]) == 0
    pipelines.edit(place.root, "three.py", "on ", "about ")
    clones.commit(place.root, "code")
    git(place.root, "push", "--quiet", "origin", "topic")
    runner = place.root.parent / "runner"
    git(place.root, "clone", "--quiet", "--branch", "topic", str(place.origin), str(runner))
    git(runner, "checkout", "--quiet", "--detach")
    sources = {"PYTHONPATH": str(clones.ROOT / "src")}
    assert clones.mainline(runner, "lock", extra=sources).returncode == Answer.STALE
    ran = clones.mainline(runner, "run", "--pull", extra=sources)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert Run.read(runner / Run.location).ran == ["three"]
    assert not (runner / "raw.txt").exists(), "only what is needed was pulled"
    before = place.tip()
    done = clones.mainline(runner, "push", "--branch", "topic", extra=sources)
    assert done.returncode == 0, done.stdout + done.stderr
    assert git(place.origin, "rev-parse", "topic^") == before
    assert git(place.origin, "diff", "--name-only", "topic^", "topic") == "dvc.lock"
    assert clones.mainline(runner, "lock", extra=sources).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_data_is_sent(number: signal.Signals, place: Place) -> None:
    """The remote takes the request and keeps silent; nothing of ours goes on after the end."""
    asked, leave = threading.Event(), threading.Event()

    class Silent(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.set()
            leave.wait(60)

        do_GET = do_POST = do_PUT = do_HEAD  # noqa: N815 - the names that http.server wants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    config = (place.root / ".dvc" / "config").read_text()
    url = f"url = http://127.0.0.1:{server.server_port}/x"
    pipelines.use_store(place.root, Path("x"))
    pipelines.edit(place.root, ".dvc/config", "url = x", url)
    git(place.root, "update-index", "--assume-unchanged", ".dvc/config")
    before = place.untouched()
    process = subprocess.Popen(
        [sys.executable, "-m", "mainline.cli", "push"], start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert asked.wait(30)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        leave.set()
        server.shutdown()
    assert process.returncode == Interrupted.exit_code, said
    assert place.untouched() == before
    (place.root / ".dvc" / "config").write_text(config)
    tip = place.tip()
    assert cli.main(["push"]) == 0
    assert_arrived(place, tip)


@pytest.mark.parametrize("age", [60, None], ids=["of an earlier run", "nobody knows when"])
def test_another_runs_record_in_mlflow_is_not_this_ones(age: float | None, place: Place) -> None:
    """MLflow was down, or no stage that ran tells it anything."""
    sha256 = hashlib.sha256((place.root / "dvc.lock").read_bytes()).hexdigest()
    RUN.model_copy(update={"lock_sha256": sha256}).write(place.root / Run.location)
    last = {"tracking_uri": "https://mlflow.example", "experiment_id": "3", "run_id": "0" * 32}
    LAST_RUN.parent.mkdir(parents=True, exist_ok=True)
    LAST_RUN.write_text(json.dumps(last))
    if age:
        os.utime(LAST_RUN, (time.time() - age, time.time() - age))
        STAGES.mkdir(parents=True, exist_ok=True)
        (STAGES / "two.json").write_text(json.dumps({"seconds": {"total": 26.1}}))
    assert cli.main(["push"]) == 0
    told = trailers.read(git(place.origin, "log", "-1", "--format=%B", "topic"))
    assert told.mlflow is None and told.seconds
