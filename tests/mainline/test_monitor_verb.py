"""`mainline monitor`: the reference from real Git and DVC; a stand-in measures, the decision is real."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainline import cli, packaged, policy, watched
from mainline.drift import Drift, Reference
from mainline.errors import (
    Answer,
    ConfigError,
    DataError,
    IntegrityError,
    Interrupted,
    RecordError,
    StorageError,
)
from mainline.exported import file_md5
from mainline.git import Git
from mainline.profile import OTHER, ColumnProfile, Profile, TableProfile
from mainline.records import Manifest, Vocabulary
from mainline.verbs.monitor import BACKTEST, PAGE, Tools, monitor
from mainline.verbs.promote import promote
from mainline.verbs.release import release
from mainline.watching import Watch
from tests import clones
from tests.clones import git
from tests.imports import ROOT
from tests.mainline import releasing
from tests.mainline.releasing import QUIET, World, asked, options, tools
from tests.monitoring import siting

pytestmark = pytest.mark.slow

# Writes what it is told to as reports/drift.json, after noting how it was called.
STAND_IN = """\
import json, sys
from pathlib import Path
Path("called.json").write_text(json.dumps(sys.argv[1:]))
text = Path("measured.json")
if not text.exists():
    sys.exit(13)
out = Path(sys.argv[sys.argv.index("--out") + 1])
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text(text.read_text())
if "--sample" in sys.argv:
    Path(sys.argv[sys.argv.index("--sample") + 1]).write_bytes(b"")
"""
DRAWN = """\
import json, sys
from pathlib import Path
assert Path("reports/watch.json").exists() and Path("reports/drift.json").exists(), "the answer is first"
Path("drawn.json").write_text(json.dumps(sys.argv[1:]))
Path(sys.argv[sys.argv.index("--html") + 1]).write_text("<html>")
"""
# What Evidently could do.
HANGS = """\
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while True:
    signal.pause()
"""
CRASHES = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
EATS = """\
from monitoring import evidently_report as report
report.MEMORY = 2**31
report.bounded()
held = []
while True:
    held.append(bytearray(2**28))
"""
FAILS = "raise RuntimeError('\\x1b[2Jof a library')"
BACKTESTED = """\
import json, sys
from pathlib import Path
Path("backtested.json").write_text(json.dumps(sys.argv[1:]))
figure = {"value": -0.05, "low": -0.06, "high": -0.04}
Path(sys.argv[sys.argv.index("--out") + 1]).write_text(json.dumps({"log_loss": figure, "roc_auc": figure}))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """v1.0.0 is in production, with the records that the watch reads."""
    patch = pytest.MonkeyPatch()
    world = releasing.build(tmp_path_factory.mktemp("monitor"))
    patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    patch.chdir(world.root)
    git(world.root, "checkout", "--quiet", "--force", "-B", "watched", "one")
    (world.root / "reports/profile.json").write_text('{"version": 1, "tables": {}}\n')
    params = (ROOT / "params.yaml").read_text()
    with (world.root / "params.yaml").open("a") as file:
        file.write(params[params.index("monitor:") :])
    (world.root / "stand_in.py").write_text(STAND_IN)
    (world.root / "backtested.py").write_text(BACKTESTED)
    (world.root / "drawn.py").write_text(DRAWN)
    clones.commit(world.root, "watched")
    world.merge("watched")
    assert promote(options(), tools()) == 0
    assert release(asked("v1.0.0"), QUIET) == 0
    patch.undo()
    return world


@pytest.fixture
def world(template: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    for name in ("MAINLINE_PREDICTIONS", "MAINLINE_LABELS", "MAINLINE_DEPLOY_DIR"):
        monkeypatch.delenv(name, raising=False)
    found = releasing.copy(template, tmp_path)
    monkeypatch.chdir(found.root)
    return found


TOOLS = Tools(
    check=(sys.executable, "stand_in.py"),
    backtest=(sys.executable, "backtested.py"),
    draw=(sys.executable, "drawn.py"),
    before=lambda _: None,
)


def asking(*arguments: str) -> argparse.Namespace:
    return cli.parser().parse_args(["monitor", *arguments])


def measured(drift: Drift) -> None:
    Path("measured.json").write_text(drift.model_dump_json())


def test_the_reference_is_the_model_in_production(world: World) -> None:
    found = watched.prepare(Git())
    assert found.warnings == ()
    reference = Reference.model_validate_json((watched.FOLDER / watched.RECORD).read_text())
    assert reference.promoted is not None
    assert (reference.version, reference.commit) == ("v1.0.0", git(world.root, "rev-parse", "main"))
    assert reference.windows["test"] == ["2013-03", "2013-03"]
    assert reference.figures["log_loss"].value == 0.5
    names = {path.name for path in watched.FOLDER.iterdir()}
    assert names == {
        "reference.json", "profile.json", "metrics.json", "manifest.json", "predictions.parquet",
        "test.parquet",
    }  # fmt: skip
    model = watched.fetch_model(Git(), found)
    assert model.read_text().startswith("model 1")


def test_rows_that_the_remote_lacks_cost_a_warning_and_no_answer(world: World) -> None:
    for path in (world.root.parent / "store").rglob("*"):
        if path.is_file():
            path.unlink()
    for path in (world.root / ".dvc/cache").rglob("*"):
        if path.is_file():
            path.unlink()
    found = watched.prepare(Git())
    assert len(found.warnings) == 2
    assert "no drift of scores" in found.warnings[0]


def spoil(world: World, md5: str, content: bytes = b"another") -> None:
    """As the object of that name, on the remote and in the cache."""
    for place in (world.store(md5), world.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)  # it may be a link into another world
        place.write_bytes(content)


def test_damaged_predictions_cost_a_warning_and_are_not_left_to_be_read(world: World) -> None:
    watched.prepare(Git())
    spoil(world, packaged.outputs(Git(), git(world.root, "rev-parse", "main"))[packaged.PREDICTIONS])
    found = watched.prepare(Git())
    assert len(found.warnings) == 1 and "no drift of scores" in found.warnings[0]
    assert not (watched.FOLDER / "predictions.parquet").exists()
    assert (watched.FOLDER / "test.parquet").exists()


@pytest.mark.parametrize("tampered", ["object", "record"])
def test_a_tampered_model_is_refused_and_not_left_to_be_loaded(
    tampered: str, world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another content under the object's name, or a record that names a whole object of another content."""
    content = b"model of somebody else"
    found = watched.prepare(Git())
    md5 = found.release.model_md5 if tampered == "object" else file_md5(content)
    spoil(world, md5, content)
    other = replace(found, release=found.release.model_copy(update={"model_md5": md5}))
    with pytest.raises((IntegrityError, StorageError)):
        watched.fetch_model(Git(), other)
    model = watched.FOLDER / "model.onnx"
    assert not model.exists()

    monkeypatch.setattr("mainline.backtests.wanted", lambda _: True)
    monkeypatch.setattr("mainline.watched.prepare", lambda *_: other)
    measured(siting.drift())
    monitor(asking("--log", "here"), TOOLS)
    assert "warning: no backtest" in capfd.readouterr().err
    assert not Path("backtested.json").exists() and not model.exists()


def test_the_model_is_fetched_where_the_sketch_names_too_few_values(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    found, model = watched.prepare(Git()), watched.FOLDER / "model.onnx"
    manifest = Manifest.read(watched.FOLDER / "manifest.json")
    known = manifest.model_copy(update={"vocabularies": {"c": Vocabulary(size=1, sha256="0" * 64)}})
    known.write(watched.FOLDER / "manifest.json")
    monkeypatch.setattr("mainline.watched.prepare", lambda *_: found)
    measured(siting.drift())
    for name, shares, fetched in (
        ("c", {"a": 1.0}, False),
        ("x", {OTHER: 1.0}, False),
        ("c", {OTHER: 1.0}, True),
    ):
        columns = {name: ColumnProfile(dtype="string", nulls=0, shares=shares)}
        Profile(tables={"train": TableProfile(months={}, columns=columns)}).write(
            watched.FOLDER / "profile.json"
        )
        monitor(asking("--log", "here", "--no-backtest"), TOOLS)
        assert model.exists() == fetched and "new categories" not in capfd.readouterr().err
    model.unlink()
    spoil(world, found.release.model_md5)
    monitor(asking("--log", "here", "--no-backtest"), TOOLS)
    assert not model.exists()
    assert "new categories are not looked for" in capfd.readouterr().err, "and the answer is given"


def test_values_have_no_column_of_what_they_expect(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    measured(siting.drift())
    monitor(asking("--log", "here", "--no-backtest"), TOOLS)
    assert "of it unexpected" in capfd.readouterr().out
    window = siting.window(7, figures={"rmse": siting.figure(19.0)}, excess=None)
    measured(siting.drift().model_copy(update={"task": "regression", "recent": [window]}))
    monitor(asking("--log", "here", "--no-backtest"), TOOLS)
    shown = capfd.readouterr().out
    assert "rmse" in shown and "of it unexpected" not in shown and "themselves" not in shown


def test_before_the_first_release_there_is_nothing_to_watch(world: World) -> None:
    for name in world.tags():
        if "#production" in name:
            git(world.origin, "tag", "-d", name)
    with pytest.raises(RecordError, match="no version of flight-delay is in production"):
        watched.prepare(Git())


def test_no_log_is_said_before_anything_runs(world: World) -> None:
    with pytest.raises(ConfigError, match="nothing says where the service logs"):
        monitor(asking(), TOOLS)
    assert not Path("called.json").exists()


def test_places_come_from_flags_then_the_environment_then_the_local_deployment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(siting.drift())
    local = Path(".mainline/deploy/production/predictions").resolve()
    local.mkdir(parents=True)
    for arguments, expected in (((), str(local)), (("--log", "here"), "here")):
        monitor(asking("--no-backtest", *arguments), TOOLS)
        called = json.loads(Path("called.json").read_text())
        assert called[called.index("--log") + 1] == expected
        assert called[called.index("--labels") + 1] == "source"
    monkeypatch.setenv("MAINLINE_PREDICTIONS", "s3://there")
    monkeypatch.setenv("MAINLINE_LABELS", "labels")
    monitor(asking("--no-backtest", "--until", "2013-09-30"), TOOLS)
    called = json.loads(Path("called.json").read_text())
    assert called[called.index("--log") + 1] == "s3://there"
    assert called[called.index("--labels") + 1] == "labels"
    assert "--features" not in called, "the check's own default"
    assert called[called.index("--until") + 1] == "2013-09-30"
    monitor(asking("--no-backtest", "--features", "none"), TOOLS)
    called = json.loads(Path("called.json").read_text())
    assert called[called.index("--features") + 1] == "none"


def test_the_answer_is_recorded_shown_and_an_exit_code(
    world: World, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    measured(siting.drift())
    metrics = tmp_path / "watch.prom"
    code = monitor(asking("--log", "here", "--no-backtest", "--prometheus", str(metrics)), TOOLS)
    watch = Watch.read(Watch.location)
    assert code == {"quiet": 0, "watch": 35, "retrain": 36, "insufficient": 37}[watch.verdict]
    assert watch.verdict in capfd.readouterr().out
    assert f'verdict="{watch.verdict}"}} 1' in metrics.read_text()
    assert Drift.read(Drift.location) == siting.drift()
    assert policy.monitor().window_days > 0
    monitor(asking("--log", "here", "--no-backtest", "--json"), TOOLS)
    assert json.loads(capfd.readouterr().out)["evidence"] == watch.evidence


def test_what_is_insufficient_is_said_once(world: World, capfd: pytest.CaptureFixture[str]) -> None:
    drift = siting.drift()
    few = drift.recent[-1].model_copy(update={"rows": 9, "blocks": 1})
    measured(drift.model_copy(update={"recent": [*drift.recent[:-1], few]}))
    assert monitor(asking("--log", "here", "--no-backtest"), TOOLS) == Answer.WATCH
    shown = capfd.readouterr().out
    assert "  insufficient 9 predictions on 1 days" in shown and "insufficient data" not in shown


def test_a_schedule_looks_at_yesterday_whatever_the_log_has(world: World) -> None:
    measured(siting.drift())
    monitor(asking("--no-backtest", "--log", "here", "--until", "yesterday"), TOOLS)
    called = json.loads(Path("called.json").read_text())
    expected = datetime.now(UTC).date() - timedelta(days=1)
    assert called[called.index("--until") + 1] == expected.isoformat()
    monitor(asking("--no-backtest", "--log", "here", "--until", "log"), TOOLS)
    assert "--until" not in json.loads(Path("called.json").read_text())
    with pytest.raises(ConfigError, match="no day"):
        monitor(asking("--log", "here", "--until", "2013-02-30"), TOOLS)


def test_evidentlys_page_is_drawn_when_the_answer_is_there(world: World) -> None:
    measured(siting.drift())
    Path("reports/watch.json").unlink(missing_ok=True)
    monitor(asking("--log", "here", "--no-backtest"), TOOLS)
    called = json.loads(Path("drawn.json").read_text())
    names = {called[n]: Path(called[n + 1]).name for n in range(0, len(called), 2)}
    assert names == {
        "--reference": "reference", "--reference-rows": "test.parquet", "--sample": "sample.parquet",
        "--html": "drift.html",
    }  # fmt: skip
    assert PAGE.read_text() == "<html>"
    Path("drawn.json").unlink()
    monitor(asking("--log", "here", "--no-backtest", "--no-html"), TOOLS)
    assert not Path("drawn.json").exists() and not PAGE.exists(), "of an earlier answer"


@pytest.mark.parametrize(
    ("program", "said"),
    [
        (HANGS, "not drawn within 2 s"),
        (CRASHES, "ended with -11"),
        (EATS, "ended with 1"),
        (FAILS, "ended with 1"),
        ("", ""),
    ],
)
def test_whatever_evidently_does_the_answer_is_the_same(
    program: str, said: str, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    measured(siting.drift())
    asked = ("--log", "here", "--no-backtest", "--prometheus", "watch.prom")
    expected = monitor(asking(*asked, "--no-html"), TOOLS)
    records = [Drift.location.read_bytes(), Watch.location.read_bytes()]
    for path in (Drift.location, Watch.location):
        path.unlink()
    capfd.readouterr()
    broken = replace(TOOLS, draw=(sys.executable, "-c", program), patience=2 if program == HANGS else 60)
    started = time.monotonic()
    assert monitor(asking(*asked), broken) == expected
    assert program != HANGS or time.monotonic() - started < 15
    assert [Drift.location.read_bytes(), Watch.location.read_bytes()] == records
    warned = [one for one in capfd.readouterr().err.splitlines() if one.startswith("warning: no reports/")]
    assert len(warned) == bool(said) and said in "".join(warned)
    assert not PAGE.exists()


def test_without_the_program_that_draws_there_is_no_page(
    world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    measured(siting.drift())
    monitor(asking("--log", "here", "--no-backtest"), replace(TOOLS, draw=("./none",)))
    assert "warning: no reports/drift.html: " in capfd.readouterr().err and Watch.location.exists()


def test_a_stop_while_it_is_drawn_keeps_the_answer(world: World) -> None:
    """Ctrl-C, with the process that draws already there."""
    interrupt = "import os, signal; os.kill(os.getppid(), signal.SIGINT)\n"
    measured(siting.drift())
    with pytest.raises(Interrupted, match="the answer stands"):
        monitor(
            asking("--log", "here", "--no-backtest"),
            replace(TOOLS, draw=(sys.executable, "-c", interrupt + HANGS)),
        )
    assert Watch.location.exists() and Drift.location.exists()


def test_a_check_that_fails_leaves_the_last_answer(world: World) -> None:
    measured(siting.drift())
    monitor(asking("--log", "here", "--no-backtest"), TOOLS)
    before = Watch.location.read_bytes()
    Path("measured.json").unlink()
    with pytest.raises(DataError, match="the check of the predictions failed"):
        monitor(asking("--log", "here"), TOOLS)
    with pytest.raises(ConfigError, match="no day"):
        monitor(asking("--log", "here", "--until", "2013-13-40"), TOOLS)
    assert Watch.location.read_bytes() == before
    assert Drift.location.exists()


def test_a_stop_decides_nothing(world: World) -> None:
    def stop(step: str) -> None:
        if step == "check":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        monitor(asking("--log", "here"), replace(TOOLS, before=stop))
    assert not Watch.location.exists()


def test_a_certain_loss_is_backtested_against_the_model_in_production(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mainline.backtests.wanted", lambda _: True)
    measured(siting.drift())
    monitor(asking("--log", "here"), TOOLS)
    called = json.loads(Path("backtested.json").read_text())
    assert Path(called[called.index("--champion") + 1]).name == "model.onnx"
    assert called[called.index("--out") + 1] == str(BACKTEST)
    found = Drift.read(Drift.location).backtest
    assert found is not None and found["log_loss"].value == -0.05


def test_a_backtest_that_cannot_run_costs_a_warning(
    world: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("mainline.backtests.wanted", lambda _: True)
    measured(siting.drift())
    broken = replace(TOOLS, backtest=(sys.executable, "-c", "exit(14)"))
    assert monitor(asking("--log", "here"), broken) in (0, Answer.WATCH, Answer.RETRAIN, Answer.INSUFFICIENT)
    assert Drift.read(Drift.location) == siting.drift(), "as it was"
    assert "warning: no backtest" in capfd.readouterr().err
