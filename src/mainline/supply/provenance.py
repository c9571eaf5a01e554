"""How a release came to be: an in-toto Statement v1 with SLSA provenance v1, written and read here.

https://github.com/in-toto/attestation/blob/main/spec/v1 and https://slsa.dev/spec/v1.0/provenance.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from mainline.errors import IntegrityError, RecordError

STATEMENT, PREDICATE = "https://in-toto.io/Statement/v1", "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:mainline:promote:v1"  # how to read the parameters: the docstring of `Build`
LOCAL = "urn:mainline:local"
LARGEST = 1_000_000  # bytes of a statement; more is not ours
SCP = re.compile(r"(?:[A-Za-z0-9_.-]+@)?([A-Za-z0-9.-]{2,}):(?!//)(.+)")  # git@host:owner/name
SHA256, COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")


@dataclass(frozen=True, slots=True)
class Builder:
    """Who built: the workflow's URL at a ref, and the run; or nobody in particular, on some machine."""

    id: str = LOCAL
    invocation: str = ""


@dataclass(frozen=True, slots=True)
class Build:
    """What a promotion is given: `repository` (as git has it) at `commit`, and `params.yaml` by sha256.

    `data_md5`: by path, as DVC has them (`….dir` is the md5 of a folder's listing). `files`: sha256 of others
    that the result depends on, by path (`uv.lock`, `dvc.lock`). `started`, `finished`: RFC 3339, or nothing.
    """

    repository: str
    commit: str
    params_sha256: str
    data_md5: Mapping[str, str]
    files: Mapping[str, str]
    builder: Builder = Builder()
    started: str = ""
    finished: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a statement says. `subjects`: sha256 by name."""

    subjects: dict[str, str]
    commit: str
    repository: str
    builder: str


def builder(environ: Mapping[str, str]) -> Builder:
    """From GitHub's variables. Another attempt of a run is the same run, and gives the same bytes."""
    server, workflow = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_WORKFLOW_REF", "")
    repository, run = environ.get("GITHUB_REPOSITORY", ""), environ.get("GITHUB_RUN_ID", "")
    if not (server and workflow and repository and run.isdecimal()):
        return Builder()
    return Builder(f"{server}/{quote(workflow, safe='/@')}", f"{server}/{repository}/actions/runs/{run}")


def provenance(build: Build, subjects: Mapping[str, str]) -> bytes:
    """The statement that these subjects (sha256 by name) came of `build`; the same values, the same bytes."""
    repository = _public(build.repository)
    metadata = {
        "invocationId": build.builder.invocation,
        "startedOn": build.started,
        "finishedOn": build.finished,
    }
    told = {key: value for key, value in metadata.items() if value}
    content = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": sha}} for name, sha in sorted(subjects.items())],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "repository": repository,
                    "commit": build.commit,
                    "params": {"path": "params.yaml", "sha256": build.params_sha256},
                },
                "resolvedDependencies": [
                    _source(repository, build.commit),
                    *(_file(path, sha) for path, sha in sorted(build.files.items())),
                    *(_data(path, md5) for path, md5 in sorted(build.data_md5.items())),
                ],
            },
            "runDetails": {"builder": {"id": build.builder.id}, **({"metadata": told} if told else {})},
        },
    }
    return f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode()


def read_provenance(content: bytes) -> Statement:
    """What a statement says. Raises RecordError for anything that is not one of ours."""
    try:
        if len(content) > LARGEST:
            raise ValueError("it is too large")
        found = json.loads(content)
        if (found["_type"], found["predicateType"]) != (STATEMENT, PREDICATE):
            raise ValueError(f"it is no {PREDICATE}")
        definition = found["predicate"]["buildDefinition"]
        if definition["buildType"] != BUILD_TYPE:
            raise ValueError(f"it is not of build type {BUILD_TYPE}")
        given = definition["externalParameters"]
        subjects = {_text(one["name"]): _text(one["digest"]["sha256"]) for one in found["subject"]}
        if len(subjects) != len(found["subject"]) or not all(map(SHA256.fullmatch, subjects.values())):
            raise ValueError("its subjects are not sha256 by different names")
        if not COMMIT.fullmatch(_text(given["commit"])):
            raise ValueError("its commit is none")
        by = _text(found["predicate"]["runDetails"]["builder"]["id"])
        return Statement(subjects, given["commit"], _text(given["repository"]), by)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        why = f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise RecordError("this is no provenance statement of ours", why=why[:300]) from None


def check_provenance(content: bytes, subjects: Mapping[str, str], commit: str) -> Statement:
    """Raises IntegrityError unless the statement is about exactly these subjects and this commit."""
    found = read_provenance(content)
    if found.commit != commit:
        raise IntegrityError(f"the provenance is of commit {found.commit}", why=f"the release is of {commit}")
    if found.subjects != dict(subjects):
        names = sorted(name for name in {*found.subjects, *subjects}
                       if found.subjects.get(name) != subjects.get(name))  # fmt: skip
        raise IntegrityError(
            f"the provenance is not about {', '.join(map(ascii, names))[:300]}",
            why="digests or names differ",
            remedy="do not serve it; `mainline verify` tells which release it belongs to",
        )
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text"[:100])
    return value


def _source(repository: str, commit: str) -> dict[str, Any]:
    """The URI as SPDX writes it: `git+` before the URL."""
    uri = {"uri": f"git+{repository}"} if repository else {}
    return {"name": "source", **uri, "digest": {"gitCommit": commit}}


def _file(path: str, sha256: str) -> dict[str, Any]:
    return {"name": path, "digest": {"sha256": sha256}}


def _data(path: str, md5: str) -> dict[str, Any]:
    kind = "md5 of the listing of a folder" if md5.endswith(".dir") else "md5 of a file"
    return {"name": path, "digest": {"md5": md5.removesuffix(".dir")}, "annotations": {"dvc": kind}}


def _public(url: str) -> str:
    """A repository's URL without the password that CI checks out with; "" for a folder of some machine."""
    if match := SCP.fullmatch(url):
        return f"ssh://{match[1]}/{match[2].lstrip('/')}"
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http", "ssh", "git") or not parts.netloc:
        return ""
    return parts._replace(netloc=parts.netloc.rsplit("@", 1)[-1]).geturl()
