"""The adapter that says what a commit would package, builds the Bento of HEAD, and has it checked."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from mainline import champion, objects, versions
from mainline.errors import (
    ConfigError,
    IntegrityError,
    RecordError,
    StorageError,
    of_exit_code,
)
from mainline.exported import LOCK, MANIFEST, MODEL, TEST, Exported, file_md5
from mainline.git import Git
from mainline.supply import packages
from mainline.versions import Contents

SIGNING = re.compile(r"MAINLINE_SIGNING(_|$)|MAINLINE_TAG_KEY")
NOTHING: Mapping[str, str] = MappingProxyType({})
CARD, PREDICTIONS = "models/MODEL_CARD.md", "reports/predictions.parquet"
PACKAGED = (MODEL, MANIFEST, CARD)
DATA, FEATURES = "data/", str(Path(TEST).parent)
SERVICE = (
    "serving"  # its sources are in the artifact, and so is what Kubernetes is told; see APART for the rest
)
LIBRARIES = "uv.lock"
SHARED = (  # what else of ours the service runs; a test holds this against serving.staging
    "src/mainline/archives.py", "src/mainline/errors.py", "src/mainline/records.py", "src/mainline/schema.py",
    "src/mainline/signing.py", "src/pipeline/exporting/manifest.py", "src/usecase/schema.py",
)  # fmt: skip
APART = re.compile(r"^serving/(batch|deploy/(?!kubernetes/))|\.md$")
IMAGE_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REQUEST_MS = 4.0  # HTTP, schema and log around the model, by the median; an idle machine takes about 1
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def contents(git: Git, commit: str) -> Contents:
    """What the commit would package. Raises StorageError, IntegrityError, RecordError, ConfigError."""
    found = champion.at(git, commit)
    if found is None or found.manifest is None:
        why = found.problem if found else f"its {LOCK} has no {MODEL}"
        raise RecordError(f"commit {commit[:9]} has no model that this code can package", why=why)
    outs = outputs(git, commit)
    return Contents(
        package={path: outs[path] for path in PACKAGED if path in outs} | _service(git, commit),
        schema=versions.schema_of(found.manifest),
        data={path: md5 for path, md5 in data(outs).items() if path != FEATURES},
        parameters=versions.parameters_of(champion.parameters(git, commit)),
    )


def outputs(git: Git, commit: str) -> dict[str, str]:
    """md5 by path of all that the commit's lock names, what the stages made before what they read."""
    stages = (yaml.safe_load(champion.blob(git, commit, LOCK) or b"") or {}).get("stages", {})
    listed = [item for kind in ("deps", "outs") for stage in stages.values() for item in stage.get(kind, [])]
    return {item["path"]: item["md5"] for item in listed if "md5" in item}


def data(outs: Mapping[str, str]) -> dict[str, str]:
    """Of the lock's paths, the data: `data/raw`, `data/features`, and not what lies inside of these."""
    paths = sorted(path for path in outs if path.startswith(DATA))
    return {p: outs[p] for p in paths if not any(p.startswith(f"{other}/") for other in paths)}


def pull(root: Path, candidate: Exported, outs: Mapping[str, str]) -> None:
    """What is packaged and what the service is checked with, into the work tree, each the lock's.

    `outs`: md5 by path. Raises StorageError, IntegrityError.
    """
    champion.fetch_candidate(root, candidate)
    named = candidate.manifest.files if candidate.manifest else {}
    wanted = [*(f"{Path(MODEL).parent}/{name}" for name in named), PREDICTIONS]
    locked = {path: outs[path] for path in wanted if path in outs}
    if absent := {path: md5 for path, md5 in locked.items() if not (root / path).exists()}:
        objects.fetch(root, absent)
    for path, md5 in locked.items():
        if file_md5((root / path).read_bytes()) != md5:
            raise IntegrityError(
                f"{path} is not the file that {LOCK} names",
                remedy=f"`dvc pull --force {path}` brings it back",
            )


def build(command: Sequence[str], version: str, out: Path, environ: Mapping[str, str] | None = None) -> Path:
    """The Bento, one file in `out`, which is what the command said it is. Raises MainlineError.

    `environ`: what signs the model inside, see `attachments.signing_environment`.
    """
    out.mkdir(parents=True, exist_ok=True)
    said = _run([*command, "--version", version, "--out", str(out)], "the build of the Bento", environ or {})
    path = Path(str(said.get("path")))
    if not path.resolve().is_relative_to(out.resolve()) or not NAME.fullmatch(path.name) or path.is_symlink():
        raise IntegrityError(f"the build names {path}, which is no file in {out}")
    if not path.is_file():
        raise IntegrityError(f"the build names {path}, which is not there")
    found = objects.digests(path)
    if (said.get("sha256"), said.get("bytes")) != (found.sha256, found.bytes):
        raise IntegrityError(f"{path} is not the file that the build says it made", why="its sha256 differs")
    return path


def check(command: Sequence[str], bento: Path, model_ms: float) -> dict[str, Any]:
    """Have the Bento started and tested as a running service; what was found. Raises MainlineError.

    `model_ms`: what the gate allows the model for one row; a request of one row may take REQUEST_MS longer.
    """
    limit = f"{model_ms + REQUEST_MS:g}"
    asked = [*command, "--bento", str(bento), "--latency-ms", limit]
    return _run(asked, "the check of the running service")


def image(command: Sequence[str], bento: Path, path: str, version: str) -> str:
    """Have a container image of the Bento made and pushed to `path`; its name with the registry's digest.

    Its tag is of this Bento alone: a second try, or the loser of a race, would take the tag from an image
    that a record names, which registries then delete, or refuse. Raises MainlineError.
    """
    name = f"{path}:{version}-{objects.digests(bento).sha256[:12]}"
    said = _run([*command, "--bento", str(bento), "--name", name], "the image of the service")
    found, _, digest = str(said.get("image")).partition("@")
    if found != path or not IMAGE_DIGEST.fullmatch(digest):
        raise IntegrityError(f"the image is said to be {said.get('image')!r}, which is none of {name}")
    return f"{path}@{digest}"


def _service(git: Git, commit: str) -> dict[str, str]:
    """The service's sources by blob; its libraries, which the lock resolves, by version."""
    lines = git("ls-tree", "-r", "-z", commit, "--", SERVICE, *SHARED).split("\0")
    entries = [line.split("\t", 1) for line in lines if line]
    sources = {path: meta.split()[2] for meta, path in entries if not APART.search(path)}
    lock = champion.blob(git, commit, LIBRARIES)
    if not lock:
        return sources
    try:
        text = lock.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{LIBRARIES} of {commit[:9]} is no text", remedy="uv lock") from None
    return sources | {f"library {one.name}": one.version for one in packages.locked(text, SERVICE)}


def _run(command: Sequence[str], what: str, environ: Mapping[str, str] = NOTHING) -> dict[str, Any]:
    """JSON on the last line of its standard output; the rest of what it says goes to ours for errors.

    The keys of our signatures are no business of a build, a check or an image: only `environ` is handed on.
    """
    env = {name: text for name, text in os.environ.items() if not SIGNING.match(name)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**env, **environ})
    lines = done.stdout.splitlines()
    if done.returncode:
        print(done.stdout, file=sys.stderr, end="")
        raise of_exit_code(done.returncode)(
            f"{what} failed (exit code {done.returncode})", why="its message is above"
        )
    try:
        return dict(json.loads(lines[-1]))
    except (ValueError, TypeError, IndexError):
        raise StorageError(f"{what} ended without saying what it did", why=done.stdout[-300:]) from None
