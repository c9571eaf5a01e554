"""The release record in a tag's message: what is written is read, and nothing else."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mainline.errors import RecordError
from mainline.releases import LONGEST, MARK, Artifact, Release, Verdict, parse, write

BENTO = Artifact(name="m-v1.0.0.bento", md5="a" * 32, sha256="b" * 64, bytes=10)
RECORD = Release(
    model="m",
    release="v1.0.0",
    commit="c" * 40,
    lock_sha256="d" * 64,
    data_md5={"data/raw": f"{'e' * 32}.dir"},
    model_md5="f" * 32,
    model_sha256="0" * 64,
    artifacts={"bento": BENTO},
    image=None,
    figures={"log_loss": 0.5},
    gate=Verdict(verdict="promote", reason="better", champion="main", accepted=False),
    mlflow_run=None,
)
SIGNED = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"


@given(
    st.text(max_size=200),
    st.text(max_size=200),
    st.dictionaries(
        st.text(max_size=20), st.floats(allow_nan=False, allow_infinity=False) | st.none(), max_size=5
    ),
)
def test_written_and_read_whatever_the_words_are(words: str, reason: str, figures) -> None:
    gate = Verdict(verdict="hold", reason=reason, champion=reason, accepted=True)
    record = RECORD.model_copy(update={"gate": gate, "figures": figures})
    message = write(record, words)
    assert parse(message) == record
    assert parse(message + SIGNED) == record


def test_words_that_look_like_a_record_do_not_count() -> None:
    other = RECORD.model_copy(update={"release": "v6.6.6"})
    assert parse(write(RECORD, write(other, "hostile"))) == RECORD
    gate = RECORD.gate.model_copy(update={"reason": f"x\n{MARK}release: v6.6.6\n-----BEGIN \n"})
    record = RECORD.model_copy(update={"gate": gate})
    assert parse(write(record, "w")) == record


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(20)
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "x",
        BOMB,
        "a: *a",
        "!!python/object/apply:os.system [id]",
        "[" * 50_000,
        "{" * 3_000,
        "\x00",
        "a: \udcff",
        "%YAML 9.9",
        "- -" * 10_000,
        "a: b: c",
        "1: 2",
        "version: 2",
        "? [a]\n: b",
    ],
)
def test_hostile_yaml_is_refused_at_once(text: str) -> None:
    started = time.perf_counter()
    with pytest.raises(RecordError):
        parse(f"words\n{MARK}{text}")
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    "change",
    [
        {"model": "M"},
        {"model": "../x"},
        {"release": "v1"},
        {"release": "v1.0.0\n"},
        {"commit": "HEAD"},
        {"commit": "--all"},
        {"lock_sha256": 1},
        {"model_md5": "../../etc"},
        {"data_md5": []},
        {"extra": 1},
        {"artifacts": {"bento": BENTO.model_dump() | {"name": "../x"}}},
        {"version": 2},
        {"figures": {"a": ".nan"}},
        {"artifacts": {"bento": BENTO.model_dump() | {"bytes": -1}}},
        {"image": "x:latest"},
        {"mlflow_run": "a b"},
        {"artifacts": {"../x": BENTO.model_dump()}},
        {"gate": {"verdict": "block"}},
        {"figures": {"a": float("nan")}},
    ],
)
def test_a_field_of_another_form_is_refused(change: dict) -> None:
    text = yaml.safe_dump({**RECORD.model_dump(mode="json"), **change})
    with pytest.raises(RecordError) as refused:
        parse(f"words\n\n{MARK}{text}")
    assert len(str(refused.value)) < 600 and str(refused.value).isascii()


def test_none_and_too_long() -> None:
    with pytest.raises(RecordError, match="holds no release record"):
        parse("v1.0.0")
    with pytest.raises(RecordError, match="longer than"):
        parse(write(RECORD, "x" * LONGEST))


@given(st.text(max_size=300))
def test_any_text_is_a_record_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(RecordError):
        parse(f"\n{MARK}{text}")
