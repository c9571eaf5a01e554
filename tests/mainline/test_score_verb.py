"""`mainline score`: which model, found through Git; its Bento by digest; and what the scoring answers."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mainline.errors import GitError, IntegrityError, RecordError
from mainline.verbs import promote, release, score
from tests.clones import environment
from tests.mainline import releasing
from tests.mainline.releasing import World

ECHO = (
    sys.executable,
    "-c",
    "import json, sys; json.dump(sys.argv[1:], open('said.json', 'w')); sys.exit(13)",
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v0.1.0 in production, v0.2.0 in staging."""
    world = releasing.build(tmp_path_factory.mktemp("world"))
    before = Path.cwd()
    os.chdir(world.root)
    try:
        assert promote.promote(releasing.options(), releasing.tools()) == 0
        assert release.release(releasing.asked(_newest(world)), releasing.QUIET) == 0
        world.merge("two")
        assert promote.promote(releasing.options(), releasing.tools()) == 0
    finally:
        os.chdir(before)
    return world


def _newest(world: World) -> str:
    return str(max(world.book().versions()))


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = releasing.copy(template, tmp_path)
    monkeypatch.chdir(made.root)
    return made


def options(**changes: object) -> argparse.Namespace:
    given = dict.fromkeys((*score.VALUES, "version"), None) | dict.fromkeys(score.SWITCHES, False)
    return argparse.Namespace(
        **(
            given
            | {"stage": "production", "working_tree": False, "output": "out", "month": "2013-11"}
            | changes
        )
    )


def asked(**changes: object) -> list[str]:
    """The arguments that the scoring got; its exit code is passed on."""
    assert score.score(options(**changes), score.Tools(ECHO)) == 13
    return list(json.loads(Path("said.json").read_text()))


def test_the_model_in_production_is_fetched_by_its_digest(world: World) -> None:
    said = asked(keep="first", force=True)
    assert said[2:] == ["--month=2013-11", "--output=out", "--keep=first", "--force"]
    bento, digest = (text.partition("=")[2] for text in said[:2])
    versions = sorted(map(str, world.book().versions()))
    assert len(versions) == 2 and versions[0] in bento and digest in bento
    assert versions[1] in asked(stage="staging")[0]
    assert versions[1] in asked(version=versions[1])[0]


def test_a_file_that_is_here_is_checked_again(world: World) -> None:
    bento = Path(asked()[0].partition("=")[2])
    stamp = bento.stat().st_mtime_ns
    asked()
    assert bento.stat().st_mtime_ns == stamp
    content = bento.read_bytes()
    bento.write_bytes(b"another")
    asked()
    assert bento.read_bytes() == content


def test_what_there_is_none_of_is_refused(world: World) -> None:
    with pytest.raises(RecordError, match="no version of flight-delay is in canary"):
        score.score(options(stage="canary"), score.Tools(ECHO))
    with pytest.raises(RecordError, match=r"no version 'v9\.9\.9'"):
        score.score(options(version="v9.9.9"), score.Tools(ECHO))
    world.origin.rename(world.origin.with_name("gone"))
    with pytest.raises(GitError):
        score.score(options(), score.Tools(ECHO))


def test_a_package_that_is_another_one_is_refused(world: World) -> None:
    book = world.book()
    version, tag = book.find(str(min(book.versions())))
    md5 = score._record(score.Git(), options(version=str(version))).artifacts["bento"].md5
    for place in (world.store(md5), world.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        if place.exists():
            place.chmod(0o644)
            place.write_bytes(b"another")
    with pytest.raises((IntegrityError, score.verification.StorageError)):
        score.score(options(), score.Tools(ECHO))
    assert tag.name and not Path("said.json").exists()


def test_the_working_tree_needs_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert asked(working_tree=True, month=None, input="rows; rm -rf /")[:2] == [
        "--working-tree",
        "--input=rows; rm -rf /",
    ]


WAITS = """
import signal, sys, time
def stop(*_):
    open('rolled-back', 'w').close()
    sys.exit(75)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, signal.SIG_IGN)
open('ready', 'w').close()
while True: time.sleep(0.1)
"""


def test_a_stop_waits_for_the_rollback(tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    script = (
        "import sys; from mainline import cli; from mainline.verbs import score\n"
        "score.score.__defaults__ = (score.Tools((sys.executable, 'waits.py')),)\n"
        "sys.exit(cli.main(['score', '--working-tree', '--month', '2013-11', '--output', 'out']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment(Path.cwd()),
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "ready").exists():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 75 and "the same command goes on from there" in said
    assert (tmp_path / "rolled-back").exists()
