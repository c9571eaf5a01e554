"""Records are read back as written, in the same bytes, and nothing undefined gets in."""

from __future__ import annotations

import builtins
import json
import resource
import subprocess
import sys
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mainline import profile, review, state, untrusted, watching
from mainline.deploy import state as deployed
from mainline.errors import RecordError
from mainline.records import (
    Batch,
    Check,
    Epoch,
    Figure,
    Metrics,
    Record,
    Training,
    Validation,
    write_atomically,
)  # fmt: skip

# Their records are subclasses only once they are imported.
for module in (deployed, profile, review, state, untrusted, watching):
    assert module
RECORDS = tuple(Record.__subclasses__())


def _strategy(kind: Any) -> st.SearchStrategy[Any]:
    """Values that a record may hold: finite floats, text without lone surrogates, plain JSON for Any."""
    text = st.text(st.characters(codec="utf-8"), max_size=8)
    plain = {str: text, int: st.integers(-(2**53), 2**53), Any: text}
    plain[float] = st.floats(allow_nan=False, allow_infinity=False)
    if kind in plain:
        return plain[kind]
    if get_origin(kind) is Annotated:
        return _field(FieldInfo.from_annotation(kind))
    inner = [_strategy(argument) for argument in get_args(kind) if get_origin(kind) is not Literal]
    match get_origin(kind):
        case builtins.list:
            return st.lists(inner[0], max_size=2)
        case builtins.dict:
            return st.dictionaries(*inner, max_size=2)
        case types.UnionType | typing.Union:  # the latter where a part is Annotated
            return st.one_of(inner)
        case None if isinstance(kind, type) and issubclass(kind, BaseModel):
            return st.builds(kind, **{name: _field(field) for name, field in kind.model_fields.items()})
        case _:
            return st.from_type(kind)


def _field(field: FieldInfo) -> st.SearchStrategy[Any]:
    patterns = [pattern for one in field.metadata if (pattern := getattr(one, "pattern", None))]
    if not patterns:
        lowest = next((one.ge for one in field.metadata if hasattr(one, "ge")), None)
        return _strategy(field.annotation) if lowest is None else st.integers(lowest, 2**53)
    longest = min((one.max_length for one in field.metadata if hasattr(one, "max_length")), default=200)
    return st.from_regex(patterns[0], fullmatch=True).filter(lambda text: len(text) <= longest)


@pytest.mark.parametrize("kind", RECORDS)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_a_record_is_read_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, kind: type[Record], data: st.DataObject
) -> None:
    record = data.draw(_strategy(kind))
    path = tmp_path_factory.mktemp("record") / "record.json"
    record.write(path)
    assert kind.read(path) == record
    first = path.read_bytes()
    kind.read(path).write(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_figures_are_finite_or_null(value: float) -> None:
    with pytest.raises(ValidationError):
        Figure(value=value, low=None, high=None)


@pytest.mark.parametrize("kind", RECORDS)
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"version": 99}', b"\xff", b"{"])
def test_what_is_not_a_record_is_refused_with_its_path(
    tmp_path: Path, kind: type[Record], content: bytes
) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=r"broken\.json"):
        kind.read(path)


def test_a_missing_record_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="make run"):
        Metrics.read(tmp_path / "metrics.json")


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    record = Training(
        device_class="cpu", precision="float32", parameters=1, best_epoch=1, calibration={},
        history=[Epoch(epoch=1, train_loss=1.0, validation_loss=1.0, lr=0.1)],
    )  # fmt: skip
    record.write(path)
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "seconds": 3}))
    with pytest.raises(RecordError, match="seconds"):
        Training.read(path)


def test_hostile_values_stay_data(tmp_path: Path) -> None:
    name = 'a"\n]{}\\u0000 =cmd @team ../x'
    check = Check(
        expectation=name, expected=name, column=name, severity="critical",
        success=False, observed=name, unexpected=1, sample=[{name: name}],
    )  # fmt: skip
    batch = Batch(
        table=name, month=None, rows=1, status="failed", checks=1, failures=[check], quarantine=None
    )
    path = tmp_path / "validation.json"
    Validation(status="failed", batches=[batch]).write(path)
    assert Validation.read(path).batches[0].failures[0].sample == [{name: name}]


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """A limit on the file size stands for the full disk: the write fails half way."""
    path = tmp_path / "record.json"
    write_atomically(path, b"old")
    code = (
        "import sys, signal; from pathlib import Path; from mainline.records import write_atomically\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "write_atomically(Path(sys.argv[1]), b'x' * 100_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
    )  # fmt: skip
    assert done.returncode != 0
    assert "File too large" in done.stderr
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]
