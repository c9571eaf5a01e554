"""The adapter that writes what goes beside the Bento: SBOM, provenance, and the signature over all three."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mainline import objects, signing
from mainline.errors import ConfigError, GitError
from mainline.git import ORIGIN, Git
from mainline.records import Manifest, Metrics
from mainline.supply import packages, provenance, sbom

GROUP = "serving"
CHOSEN, PASSWORD = "MAINLINE_SIGNING", "MAINLINE_SIGNING_PASSWORD"
KEY, PEM = "MAINLINE_SIGNING_KEY", "MAINLINE_SIGNING_PEM"  # the key: its file, or all of it, for a job of CI
DEPENDS = ("dvc.lock", "uv.lock")


@dataclass(frozen=True, slots=True)
class Built:
    """What was built of which commit. `data_md5`: by path."""

    model: str
    release: str
    commit: str
    bento: Path
    manifest: Manifest
    metrics: Metrics
    data_md5: dict[str, str]


def make(built: Built, folder: Path) -> dict[str, Path]:
    """Write them into the folder. Raises MainlineError."""
    digest = objects.digests(built.bento).sha256
    files = {"sbom": folder / "sbom.cdx.json", "provenance": folder / "provenance.json"}
    service = sbom.Service(built.model, built.release, built.commit, built.bento.name, digest)
    listed = packages.locked(Path("uv.lock").read_text(encoding="utf-8"), GROUP)
    files["sbom"].write_bytes(sbom.sbom(service, built.manifest, built.metrics, built.data_md5, listed))
    subjects = {built.bento.name: digest, "model.onnx": built.manifest.files["model.onnx"]}
    files["provenance"].write_bytes(provenance.provenance(_build(built), subjects))
    with _signer(os.environ) as by:
        if by is not None:
            files["signature"] = folder / "signature.json"
            signing.sign_files((built.bento, files["sbom"], files["provenance"]), files["signature"], by)
    return files


@contextmanager
def _signer(environ: Mapping[str, str]) -> Iterator[signing.Key | signing.Keyless | None]:
    """What signs; a key that the environment holds lies in a file of our own for that long."""
    with signing_environment(environ) as given:
        yield signing.signer({**environ, **given})


@contextmanager
def signing_environment(environ: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """What a process needs that signs; no other child of ours is given it (`packaged`)."""
    given = {name: environ[name] for name in (KEY, PASSWORD, CHOSEN) if environ.get(name)}
    pem = environ.get(PEM, "").strip()
    if not pem:
        yield given
        return
    if environ.get(KEY):
        raise ConfigError(f"both {KEY} and {PEM} are set", remedy="unset one")
    with tempfile.TemporaryDirectory(prefix="mainline-key-") as folder:
        path = Path(folder) / "key.pem"
        path.touch(mode=0o600)
        path.write_text(f"{pem}\n")
        yield {**given, KEY: str(path)}


def _build(built: Built) -> provenance.Build:
    try:
        repository = Git()("remote", "get-url", ORIGIN)
    except GitError:
        repository = ""
    return provenance.Build(
        repository=repository,
        commit=built.commit,
        params_sha256=objects.digests(Path("params.yaml")).sha256,
        data_md5=built.data_md5,
        files={name: objects.digests(Path(name)).sha256 for name in DEPENDS},
        builder=provenance.builder(os.environ),
    )
