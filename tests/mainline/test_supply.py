"""SBOM and provenance: hold against the official schemas, and say nothing of the machine."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from packaging.markers import default_environment

from mainline.errors import ConfigError, IntegrityError, RecordError
from mainline.records import Figure, Manifest, Metrics, Slice
from mainline.supply import packages, provenance, sbom
from tests.imports import ROOT

SHA, COMMIT = "5" * 64, "c" * 40
SERVICE = sbom.Service("flight-delay", "v1.3.0", COMMIT, "flight-delay-v1.3.0.bento", "b" * 64)
DATA = {"data/raw": f"{'a' * 32}.dir", "data/features/test.parquet": "d" * 32}
LOCK = """
version = 1
[[package]]
name = "ours"
version = "0.1.0"
source = { editable = "." }
dependencies = [{ name = "outside" }]
[package.dev-dependencies]
serving = [{ name = "web", extra = ["fast"] }, { name = "loop" },
    { name = "windows", marker = "sys_platform == 'win32'" }]
[[package]]
name = "web"
version = "1.0"
source = { registry = "https://mirror.example/simple" }
dependencies = [{ name = "numbers", version = "2.0", marker = "python_full_version >= '3.12'" },
    { name = "numbers", version = "1.0", marker = "python_full_version < '3.12'" }]
sdist = { url = "https://mirror.example/web-1.0.tar.gz", hash = "sha256:SHA" }
wheels = [{ url = "https://mirror.example/web-1.0-cp311-cp311-manylinux_2_x86_64.whl", hash = "sha256:SHA" },
    { url = "https://mirror.example/web-1.0-cp311-cp311-manylinux_2_aarch64.whl", hash = "sha256:SHA" },
    { url = "https://mirror.example/web-1.0-cp311-cp311-win_amd64.whl", hash = "sha256:SHA" }]
[package.optional-dependencies]
fast = [{ name = "loop" }]
slow = [{ name = "outside" }]
[[package]]
name = "numbers"
version = "1.0"
source = { registry = "https://mirror.example/simple" }
sdist = { url = "https://mirror.example/numbers-1.0.tar.gz", hash = "sha256:SHA" }
[[package]]
name = "numbers"
version = "2.0"
source = { registry = "https://mirror.example/simple" }
[[package]]
name = "loop"
version = "3.0+cpu"
source = { registry = "https://mirror.example/simple" }
dependencies = [{ name = "web" }]
wheels = [{ url = "https://mirror.example/loop-3.0-py3-none-any.whl", hash = "sha256:SHA" }]
[[package]]
name = "outside"
version = "9"
source = { registry = "https://mirror.example/simple" }
""".replace("SHA", SHA)


def manifest(**changed: Any) -> Manifest:
    values: dict[str, Any] = {
        "task": "binary", "inputs": [{"name": "distance", "onnx": "float"}], "outputs": ["probability"],
        "classes": [], "threshold": 0.3, "vocabularies": {}, "windows": {"test": ["2013-10", "2013-10"]},
        "device_class": "cpu", "files": {"model.onnx": "1" * 64, "MODEL_CARD.md": "2" * 64}, "code": {},
    }  # fmt: skip
    return Manifest(**(values | changed))


def metrics(**figures: Figure) -> Metrics:
    worst = Slice(column="carrier", value="</script>\n=cmd", rows=3, target=None, figures=figures)
    return Metrics(
        task="binary", rows=10, blocks=2, resamples=10, confidence=0.95, parameters=7, model_bytes=9,
        threshold=0.3, figures=figures, baselines={}, slices=[], worst_slice=worst, importance={},
    )  # fmt: skip


FIGURE = Figure(value=0.25, low=0.2, high=0.3)


def made(**figures: Figure) -> bytes:
    listed = packages.locked(LOCK, "serving")
    return sbom.sbom(SERVICE, manifest(), metrics(**(figures or {"log_loss": FIGURE})), DATA, listed)


def test_what_a_group_installs_here() -> None:
    found = {one.name: one for one in packages.locked(LOCK, "serving")}
    assert list(found) == ["loop", "numbers", "web"]
    assert found["numbers"].version == "1.0"
    assert found["web"].needs == ("loop", "numbers")
    assert [name for name, _ in found["web"].files] == ["web-1.0-cp311-cp311-manylinux_2_x86_64.whl"]
    assert found["numbers"].files == (("numbers-1.0.tar.gz", SHA),)
    assert found["loop"].purl == "pkg:pypi/loop@3.0%2Bcpu"


def test_another_python_has_other_packages() -> None:
    found = {one.name: one for one in packages.locked(LOCK, "serving", packages.linux("3.12", "aarch64"))}
    assert found["numbers"].version == "2.0"
    assert found["web"].files[0][0].endswith("aarch64.whl")
    assert default_environment().keys() <= packages.linux().keys()


def test_the_real_lock_can_be_read() -> None:
    """And agrees with what is installed here from it."""
    from importlib.metadata import version

    found = packages.locked((ROOT / "uv.lock").read_text(), "export", {**default_environment(), "extra": ""})
    assert {"onnx", "onnxruntime", "numpy", "protobuf"} <= {one.name for one in found}
    assert all(one.files and one.version == version(one.name) for one in found)


@pytest.mark.parametrize(
    "text",
    ["", "version = 1", "not toml [", "package = 3", "[[package]]\nname = 1",
     LOCK.replace('serving =', 'other ='), LOCK.replace('name = "numbers"\n', 'name = "gone"\n'),
     LOCK.replace("== 'win32'", "== win32 ((")],
)  # fmt: skip
def test_a_lock_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=r"uv\.lock"):
        packages.locked(text, "serving")


def test_the_sbom_holds_against_the_schema_and_names_no_mirror() -> None:
    content = made(log_loss=FIGURE, f1=Figure(value=None, low=None, high=None))
    sbom.check_sbom(content)
    assert b"mirror" not in content
    assert made() == made()
    found = json.loads(content)
    model, *others = found["components"]
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    figures = model["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]
    assert figures[0]["value"] == "0.25"
    assert {one["type"] for one in figures} == {"log_loss"}
    kinds = [one["type"] for one in others]
    assert kinds.count("data") == 2
    assert kinds.count("library") == 3
    assert found["metadata"]["component"]["hashes"][0]["content"] == "b" * 64


def test_every_reference_of_the_sbom_is_to_something_in_it() -> None:
    found = json.loads(made())
    inside = [one for part in found["components"] for one in (part, *part.get("components", []))]
    references = [one["bom-ref"] for one in (found["metadata"]["component"], *inside)]
    assert len(references) == len(set(references))
    for one in found["dependencies"]:
        assert {one["ref"], *one["dependsOn"]} <= set(references)
    for one in found["components"][0]["modelCard"]["modelParameters"]["datasets"]:
        assert one["ref"] in references


def test_the_order_of_what_is_given_does_not_matter() -> None:
    listed = packages.locked(LOCK, "serving")
    mixed = random.Random(1).sample(listed, len(listed))
    turned = dict(reversed(DATA.items()))
    again = sbom.sbom(SERVICE, manifest(), metrics(log_loss=FIGURE), turned, mixed)
    assert again == made()


finite = st.floats(allow_nan=False, allow_infinity=False) | st.none()
text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.dictionaries(text, st.builds(Figure, value=finite, low=finite, high=finite), max_size=3), text, text
)
def test_whatever_it_says_the_sbom_holds(figures: dict[str, Figure], column: str, path: str) -> None:
    shown = manifest(inputs=[{"name": column, "onnx": "string"}])
    content = sbom.sbom(SERVICE, shown, metrics(**figures), {path: "e" * 32}, [])
    sbom.check_sbom(content)
    json.loads(content.decode("ascii"))


def test_a_broken_sbom_is_refused() -> None:
    for wrong in (
        b"",
        b"{}",
        made().replace(b"SHA-256", b"SHA-257"),
        made().replace(b"data", b"dada"),
        b"\xff",
    ):
        with pytest.raises(RecordError):
            sbom.check_sbom(wrong)
    with pytest.raises(RecordError, match=r"model\.onnx"):
        sbom.sbom(SERVICE, manifest(files={}), metrics(), {}, [])


BUILD = provenance.Build(
    "https://user:ghp_secret@github.com/owner/name.git", COMMIT, "7" * 64, DATA, {"uv.lock": "8" * 64}
)
SUBJECTS = {"flight-delay-v1.3.0.bento": "b" * 64, "model.onnx": "1" * 64}


def test_the_statement_is_one_of_in_toto_and_slsa() -> None:
    """As the protocol's own classes read it; unknown fields are an error there."""
    from in_toto_attestation.predicates.provenance.v1 import provenance_pb2 as predicates
    from in_toto_attestation.v1 import statement_pb2 as v1

    on_ci = provenance.Builder(
        "https://github.com/o/r/.github/workflows/promote.yml@refs/heads/main", "https://x/1"
    )
    times = {"started": "2026-01-01T00:00:00Z", "finished": "2026-01-01T00:01:00Z"}
    for build in (BUILD, provenance.Build("", COMMIT, SHA, {}, {}, on_ci, **times)):
        content = json.loads(provenance.provenance(build, SUBJECTS))
        json_format.ParseDict(content, v1.Statement())
        json_format.ParseDict(content["predicate"], predicates.Provenance())


def test_a_statement_is_read_as_it_was_written() -> None:
    content = provenance.provenance(BUILD, SUBJECTS)
    assert content == provenance.provenance(BUILD, dict(reversed(SUBJECTS.items())))
    found = provenance.check_provenance(content, SUBJECTS, COMMIT)
    assert found.subjects == SUBJECTS
    assert found.builder == provenance.LOCAL
    assert found.repository == "https://github.com/owner/name.git"
    assert b"secret" not in content
    assert b'On":' not in content  # no clock


@pytest.mark.parametrize(
    ("given_url", "told"),
    [
        ("git@github.com:owner/name.git", "ssh://github.com/owner/name.git"),
        ("ssh://git@github.com/owner/name", "ssh://github.com/owner/name"),
        ("https://x@y@github.com/owner/name", "https://github.com/owner/name"),
        ("/home/somebody/name", ""), ("../name", ""), ("file:///srv/name", ""), ("C:/name", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_repository_is_told_without_secrets_and_machines(given_url: str, told: str) -> None:
    build = provenance.Build(given_url, COMMIT, SHA, {}, {})
    content = provenance.provenance(build, SUBJECTS)
    assert provenance.read_provenance(content).repository == told
    assert "home" not in content.decode()


def test_a_statement_about_something_else_is_refused() -> None:
    content = provenance.provenance(BUILD, SUBJECTS)
    for subjects in (
        {},
        {**SUBJECTS, "model.onnx": SHA},
        {**SUBJECTS, "extra": SHA},
        {"model.onnx": "1" * 64},
    ):
        with pytest.raises(IntegrityError, match="not about"):
            provenance.check_provenance(content, subjects, COMMIT)
    with pytest.raises(IntegrityError, match="commit"):
        provenance.check_provenance(content, SUBJECTS, "d" * 40)


@pytest.mark.parametrize("wrong", [
    b"", b"null", b"[]", b"\xff", b"[" * 100_000, b" " * 2_000_000,
    provenance.provenance(BUILD, SUBJECTS).replace(b"slsa.dev/provenance/v1", b"slsa.dev/provenance/v2"),
    provenance.provenance(BUILD, SUBJECTS).replace(b"b" * 64, b"B" * 64),
    provenance.provenance(BUILD, SUBJECTS).replace(b'"model.onnx"', b'"flight-delay-v1.3.0.bento"'),
    provenance.provenance(BUILD, SUBJECTS).replace(f'"{COMMIT}"'.encode(), b'["x"]'),
    provenance.provenance(BUILD, SUBJECTS).replace(provenance.BUILD_TYPE.encode(), b"urn:other"),
])  # fmt: skip
def test_no_statement_of_ours(wrong: bytes) -> None:
    with pytest.raises(RecordError):
        provenance.read_provenance(wrong)


def test_the_builder_is_the_workflow_at_its_ref() -> None:
    environ = {
        "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "12",
        "GITHUB_WORKFLOW_REF": "o/r/.github/workflows/promote.yml@refs/heads/main", "GITHUB_RUN_ATTEMPT": "2",
    }  # fmt: skip
    found = provenance.builder(environ)
    assert found.id == "https://github.com/o/r/.github/workflows/promote.yml@refs/heads/main"
    assert found.invocation == "https://github.com/o/r/actions/runs/12"
    assert provenance.builder({}) == provenance.Builder()
    assert provenance.builder({**environ, "GITHUB_RUN_ID": "12\n"}) == provenance.Builder()
