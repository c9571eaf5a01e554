"""The categories that the model in production knows: those of its graph, which its service counts by, too.

A sketch names the most frequent values of a column. Where it names all of them, it says what training had;
where it does not, only the model does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mainline.errors import IntegrityError
from mainline.profile import OTHER, ColumnProfile
from mainline.records import Manifest
from mainline.schema import FeatureTable
from pipeline import frames
from pipeline.exporting.manifest import file_sha256

MODEL, ROWS = "model.onnx", "test.parquet"  # in the folder of a reference, where they could be had


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`values` that the model knows of a feature, "" (its null) among them; `unknown`: the share of the rows
    that it was tested on which have another one.
    """

    values: frozenset[str]
    unknown: float = 0.0


def unnamed(table: FeatureTable, columns: Mapping[str, ColumnProfile]) -> list[str]:
    """Features of which the sketch does not name all values."""
    texts = [one.name for one in table.categorical if one.name in columns]
    return [name for name in texts if OTHER in columns[name].shares]


def read(folder: Path, names: Sequence[str]) -> dict[str, Vocabulary]:
    """The vocabularies of these features; none where the model or its test rows lie not in `folder`.

    Raises IntegrityError when the model is not that of the manifest, DataError for the rows.
    """
    if not names or not (folder / MODEL).exists() or not (folder / ROWS).exists():
        return {}
    manifest = Manifest.read(folder / Manifest.location.name)
    if file_sha256(folder / MODEL) != manifest.files.get(MODEL):
        raise IntegrityError(
            f"{folder / MODEL} is not the file that its manifest names",
            remedy="mainline monitor fetches it: run that",
        )
    rows, known = frames.read(folder / ROWS), of_graph(folder / MODEL)
    return {
        name: Vocabulary(known[name], _unknown(rows, name, known[name])) for name in names if name in known
    }


def of_graph(model: Path) -> dict[str, frozenset[str]]:
    """What each feature's encoder knows. A feature without an encoder is not in it."""
    import onnx  # a third of a second, and rarely needed

    return {
        node.input[0]: frozenset(key.decode() for one in node.attribute for key in one.strings)
        for node in onnx.load_model(model).graph.node
        if node.op_type == "LabelEncoder"
    }


def _unknown(rows: pl.DataFrame, name: str, known: frozenset[str]) -> float:
    other = ~rows[name].is_in(list(known)) & rows[name].is_not_null()
    return float(f"{other.sum() / max(1, rows.height):.6g}")
