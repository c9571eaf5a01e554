"""`mainline promote` with real Git, DVC, origin and store: twice, two at once, killed anywhere, reverted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mainline import cli, ledger, objects, packaged, releases
from mainline.errors import (
    Answer,
    ConfigError,
    GitError,
    IntegrityError,
    MainlineError,
    StorageError,
    SupersededError,
)
from mainline.git import Git
from mainline.review import Gate
from mainline.tags import Version
from mainline.verbs.gate import gate
from mainline.verbs.promote import promote
from tests import clones
from tests.clones import git
from tests.mainline import pipelines, releasing
from tests.mainline.releasing import World, options, says, tools

pytestmark = pytest.mark.slow

ONE = Version(1, 0, 0)
V1, V2 = "flight-delay@v1.0.0", "flight-delay@v1.1.0"
S1, S2, S3 = (f"flight-delay#staging#{n}" for n in (1, 2, 3))
STEPS = ["lock", "tags", "pull", "gate", "build", "check", "attach", "put", "tag", "push", "view"]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return releasing.build(tmp_path_factory.mktemp("promote"))


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)  # a runner has no user
    found = releasing.copy(template, tmp_path)
    monkeypatch.chdir(found.root)
    return found


def said(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_merge_becomes_a_version_in_staging_and_twice_changes_nothing(world: World, capsys) -> None:
    assert promote(options(), tools()) == 0
    assert said(capsys)["new"] is True
    first = world.tags()
    assert sorted(first) == [S1, V1]
    book = world.book()
    record = releases.parse(book.versions()[ONE].message)
    assert record.commit == git(world.root, "rev-parse", "HEAD")
    assert set(record.data_md5) == {"data/features", "data/raw"}
    assert record.figures == {"log_loss": 0.5}
    bento = record.artifacts["bento"]
    assert world.store(bento.md5).read_bytes().startswith(b"bento v1.0.0")
    assert world.store(bento.md5).stat().st_size == bento.bytes
    assert world.tags(world.root) == first
    assert book.current("staging").tag.who == "mainline-bot"
    assert not list((world.root / ".mainline/release").iterdir()), "what was built lies on the remote"

    assert promote(options(), tools()) == 0
    assert said(capsys)["new"] is False
    assert world.tags() == first
    assert world.builds() == ["v1.0.0"]


def test_a_lock_that_names_no_run_gets_the_one_that_mlflow_knows(world: World) -> None:
    """It was trained on a laptop and pushed by hand, or a squash left the lock's words out."""
    assert promote(options(), tools(run=lambda: "a1b2")) == 0
    assert releases.parse(world.book().versions()[ONE].message).mlflow_run == "a1b2"


def test_the_run_that_the_lock_names_counts_and_mlflow_is_not_asked(world: World) -> None:
    with (world.root / "dvc.lock").open("a") as lock:
        lock.write("\n")
    clones.commit(world.root, f"the lock\n\nMLflow-Run: 1/{'c' * 32}\n")
    git(world.root, "push", "--quiet", "origin", "HEAD:main")
    asked: list[int] = []
    assert promote(options(), tools(run=lambda: asked.append(1))) == 0
    assert releases.parse(world.book().versions()[ONE].message).mlflow_run == "c" * 32
    assert asked == []


def test_the_next_version_follows_from_the_change(world: World, capsys) -> None:
    promote(options(), tools())
    for branch, expected in (("two", "v1.1.0"), ("schema", "v2.0.0"), ("service", "v2.0.0")):
        world.merge(branch)
        capsys.readouterr()
        assert promote(options(dry_run=True), tools()) == 0
        told = said(capsys)
        if branch == "service":  # two and schema are no longer in main's history: only v1.0.0 counts
            assert (told["version"], told["change"]) == ("v2.0.1", "patch")
            continue
        assert promote(options(), tools()) == 0
        assert said(capsys)["version"] == told["version"]
        if branch == "two":
            assert told["version"] == expected
    assert "v2.0.0" in world.builds()


def test_the_report_of_a_branch_tells_the_version_that_its_merge_would_get(world: World, capsys) -> None:
    promote(options(), tools())
    git(world.root, "checkout", "--quiet", "--force", "two")
    capsys.readouterr()
    assert cli.main(["report", "--stdout"]) == 0
    assert "**Merged, it becomes**: v1.1.0, " in capsys.readouterr().out


def test_revert_on_main_gives_the_earlier_digest_and_builds_nothing(world: World, capsys) -> None:
    promote(options(), tools())
    world.merge("two")
    promote(options(), tools())
    assert sorted(world.tags()) == [S1, S2, V1, V2]
    world.merge("revert")
    capsys.readouterr()

    def no(*_):
        raise AssertionError("a revert is neither judged nor built")

    assert promote(options(), tools(judge=no, build=("false",))) == 0
    assert said(capsys)["version"] == "v1.0.0"
    assert sorted(world.tags()) == [S1, S2, S3, V1, V2]
    turn = world.book().current("staging")
    assert str(turn.version) == "v1.0.0"
    assert "Reason: main is at" in turn.tag.message
    before = world.tags()
    promote(options(), tools())
    assert world.tags() == before


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_any_step_then_rerun(step: str, world: World) -> None:
    class Killed(BaseException):
        pass

    def before(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        promote(options(), tools(before=before))
    half = world.tags()
    assert sorted(half) in ([], [S1, V1])
    assert world.tags(world.root) == half, "no local tag that origin does not have"
    assert promote(options(), tools()) == 0
    assert sorted(world.tags()) == [S1, V1]
    assert git(world.root, "status", "--porcelain") == ""


def test_a_push_that_is_refused_leaves_no_tag_anywhere(world: World) -> None:
    hook = world.origin / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in *staging*) echo no >&2; exit 1;; esac\n')
    hook.chmod(0o755)
    with pytest.raises(GitError, match="did not take"):
        promote(options(), tools())
    assert world.tags() == world.tags(world.root) == {}
    hook.unlink()
    assert promote(options(), tools()) == 0


def test_the_loser_of_a_race_converges(world: World, tmp_path: Path, capsys) -> None:
    """The other promote arrives between our tag and our push."""
    other = tmp_path / "other" / "work"
    other.parent.mkdir()
    (other.parent / "origin.git").symlink_to(world.origin)
    (other.parent / "store").symlink_to(world.root.parent / "store")
    subprocess.run(["cp", "-r", world.root, other], check=True)
    raced = []

    def before(name: str) -> None:
        if name == "push" and not raced:
            raced.append(1)
            os.chdir(other)
            assert promote(options(), tools()) == 0
            os.chdir(world.root)

    capsys.readouterr()
    assert promote(options(), tools(before=before)) == 0
    assert raced and said(capsys)["new"] is False
    assert sorted(world.tags()) == [S1, V1]
    assert world.tags(world.root).items() <= world.tags().items(), "no wrong local tag"
    assert world.tags(other) == world.tags()


@pytest.mark.slow
def test_two_processes_at_once(world: World) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.mainline.releasing import options, tools\n"
        "from mainline.verbs.promote import promote\n"
        "sys.exit(promote(options(), tools()))\n"
    )
    root = str(Path(__file__).parents[2])
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script, root], cwd=world.root, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in both]
    assert [code for _, code in ended] == [0, 0], ended
    assert sorted(world.tags()) == [S1, V1]
    assert world.tags(world.root).items() <= world.tags().items()


def test_a_merge_meanwhile_is_left_to_its_own_run(world: World) -> None:
    def before(name: str) -> None:
        if name == "push":
            git(world.root, "push", "--quiet", "origin", "+two:main", "HEAD:refs/tags/flight-delay@v1.0.0")

    with pytest.raises(SupersededError):
        promote(options(), tools(before=before))
    assert sorted(world.tags()) == [V1], "only what the other one pushed"
    with pytest.raises(SupersededError):
        promote(options(), tools())


def test_a_lightweight_tag_only_keeps_its_name(world: World, capsys) -> None:
    git(world.root, "push", "--quiet", "origin", "HEAD:refs/tags/flight-delay@v1.0.0")
    git(world.root, "push", "--quiet", "origin", "HEAD:refs/tags/flight-delay#staging#4")
    assert promote(options(), tools()) == 0
    assert said(capsys)["version"] == "v2.0.0"
    assert "flight-delay#staging#5" in world.tags()


def test_a_wrong_local_tag_is_neither_believed_nor_kept(world: World) -> None:
    git(world.root, "tag", V1, "two")
    assert promote(options(), tools()) == 0
    assert world.tags(world.root) == world.tags()


@pytest.mark.parametrize(
    "path", ["models/model.onnx", "reports/predictions.parquet", "data/features/test.parquet"]
)
def test_a_tampered_file_is_refused_before_anything_is_built(path: str, world: World) -> None:
    def tamper(step: str = "pull") -> None:
        if step == "pull":
            (world.root / path).parent.mkdir(parents=True, exist_ok=True)
            (world.root / path).write_text("evil")

    with pytest.raises(IntegrityError, match=f"{path} is not the file"):
        promote(options(), tools(before=tamper))
    assert promote(options(), tools()) == Answer.STALE, "the lock's check sees it before"
    assert world.builds() == [] and world.tags() == {}


def test_a_damaged_object_on_the_remote_is_refused(world: World) -> None:
    md5 = next(
        iter(git(world.root, "grep", "-A2", "path: models/model.onnx", "--", "dvc.lock").split("md5: ")[1:])
    )
    stored = world.store(md5.split()[0])
    stored.chmod(0o644)
    stored.write_text("evil")
    for cached in (world.root / ".dvc/cache/files/md5" / md5[:2]).iterdir():
        cached.chmod(0o644)
        cached.unlink()
    assert promote(options(), tools()) == Answer.BROKEN
    assert world.tags() == {}


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("import sys; sys.exit(17)", MainlineError),
        ("print('no json')", StorageError),
        ('print(\'{"path": "/etc/passwd", "sha256": "", "bytes": 1}\')', IntegrityError),
        ('print(\'{"path": "../x"}\')', IntegrityError),
        ("print('[]')", IntegrityError),
        ("", StorageError),
    ],
)
def test_a_build_that_fails_or_lies_is_an_error_of_ours(script: str, kind, world: World) -> None:
    with pytest.raises(kind):
        promote(options(), tools(build=(sys.executable, "-c", script)))
    assert world.tags() == {}


def test_the_service_may_take_what_the_gate_allows_the_model_and_a_request_more(world: World) -> None:
    says = "import sys; open('.mainline/checked', 'w').write(' '.join(sys.argv[3:])); print('{}')"
    assert promote(options(), tools(check=(sys.executable, "-c", says))) == 0
    assert (world.root / ".mainline/checked").read_text() == "--latency-ms 1004"


def test_a_service_that_fails_its_check_is_no_version(world: World) -> None:
    with pytest.raises(MainlineError, match="the check of the running service failed"):
        promote(options(), tools(check=(sys.executable, "-c", "import sys; sys.exit(17)")))
    assert world.tags() == {} == world.tags(world.root)


def test_block_refuses_and_a_merged_hold_is_recorded_as_accepted(world: World) -> None:
    assert promote(options(), tools(judge=says("block"))) == Answer.BLOCK
    assert world.tags() == {} and world.builds() == []
    (world.root / Gate.location).unlink()
    assert promote(options(), tools(judge=says("hold"))) == 0
    verdict = releases.parse(world.book().versions()[ONE].message).gate
    assert (verdict.verdict, verdict.accepted, verdict.champion) == ("hold", True, "baselines")


def test_a_gate_record_of_another_lock_does_not_count(world: World) -> None:
    says("promote")(options(champion="stale"))
    record = json.loads((world.root / Gate.location).read_text())
    record["lock_sha256"] = "0" * 64
    (world.root / Gate.location).write_text(json.dumps(record))
    asked = []
    judge = says("promote")
    promote(options(), tools(judge=lambda given: [asked.append(given.champion), judge(given)][1]))
    assert asked == ["baselines"]
    (world.root / Gate.location).write_text(json.dumps(record))
    world.merge("two")
    promote(options(), tools(judge=lambda given: [asked.append(given.champion), judge(given)][1]))
    assert asked[1] == git(world.root, "rev-parse", "HEAD^"), "before production there is the first parent"


LOCK = """\
version = 1
[[package]]
name = "work"
version = "0.1.0"
source = {{ virtual = "." }}
[package.dev-dependencies]
serving = [{{ name = "server" }}, {{ name = "windows-only", marker = "sys_platform == 'win32'" }}]
training = [{{ name = "torch" }}]
[[package]]
name = "server"
version = "1.0"
source = {{ registry = "x" }}
dependencies = [{{ name = "deep" }}]
[[package]]
name = "deep"
version = "{deep}"
source = {{ registry = "x" }}
[[package]]
name = "torch"
version = "{torch}"
source = {{ registry = "x" }}
[[package]]
name = "windows-only"
version = "{windows}"
source = {{ registry = "x" }}
"""


def test_libraries_count_as_the_lock_resolves_them(world: World) -> None:
    """What the service's libraries need in turn counts; what other groups or systems need does not."""

    def package(**versions: str) -> dict[str, str]:
        (world.root / "uv.lock").write_text(
            LOCK.format(**{"deep": "1", "torch": "1", "windows": "1"} | versions)
        )
        clones.commit(world.root, str(versions))
        return dict(packaged.contents(Git(), "HEAD").package)

    first = package()
    assert {"library server": "1.0", "library deep": "1"}.items() <= first.items()
    assert package(torch="2", windows="2") == first
    assert package(deep="2") == first | {"library deep": "2"}


def test_manifests_are_part_of_the_package(world: World) -> None:
    """They are deployed from the version's commit: one that changes must become a version."""
    before = packaged.contents(Git(), "HEAD").package
    for name, counts in (("compose/compose.yaml", False), ("kubernetes/README.md", False),
                         ("kubernetes/base/deployment.yaml", True)):  # fmt: skip
        path = world.root / "serving/deploy" / name
        path.parent.mkdir(parents=True)
        path.write_text("x")
        clones.commit(world.root, name)
        assert (packaged.contents(Git(), "HEAD").package != before) is counts, name
        path.unlink()
        path.parent.rmdir()


def test_the_real_gate_on_a_change_of_the_service_alone(world: World, capsys) -> None:
    promote(options(), tools())
    world.merge("service")
    capsys.readouterr()
    assert promote(options(), tools(judge=gate)) == 0
    assert said(capsys)["version"] == "v1.0.1"


def test_a_stale_lock_a_dirty_tree_and_another_branch_are_refused(world: World) -> None:
    for index in range(7):
        (world.root / f"new{index}").write_text("x")
    with pytest.raises(GitError, match=r"the work tree has changes: 'new0', .*'new4' and 2 more") as refused:
        promote(options(), tools())
    assert refused.value.remedy == "delete what is not tracked, or name it in .gitignore"
    pipelines.edit(world.root, "params.yaml", "lr: 1", "lr: 3")
    with pytest.raises(GitError, match=r"'params\.yaml', 'new0', .*'new3' and 3 more") as refused:
        promote(options(), tools())
    assert refused.value.remedy.startswith("commit them by pull request, or restore them; delete")
    pipelines.edit(world.root, "params.yaml", "lr: 3", "lr: 1")
    for index in range(7):
        (world.root / f"new{index}").unlink()
    git(world.root, "checkout", "--quiet", "two")
    with pytest.raises(SupersededError):
        promote(options(), tools())
    git(world.root, "push", "--quiet", "origin", "HEAD:refs/heads/trial")
    assert promote(options(allow_branch="trial", dry_run=True), tools()) == 0
    (world.root / "params.yaml").write_text(
        (world.root / "params.yaml").read_text().replace("lr: 2", "lr: 3")
    )
    git(world.root, "-c", "user.name=T", "-c", "user.email=t@e", "commit", "-qam", "stale")
    assert promote(options(allow_branch="trial"), tools()) == Answer.STALE


def test_a_lost_object_is_told_and_put_again_heals_a_damaged_one(world: World) -> None:
    promote(options(), tools())
    record = releases.parse(world.book().versions()[ONE].message)
    stored = world.store(record.artifacts["bento"].md5)
    stored.chmod(0o644)
    content = stored.read_bytes()
    stored.write_bytes(b"evil")
    (world.root / ".mainline/again").write_bytes(content)
    objects.put(Path(), {"bento": world.root / ".mainline/again"})
    assert stored.read_bytes() == content


def test_signing_makes_signed_tags(world: World) -> None:
    key = world.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    (world.root.parent / "allowed").write_text(f"t@example.org {public}")
    for name, value in {
        "gpg.format": "ssh", "user.signingkey": str(key), "user.name": "T", "user.email": "t@example.org",
        ledger.SIGNERS: str(world.root.parent / "allowed"),
    }.items():  # fmt: skip
        git(world.root, "config", name, value)
    assert promote(options(), tools()) == 0
    tag = world.book().versions()[ONE]
    ledger.check_signature(Git(), tag)
    assert releases.parse(tag.message).release == "v1.0.0", "the signature is no part of the record"
    (world.root.parent / "allowed").write_text(f"t@example.org {public.split()[0]} {'A' * 68}\n")
    with pytest.raises(IntegrityError, match="not signed by an allowed signer"):
        ledger.check_signature(Git(), tag)
    git(world.root, "config", "user.signingkey", "/nowhere")
    world.merge("two")
    before = world.tags()
    with pytest.raises(MainlineError):
        promote(options(), tools())
    assert world.tags() == before == world.tags(world.root)


IMAGE = f"registry.example.org/team/flight-delay@sha256:{'1' * 64}"
PUSHES = (
    "import json, sys; from pathlib import Path; Path('.mainline/image').write_text(sys.argv[4])\n"
    f"print(json.dumps({{'image': {IMAGE!r}}}))"
)


@pytest.mark.parametrize(
    ("flag", "text"),
    [("image", "registry.example.org/x:v1"), ("image", ""), ("image", f"x@sha256:{'1' * 64}\n"),
     ("mlflow_run", "no run"), ("mlflow_run", ""), ("mlflow_run", "a" * 65)],
)  # fmt: skip
def test_a_malformed_image_or_run_is_told_before_anything_is_done(flag: str, text: str, world: World) -> None:
    with pytest.raises(ConfigError, match=f"--{flag.replace('_', '-')} is "):
        promote(options(**{flag: text}), tools(before=lambda step: pytest.fail(step)))


def test_a_registry_gets_an_image_of_the_bento_and_the_record_its_digest(world: World, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_IMAGE_REGISTRY", "registry.example.org/team")
    mine = tools(image=(sys.executable, "-c", PUSHES))
    assert promote(options(), mine) == 0
    record = releases.parse(world.book().versions()[ONE].message)
    tag = f"v1.0.0-{record.artifacts['bento'].sha256[:12]}"  # no other try takes it away
    assert (world.root / ".mainline/image").read_text() == f"registry.example.org/team/flight-delay:{tag}"
    assert record.image == IMAGE
    assert promote(options(image=IMAGE), mine) == 0, "it has this one"


@pytest.mark.parametrize("said", ["{'image': 'evil@sha256:' + '1' * 64}", "{'image': None}", "{}"])
def test_an_image_of_another_name_or_without_a_digest_is_refused(
    said: str, world: World, monkeypatch
) -> None:
    monkeypatch.setenv("MAINLINE_IMAGE_REGISTRY", "registry.example.org/team")
    with pytest.raises(IntegrityError, match="the image is said to be"):
        promote(options(), tools(image=(sys.executable, "-c", f"import json; print(json.dumps({said}))")))
    assert world.tags() == {}


def test_a_registry_that_cannot_be_one_is_told_at_the_start(world: World, monkeypatch) -> None:
    monkeypatch.setenv("MAINLINE_IMAGE_REGISTRY", "https://registry.example.org")
    with pytest.raises(ConfigError, match=r"MAINLINE_IMAGE_REGISTRY: release\.registry"):
        promote(options(), tools(before=lambda step: pytest.fail(step)))


def test_an_image_for_a_version_that_is_made_is_refused_not_ignored(
    world: World, monkeypatch, capsys
) -> None:
    promote(options(), tools())
    before = world.tags()
    with pytest.raises(ConfigError, match=r"v1\.0\.0 is made, without an image"):
        promote(options(image=IMAGE), tools())
    monkeypatch.setenv("MAINLINE_IMAGE_REGISTRY", "registry.example.org/team")
    assert promote(options(), tools(image=("false",))) == 0
    assert "v1.0.0 has no image, and gets none" in capsys.readouterr().err
    assert world.tags() == before


def test_main_is_what_origin_calls_its_default_branch(world: World, capsys) -> None:
    git(world.origin, "branch", "--move", "main", "trunk")
    git(world.origin, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert promote(options(), tools()) == 0
    assert said(capsys)["version"] == "v1.0.0"
    assert cli.main(["status", "--json"]) == 0
    assert not capsys.readouterr().err


def test_in_ci_signers_and_key_come_from_the_environment(world: World, monkeypatch) -> None:
    key = world.root.parent / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text()
    monkeypatch.setenv(ledger.ALLOWED, f"ci@example.org {public}")
    with pytest.raises(GitError, match="could not be made"):
        promote(options(), tools())
    monkeypatch.setenv(ledger.KEY, key.read_text())
    assert promote(options(), tools()) == 0
    tag = world.book().versions()[ONE]
    assert "BEGIN SSH SIGNATURE" in tag.message
    ledger.check_signature(Git(), tag)
    monkeypatch.setenv(ledger.ALLOWED, f"ci@example.org {public.split()[0]} {'A' * 68}")
    with pytest.raises(IntegrityError, match="not signed by an allowed signer"):
        ledger.check_signature(Git(), tag)
    monkeypatch.setenv(ledger.ALLOWED, "\n")
    ledger.check_signature(Git(), tag)
    assert not git(world.root, "config", "--local", "--list").count("signing"), "nothing is left behind"


def test_a_record_that_lies_is_not_taken_for_a_version(world: World, capsys) -> None:
    """Somebody copies v1.0.0's record to another tag: it makes no version, but the name is taken."""
    promote(options(), tools())
    message = world.book().versions()[ONE].message
    sha = ledger.make(Git(), V2, git(world.root, "rev-parse", "HEAD"), message)
    git(world.root, "push", "--quiet", "origin", f"{sha}:refs/tags/{V2}")
    world.merge("two")
    capsys.readouterr()
    promote(options(), tools())
    assert said(capsys)["version"] == "v1.2.0"
