"""Columns of many values: the sketch names all of them, or only the model knows which it knows."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainline import watchrules
from mainline.drift import ColumnDrift, Drift
from mainline.errors import IntegrityError
from mainline.profile import OTHER, ColumnProfile, Profile, TableProfile
from mainline.records import Manifest
from monitoring import vocabulary
from monitoring.reference import Reference
from pipeline.exporting import onnx_graph
from pipeline.profile import sketch as sketched
from pipeline.training.predictor import Numbers, Predictor
from serving import staging
from tests.monitoring import toys
from tests.monitoring.test_reference import written
from tests.pipeline.test_export_graph import spec
from tests.serving.toys import table
from tests.watchpolicy import POLICY

STATIONS = [f"station {number:03}" for number in range(140)]
NEW = "a station that opened"
DECLARED = table("regression")


def trained(*more: str) -> pl.DataFrame:
    """60 days, and in each all stations, with as many rows each."""
    before = toys.rows("regression", 60, 140, first=toys.date(2013, 8, 1), seed=2)
    return before.with_columns(pl.Series("c", [*STATIONS, *more] * 60).head(before.height))


def answered(*stations: str) -> pl.DataFrame:
    """30 days of 140 rows, of these stations in turn."""
    frame = toys.rows("regression", 30, 140)
    return frame.with_columns(pl.Series("c", np.resize(stations, frame.height)))


def forty() -> ColumnProfile:
    """The sketch of an earlier release, or of a column with more values than one names."""
    shares = sketched(trained()["c"], "string").shares
    named = dict(list(shares.items())[:40])
    return ColumnProfile(dtype="string", nulls=0, shares={**named, OTHER: 1 - sum(named.values())})


def measured(frame: pl.DataFrame, reference: Reference) -> tuple[Drift, ColumnDrift]:
    found = toys.measured(frame, reference=reference, task="regression")
    assert found.newest is not None
    return found, toys.column(found.newest, "c")


def told(found: Drift) -> list[str]:
    """Faults of the column."""
    return [one.name for one in watchrules.faults(found, POLICY) if one.column == "c"]


@pytest.fixture(scope="module")
def model() -> bytes:
    """Knows the 140 stations."""
    known = replace(
        spec("regression", ("c", "d"), ("x", "y")), vocabularies={"c": (*STATIONS,), "d": ("on", "off")}
    )
    predictor = Predictor(known, Numbers.fit(np.zeros((9, 2), np.float32))).eval()
    return onnx_graph.convert(predictor).SerializeToString(deterministic=True)


@pytest.fixture
def released(tmp_path: Path, model: bytes) -> Path:
    """As `mainline monitor` leaves it for a release whose sketch names 40 of its stations."""
    folder = written(tmp_path / "reference", DECLARED)
    Profile(tables={"train": TableProfile(months={}, columns={"c": forty()})}).write(folder / "profile.json")
    (folder / "model.onnx").write_bytes(model)
    manifest = Manifest.read(folder / "manifest.json")
    files = {"model.onnx": hashlib.sha256(model).hexdigest()}
    manifest.model_copy(update={"files": files}).write(folder / "manifest.json")
    trained().write_parquet(folder / "test.parquet")
    return folder


def test_a_sketch_of_now_names_all_of_them_and_sees_every_shift() -> None:
    reference = toys.reference("regression", train=trained())
    assert len(reference.columns["c"].names) == 140 and reference.columns["c"].whole
    found, c = measured(answered(*STATIONS), reference)
    assert c.distance is not None and c.distance < 0.01 and told(found) == []
    found, c = measured(answered(*STATIONS[:70], *[STATIONS[139]] * 70), reference)
    assert c.distance is not None and c.distance > 0.4
    assert (c.unknown, told(found)) == (0, []), "known values that shift are no fault"
    found, c = measured(answered(*STATIONS[:133], *[NEW] * 7), reference)
    assert (c.unknown, c.unknown_reference, told(found)) == (0.05, 0, ["unknown"])


def test_known_values_are_known_however_many_there_are(released: Path) -> None:
    """71 % of the rows had counted as values that training did not have."""
    found, c = measured(answered(*STATIONS), Reference.read(released, DECLARED))
    assert (c.unknown, c.unknown_reference) == (0, 0)
    assert c.distance is not None and c.distance < 0.01
    assert told(found) == []


def test_a_new_value_in_five_of_a_hundred_rows_is_a_fault(released: Path) -> None:
    found, c = measured(answered(*STATIONS[:133], *[NEW] * 7), Reference.read(released, DECLARED))
    assert (c.unknown, c.unknown_reference) == (0.05, 0)
    assert told(found) == ["unknown"]
    [fault] = watchrules.faults(found, POLICY)
    assert fault.text == "c: 5.0% values that the model does not know, 0% when it was made"


def test_known_values_that_shift_are_drift_and_no_fault(released: Path) -> None:
    """More rows of those that the sketch does not name: 6 points more were a fault once."""
    found, c = measured(answered(*STATIONS[30:]), Reference.read(released, DECLARED))
    assert (c.unknown, c.unknown_reference) == (0, 0)
    assert c.distance is not None and c.distance > 0.2
    assert told(found) == []


def test_rare_values_that_the_model_did_not_learn_are_no_news(released: Path) -> None:
    """As many as on the rows that it was tested on."""
    rows = trained().with_columns(
        c=pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.lit("rare")).otherwise("c")
    )
    rows.write_parquet(released / "test.parquet")
    found, c = measured(answered(*STATIONS[:126], *["another"] * 14), Reference.read(released, DECLARED))
    assert (c.unknown, c.unknown_reference) == (0.1, 0.1)
    assert told(found) == []


def test_null_is_no_new_value(released: Path) -> None:
    """The model and its service take an empty text for null."""
    frame = answered(*STATIONS[:136], "").with_columns(pl.col("c").replace({STATIONS[1]: None}))
    _, c = measured(frame, Reference.read(released, DECLARED))
    assert c.unknown == 0 and c.nulls > 0


def test_what_the_service_counts_by_is_what_the_watch_counts_by(released: Path) -> None:
    known = vocabulary.of_graph(released / "model.onnx")
    served = staging.vocabularies(released / "model.onnx", {"c", "d"})
    assert {name: values - {""} for name, values in known.items()} == {
        name: frozenset(values) for name, values in served.items()
    }


@pytest.mark.parametrize("lost", ["model.onnx", "test.parquet"])
def test_where_nobody_can_tell_nothing_is_new_and_that_is_said(
    lost: str, released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (released / lost).unlink()
    reference = Reference.read(released, DECLARED)
    assert "warning: new categories are not looked for in c" in capsys.readouterr().err
    found, c = measured(answered(*STATIONS[:133], *[NEW] * 7), reference)
    assert (c.unknown, c.unknown_reference, told(found)) == (0, 0, [])


def test_another_model_than_that_of_the_manifest_is_not_opened(released: Path) -> None:
    (released / "model.onnx").write_bytes(b"of somebody else")
    with pytest.raises(IntegrityError, match="not the file that its manifest names"):
        Reference.read(released, DECLARED)


def test_a_sketch_that_names_all_values_needs_no_model(
    released: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns = {"c": sketched(pl.Series(STATIONS[:16] * 30), "string")}
    Profile(tables={"train": TableProfile(months={}, columns=columns)}).write(released / "profile.json")
    (released / "model.onnx").write_bytes(b"of somebody else")
    reference = Reference.read(released, DECLARED)
    assert reference.known == {} and not capsys.readouterr().err
    _, c = measured(answered(*STATIONS[:14], STATIONS[99], STATIONS[99]), reference)
    assert (c.unknown, c.unknown_reference) == (pytest.approx(2 / 16, abs=0.01), 0)


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.sampled_from([*STATIONS, NEW, "another", "STATION 000", " station 000"]), min_size=1, max_size=200
    )
)
def test_unknown_is_the_share_that_training_did_not_have(stations: list[str]) -> None:
    """Whether the sketch names all values or the model is asked."""
    now = toys.reference("regression", train=trained())
    assert now.train is not None
    columns = {**now.train.columns, "c": forty()}
    before = replace(now, train=now.train.model_copy(update={"columns": columns}))
    frame = answered(*stations)
    newest = frame.filter(pl.col("time").dt.day() >= 29)
    expected = (~newest["c"].is_in(STATIONS)).mean()
    for reference in (now, before):
        assert measured(frame, reference)[1].unknown == pytest.approx(expected, abs=1e-6)
