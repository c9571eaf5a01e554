"""`mainline release`, `rollback`, `status`, `verify`, `trace` with real Git and DVC, beside real GTO."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mainline import cli, deploying, ledger, releases
from mainline.errors import (
    DeployError,
    GitError,
    IntegrityError,
    MainlineError,
    RecordError,
    SupersededError,
)
from mainline.git import Git
from mainline.promotion import Assignment, Tag, Turn, rollbacks, standing
from mainline.tags import Version
from mainline.verbs import tagging
from mainline.verbs.promote import promote
from mainline.verbs.release import Tools, release, rollback
from tests.clones import git
from tests.mainline import releasing
from tests.mainline.releasing import QUIET, World, asked, options, tools

ONE, TWO = Version(1, 0, 0), Version(1, 1, 0)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v1.0.0 and v1.1.0 were promoted, a minute apart."""
    patch = pytest.MonkeyPatch()
    world = releasing.build(tmp_path_factory.mktemp("release"))
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.chdir(world.root)
    for minute, branch in enumerate(("one", "two")):
        patch.setenv("GIT_COMMITTER_DATE", f"2026-01-01T00:{minute:02}:00Z")
        world.merge(branch)
        assert promote(options(), tools()) == 0
    patch.undo()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    found = releasing.copy(template, tmp_path)
    monkeypatch.chdir(found.root)
    return found


def production(world: World) -> list[str]:
    return [str(turn.version) for turn in world.book().history("production")]


def tag(world: World, name: str, commit: str, message: str = "by hand\n") -> None:
    sha = ledger.make(Git(), name, commit, message)
    git(world.root, "push", "--quiet", "origin", f"{sha}:refs/tags/{name}")


def test_release_twice_then_another_then_back(world: World, capsys) -> None:
    assert release(asked("v1.0.0", dry_run=True), QUIET) == 0
    assert json.loads(capsys.readouterr().out)["tag"] == "flight-delay#production#1"
    assert production(world) == []
    for version in ("v1.0.0", "v1.0.0", "v1.1.0"):
        assert release(asked(version, reason="sprint\n12 \x1b[31m"), QUIET) == 0
    assert production(world) == ["v1.0.0", "v1.1.0"]
    turn = world.book().current("production")
    assert "Before: v1.0.0\nReason: sprint 12 [31m" in turn.tag.message
    assert rollback(asked(), QUIET) == 0
    assert production(world) == ["v1.0.0", "v1.1.0", "v1.0.0"]
    with pytest.raises(RecordError, match="no earlier version"):
        rollback(asked(), QUIET)
    assert rollback(asked("v1.1.0"), QUIET) == 0
    assert world.builds() == ["v1.0.0", "v1.1.0"], "nothing is built again"


def test_rollback_refuses_what_never_was_there(world: World) -> None:
    release(asked("v1.0.0"), QUIET)
    with pytest.raises(RecordError, match="never was in production"):
        rollback(asked("v1.1.0"), QUIET)
    assert production(world) == ["v1.0.0"]


def turns(*versions: Version | None) -> list[Turn]:
    return [Turn(Assignment("m", "production", n), v, Tag("", "", "")) for n, v in enumerate(versions, 1)]


def test_a_second_rollback_goes_further_back_never_forward() -> None:
    a, b, c = Version(1, 0, 0), Version(1, 1, 0), Version(1, 2, 0)
    assert standing(turns(a, b, c)) == [a, b, c]
    assert standing(turns(a, b, c, b)) == [a, b]
    assert standing(turns(a, b, c, b, a)) == [a]
    assert standing(turns(a, b, a, c)) == [a, c]
    assert standing(turns(a, None, a)) == [a]
    assert standing([]) == []


def test_a_rollback_goes_to_what_stood_below_and_a_release_again_is_none() -> None:
    a, b, c = Version(1, 0, 0), Version(1, 1, 0), Version(1, 2, 0)

    def went(*versions: Version | None) -> dict[int, Version]:
        return {one.number: left for one, left in rollbacks(turns(*versions)).items()}

    assert went(a, b, c, b, a) == {4: c, 5: b}
    assert went(a, b, a, b) == {3: b}, "forward again is a release"
    assert went(a, a, b, b) == went(None, a, None) == went() == {}
    assert went(a, b, None, a) == {4: b}


@pytest.mark.parametrize(
    "version",
    [
        "v9.9.9",
        "v1",
        "latest",
        "--all",
        "",
        "flight-delay@v9.9.9",
        "v1.0.0\n",
        "$(touch owned)",
        "../x",
        "v1.0.0!",
    ],
)
def test_an_unknown_version_is_refused(version: str, world: World) -> None:
    with pytest.raises(RecordError):
        release(asked(version), QUIET)
    assert not list(world.root.rglob("owned"))


def test_lightweight_copied_and_foreign_tags_are_refused(world: World) -> None:
    head = git(world.root, "rev-parse", "HEAD")
    record = world.book().versions()[TWO]
    git(world.root, "push", "--quiet", "origin", f"{head}:refs/tags/flight-delay@v2.0.0",
        f"{record.target}:refs/tags/flight-delay@v2.1.0")  # fmt: skip
    tag(world, "flight-delay@v2.2.0", head, record.message)
    tag(world, "flight-delay@v2.3.0", head)
    for version, why in (("v2.0.0", "lightweight"), ("v2.1.0", "inside it is called"),
                         ("v2.2.0", "of another release"), ("v2.3.0", "no release record")):  # fmt: skip
        with pytest.raises((RecordError, IntegrityError), match=why):
            release(asked(version), QUIET)
    assert production(world) == []


def test_a_stray_tag_beside_a_version_takes_nothing_away(world: World) -> None:
    """Annotated, at the commit of v1.1.0, above it: without a record of its own it is no version."""
    release(asked("v1.1.0"), QUIET)
    head, record = git(world.root, "rev-parse", "two"), world.book().versions()[TWO]
    tag(world, "flight-delay@v1.9.0", head)
    tag(world, "flight-delay@v1.9.1", head, record.message)
    tag(world, "flight-delay#staging#3", head, "by hand: it names no version\n")
    assert str(world.book().current("staging").version) == "v1.1.0"
    assert production(world) == ["v1.1.0"]
    assert release(asked("v1.1.0"), QUIET) == 0
    assert production(world) == ["v1.1.0"], "it is there already"


def test_a_version_tag_that_was_moved_is_refused(world: World, capsys) -> None:
    """Another object at the same commit, whose record is its own: only the stage's tag knows better."""
    old = world.book().versions()[TWO]
    record = releases.parse(old.message)
    moved = releases.write(record.model_copy(update={"mlflow_run": "another"}), "words")
    sha = ledger.make(Git(), old.name, record.commit, moved)
    git(world.root, "push", "--quiet", "--force", "origin", f"{sha}:refs/tags/{old.name}")
    with pytest.raises(IntegrityError, match="stage tags"):
        release(asked("v1.1.0"), QUIET)
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code
    assert "flight-delay#staging#2 was made for another tag object" in capsys.readouterr().out
    git(world.root, "push", "--quiet", "--force", "origin", f"{old.target}:refs/tags/{old.name}")
    assert release(asked("v1.1.0"), QUIET) == 0


def test_a_stage_tag_of_before_that_names_no_object_still_counts(world: World, capsys) -> None:
    git(world.root, "push", "--quiet", "origin", "--delete", "flight-delay#staging#2")
    tag(
        world,
        "flight-delay#staging#3",
        git(world.root, "rev-parse", "two"),
        "flight-delay v1.1.0 to staging\n",
    )
    assert cli.main(["verify", "v1.1.0"]) == 0
    assert "no stage tag names its object" in capsys.readouterr().out
    assert release(asked("v1.1.0"), QUIET) == 0
    assert "warning: no stage tag names the object" in capsys.readouterr().err
    assert release(asked("v1.1.0"), QUIET) == 0
    assert "warning" not in capsys.readouterr().err, "the production tag names it"


def test_a_version_that_is_not_on_main_or_never_was_staged_is_refused(world: World) -> None:
    book = world.book()
    one = releases.parse(book.versions()[ONE].message)
    message = releases.write(one.model_copy(update={"release": "v3.0.0"}), "w")
    tag(world, "flight-delay@v3.0.0", one.commit, message)
    git(world.root, "push", "--quiet", "origin", "--delete", "flight-delay#staging#1")
    with pytest.raises(RecordError, match="never was in staging"):
        release(asked("v3.0.0"), QUIET)
    git(world.root, "push", "--quiet", "--force", "origin", "one:main")
    with pytest.raises(IntegrityError, match="history"):
        release(asked("v1.1.0"), QUIET)


def test_verify_names_what_does_not_hold(world: World, capsys) -> None:
    assert cli.main(["verify", "v1.1.0", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in told["checks"]} >= {"tag", "history", "lock", "model", "bento"}
    record = releases.parse(world.book().versions()[TWO].message)
    stored = world.store(record.artifacts["bento"].md5)
    stored.chmod(0o644)
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + b"!")
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code
    assert "fails  bento: the remote has other bytes" in capsys.readouterr().out
    with pytest.raises(IntegrityError):
        release(asked("v1.1.0"), QUIET)
    stored.unlink()
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code
    assert cli.main(["verify", "v7.0.0"]) == RecordError.exit_code


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: path.unlink(), "data/raw: the remote does not have month.txt"),
        (lambda path: path.write_text("9"), "data/raw: other bytes under month.txt"),
    ],
    ids=["missing", "changed"],
)
def test_verify_reads_the_data_too(world: World, capsys, harm, words: str) -> None:
    record = releases.parse(world.book().versions()[TWO].message)
    assert set(record.data_md5) == {"data/raw", "data/features"}
    assert cli.main(["verify", "v1.1.0"]) == 0
    assert "data/raw: on the remote, 1 files and 1 bytes with their md5" in capsys.readouterr().out
    (listed,) = json.loads(world.store(record.data_md5["data/raw"]).read_text())
    stored = world.store(listed["md5"])
    stored.chmod(0o644)
    harm(stored)
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code
    assert words in capsys.readouterr().out
    assert cli.main(["verify", "v1.1.0", "--no-data"]) == 0
    assert release(asked("v1.1.0"), QUIET) == 0, "what is served needs no data"
    listing = world.store(record.data_md5["data/features"])
    listing.chmod(0o644)
    listing.write_text("[]")
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code
    assert "data/features: other bytes under" in capsys.readouterr().out


def test_an_unsigned_tag_is_refused_once_signing_is_on(world: World) -> None:
    (world.root.parent / "allowed").write_text("")
    git(world.root, "config", ledger.SIGNERS, str(world.root.parent / "allowed"))
    with pytest.raises(IntegrityError, match="signature"):
        release(asked("v1.1.0"), QUIET)
    assert cli.main(["verify", "v1.1.0"]) == IntegrityError.exit_code


def test_where_tags_must_be_signed_only_signed_ones_say_who_has_a_stage(world: World) -> None:
    """Whoever may push tags, and may not sign, neither releases nor chooses what a rollback goes back to."""
    key = world.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (world.root.parent / "allowed").write_text(f"me@example.org {key.with_suffix('.pub').read_text()}")
    one, two = (world.book().versions()[version].commit for version in (ONE, TWO))
    tag(world, "flight-delay#production#1", one)
    assert world.book().current("production") is not None
    settings = {ledger.SIGNERS: world.root.parent / "allowed", "gpg.format": "ssh", "user.signingkey": key}
    for name, value in settings.items():
        git(world.root, "config", name, str(value))
    assert world.book().current("production") is None
    (passed,) = [one for one in world.book().tags if one.name.endswith("production#1")]
    assert passed.problem == ledger.UNSIGNED
    git(world.root, "config", "user.name", "Me")
    git(world.root, "config", "user.email", "me@example.org")
    signed = ledger.make(Git(world.root), "flight-delay#production#2", two, "by me\n")
    git(world.root, "push", "--quiet", "origin", f"{signed}:refs/tags/flight-delay#production#2")
    unsigned = ("tag", "--annotate", "--no-sign", "--message", "by another", "flight-delay#production#3", one)
    git(world.root, *unsigned)
    git(world.root, "push", "--quiet", "origin", "refs/tags/flight-delay#production#3")
    current = world.book().current("production")
    assert current is not None and str(current.version) == "v1.1.0"
    with pytest.raises(RecordError, match="production#3 is refused"):
        release(asked(tag="flight-delay#production#3"), QUIET)
    assert str(world.book().following("production")) == "flight-delay#production#4"


def test_a_tag_by_hand_is_checked_and_deployed(world: World) -> None:
    served = []

    class Target:
        def plan(self, _):
            return ["serve it"]

        def deploy(self, record, files):
            served.append((record.release, files["bento"].read_bytes()[:12]))
            return deploying.Deployed("local", "production", record.release, record.commit, "d", "here", True)

        def current(self):
            return None

    mine = Tools(target=lambda _: Target(), view=lambda: None, before=lambda _: None)
    one, two = (world.book().versions()[version].commit for version in (ONE, TWO))
    tag(world, "flight-delay#production#1", one)
    assert release(asked(tag="refs/tags/flight-delay#production#1", target="local"), mine) == 0
    assert served == [("v1.0.0", b"bento v1.0.0")]
    git(world.root, "push", "--quiet", "origin", f"{two}:refs/tags/flight-delay#production#2")
    tag(world, "flight-delay#production#3", git(world.root, "rev-parse", "one^{tree}"))
    for ref in ("flight-delay#production#2", "flight-delay#production#3", "flight-delay#production#8",
                "flight-delay#staging#1", "flight-delay@v1.0.0", "HEAD", "-x"):  # fmt: skip
        with pytest.raises(RecordError):
            release(asked(tag=ref, target="local"), mine)
    assert len(served) == 1
    assert release(asked("v1.1.0", target="local"), mine) == 0
    assert served[1][0] == "v1.1.0"
    assert "flight-delay#production#4" in world.tags(), "names that are taken are not taken again"


class Recording:
    """A target that only remembers what it was given, and may be stopped or fail while it takes it."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.took: list[str] = []
        self.failure = failure

    def plan(self, _record):
        return ["remember it"]

    def deploy(self, record, _files):
        self.took.append(record.release)
        if self.failure:
            raise self.failure
        return deploying.Deployed("local", "production", record.release, record.commit, "d", "here", True)


def test_the_slower_of_two_releases_does_not_deploy_last(world: World) -> None:
    target = Recording()
    mine = dataclasses.replace(QUIET, target=lambda _: target)

    def before(step: str) -> None:
        if step == "deploy" and not target.took:
            target.took.append("")
            assert release(asked("v1.1.0", target="local"), mine) == 0

    with pytest.raises(SupersededError, match="flight-delay#production#2 came after it"):
        release(asked("v1.0.0", target="local"), dataclasses.replace(mine, before=before))
    assert target.took == ["", "v1.1.0"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), DeployError("it does not start")])
def test_after_its_tag_a_rollback_is_finished_by_naming_the_version(world: World, capsys, failure) -> None:
    """The same command again would go back once more, or find nothing earlier."""
    assert release(asked("v1.0.0"), QUIET) == release(asked("v1.1.0"), QUIET) == 0
    mine = dataclasses.replace(QUIET, target=lambda _: Recording(failure))
    with pytest.raises(MainlineError) as caught:
        rollback(asked(target="local"), mine)
    assert "mainline release v1.0.0" in str(caught.value) + capsys.readouterr().err
    again = Recording()
    assert release(asked("v1.0.0", target="local"), dataclasses.replace(QUIET, target=lambda _: again)) == 0
    assert again.took == ["v1.0.0"] and production(world) == ["v1.0.0", "v1.1.0", "v1.0.0"]


def test_a_view_that_does_not_answer_holds_nobody_up(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        tagging.view(2)
        assert time.monotonic() - started < 10
    assert "took longer than 2 s; the view will catch up: mainline registry sync" in capfd.readouterr().err
    assert tagging.VIEW_SECONDS <= 20


def test_a_server_that_does_not_answer_names_no_run_and_fails_no_promotion(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert tagging.run(0) is None
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    assert tagging.run(0) is None, "nobody else could look at that"
    assert capfd.readouterr().err == ""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        started = time.monotonic()
        assert tagging.run(2) is None
        assert time.monotonic() - started < 10
    assert capfd.readouterr().err == (
        "warning: MLflow did not say which run trained this: the record names none\n"
    )
    assert tagging.run() is None, "nothing is there"


def test_the_loser_of_a_release_race_leaves_no_tag(world: World) -> None:
    raced = []

    def before(step: str) -> None:
        if step == "push" and not raced:
            raced.append(1)
            tag(world, "flight-delay#production#1", world.book().versions()[ONE].commit)

    assert release(asked("v1.1.0"), dataclasses.replace(QUIET, before=before)) == 0
    assert production(world) == ["v1.0.0", "v1.1.0"]
    local = world.tags(world.root)
    assert local.items() <= world.tags().items()


def gto(root: Path, *arguments: str):
    done = subprocess.run([str(Path(sys.executable).with_name("gto")), *arguments, "--json"], cwd=root,
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_status_agrees_with_gto(world: World, monkeypatch, capsys) -> None:
    for minute, (verb, version) in enumerate(
        ((release, "v1.0.0"), (release, "v1.1.0"), (rollback, None)), 10
    ):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"2026-01-01T00:{minute:02}:00Z")
        verb(asked(version), QUIET)
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    clone = world.root.parent / "clone"
    git(world.root, "clone", "--quiet", str(world.origin), str(clone))
    shown = gto(clone, "show")
    theirs = shown["flight-delay"]
    stages = dict(theirs["stage"])
    assert theirs["version"] == "v1.1.0" == told["versions"][0]["version"]
    assert stages == {name: turn["version"] for name, turn in told["stages"].items()}
    assert told["stages"]["production"]["version"] == "v1.0.0"
    events = [one for one in gto(clone, "history") if one["event"] == "assignment"]
    assert sorted((one["stage"], one["version"]) for one in events) == sorted(
        (turn["stage"], turn["version"]) for turn in told["history"]
    )
    assert cli.main(["status"]) == 0
    assert "production" in capsys.readouterr().out


def test_status_says_what_was_a_rollback_and_from_where(world: World, capsys) -> None:
    for verb, version, reason in (
        (release, "v1.0.0", ""), (release, "v1.1.0", "sprint 12"), (rollback, None, "too slow"),
        (release, "v1.1.0", ""), (rollback, None, ""),
    ):  # fmt: skip
        verb(asked(version, reason=reason), QUIET)
    capsys.readouterr()
    assert cli.main(["status", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    why = {one["number"]: one["why"] for one in told["history"] if one["stage"] == "production"}
    assert why == {
        1: "flight-delay v1.0.0 to production", 2: "sprint 12", 3: "rollback from v1.1.0: too slow",
        4: "flight-delay v1.1.0 to production", 5: "rollback from v1.1.0",
    }  # fmt: skip
    assert cli.main(["status"]) == 0
    assert "T: rollback from v1.1.0" in capsys.readouterr().out.replace("mainline-bot", "T")


def test_status_of_hostile_tags_prints_and_ends(world: World, monkeypatch, capsys) -> None:
    head = git(world.root, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_COMMITTER_NAME", "[bold]\x1b]0;evil\x07 ::error::")
    tag(world, "flight-delay@v5.0.0", head, "x [/nothing] \x1b[31m ::set-output\n")
    tag(world, "flight-delay#staging#9", head, "Reason: [red]\x1b[2J\n")
    git(world.root, "tag", "flight-delay@v6.0.0")
    assert cli.main(["status"]) == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.out
    assert "v6.0.0 is not origin's" in said.err
    git(world.root, "remote", "set-url", "origin", "/nowhere")
    assert cli.main(["status", "--json"]) == 0
    with pytest.raises(GitError):
        release(asked("v1.0.0"), QUIET)


def test_trace_goes_from_a_request_to_its_data(world: World, capsys) -> None:
    logs = world.root.parent / "logs"
    logs.mkdir()
    line = {"request_id": "a1", "version": "v1.1.0", "key": "k", "score": 0.5}
    old = logs / "predictions.0001.jsonl"
    old.write_text(json.dumps(line) + "\n" + '{"request_id": "a1", "versi')
    (logs / "predictions.jsonl").write_text(
        "[1]\nnull\n\xff\n" + json.dumps({**line, "request_id": "b\x1b2"}) + "\n"
    )
    assert cli.main(["trace", "a1", "--log", str(logs), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["commit"] == git(world.root, "rev-parse", "two") and told["predictions"] == [line]
    assert set(told["data"]) == {"data/raw", "data/features"}
    assert cli.main(["trace", "a1", "--log", str(old)]) == 0
    assert cli.main(["trace", "b\x1b2", "--log", str(logs)]) == 0
    assert "\x1b" not in capsys.readouterr().out
    (logs / "empty").mkdir()
    for request, log, words in (
        ("zz", logs, "no prediction of request 'zz'"),
        ("a1", logs / "nowhere", "nowhere does not exist"),
        ("a1", logs / "empty", "empty has no log"),
    ):
        assert cli.main(["trace", request, "--log", str(log)]) == RecordError.exit_code
        assert words in capsys.readouterr().err


def test_trace_looks_into_the_logs_of_the_local_deployments(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Production's first; a request that staging answered is found, too."""
    monkeypatch.setenv(deploying.FOLDER, str(world.root.parent / "deploy"))
    assert cli.main(["trace", "a1"]) == RecordError.exit_code
    assert "production/predictions does not exist" in capsys.readouterr().err
    for stage, request in (("staging", "b2"), ("production", "a1")):
        log = deploying.folder(stage) / "predictions" / "predictions.jsonl"
        log.parent.mkdir(parents=True)
        log.write_text(json.dumps({"request_id": request, "version": "v1.1.0", "key": stage}) + "\n")
    for stage, request in (("staging", "b2"), ("production", "a1")):
        assert cli.main(["trace", request, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["predictions"][0]["key"] == stage
    assert cli.main(["trace", "zz"]) == RecordError.exit_code


def test_trace_of_a_large_request_answers_first_and_shows_a_few_rows(world: World, capsys) -> None:
    log = world.root.parent / "predictions.jsonl"
    row = {"request_id": "a1", "version": "v1.1.0", "score": 0.5, "decision": None}
    log.write_text("".join(json.dumps({**row, "key": f"k{i}"}) + "\n" for i in range(981)))
    assert cli.main(["trace", "a1", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert lines[0] == "version    v1.1.0" and lines[1].startswith("commit     ")
    data = [line.split() for line in lines if "data/" in line]
    assert {words[-2] for words in data} == {"data/raw", "data/features"}
    assert all(len(words[-1].removesuffix(".dir")) == 32 for words in data)
    assert "mlflow_run not recorded: the commit of dvc.lock names none" in said
    assert lines[-7] == "981 predictions:" and lines[-1] == "  and 976 more, which --json has"
    assert "k4" in lines[-2] and "k5" not in said and "decision" not in said and "None" not in said
    log.write_text(json.dumps({**row, "key": "k", "decision": 0}) + "\n")
    assert cli.main(["trace", "a1", "--log", str(log)]) == 0
    said = capsys.readouterr().out
    assert "1 prediction:" in said and "decision 0" in said and "more" not in said
