"""The adapter to the MLflow registry, a view of Git's tags: it can be lost, and is made anew from them.

MLflow is imported by this module alone, when it is asked (2 s). Files are logged as they are: nothing here
loads a model, because the registry's own loaders (`mlflow.pyfunc`) run what they find.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import objects, releases
from mainline.champion import blob
from mainline.errors import IntegrityError, MainlineError, ServiceError
from mainline.exported import MANIFEST, MODEL, verify
from mainline.git import SECRETS, Git
from mainline.records import Manifest, write_atomically
from mainline.releases import Release
from mainline.view import MARK, NAME, Seen, Step, View

CARD = "models/MODEL_CARD.md"
DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")  # of a database that is a file
FOLDER = Path(".mainline/registry")
ENVIRONMENT = {  # a server that hangs must not hold a release up; the user's own settings win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
TRAINED = "model.sha256"  # tag of a training's run: of the weights that it made
RELEASE = "mainline.release"  # tag of the run that holds a version's files: its Git tag


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that has answered. Every method raises ServiceError when it no longer does."""

    client: Any
    uri: str

    def seen(self, model: str) -> Seen:
        """What it holds of a model; of versions that are there twice, the first."""
        with _answering(self.uri):
            found = self._model(model)
            if found is None:
                return Seen()
            listed = sorted(self._versions(model), key=lambda one: int(one.version))
            numbers: dict[str, int] = {}
            tags: dict[str, dict[str, str]] = {}
            foreign = []
            for one in listed:
                name = one.tags.get(NAME, "")
                if not name or name in numbers:
                    foreign.append(int(one.version))
                    continue
                numbers[name], tags[name] = int(one.version), dict(one.tags)
            aliases = {stage: int(number) for stage, number in found.aliases.items()}
            marks = {key.removeprefix(MARK): v for key, v in found.tags.items() if key.startswith(MARK)}
            return Seen(numbers, tags, aliases, marks, tuple(foreign))

    def register(self, record: Release, tags: dict[str, str], files: Path) -> None:
        """A version with its files. After a stop in between, the same run takes them again.

        Of two that do it at once, the later one takes its own away.
        """
        tag = f"{record.model}@{record.release}"
        with _answering(self.uri):
            name, words = record.model, f"A view of Git: {tag}, and on."
            _ensure(
                lambda: self._model(name),
                lambda: self.client.create_registered_model(name, description=words),
            )
            experiment = self._experiment(f"{record.model}-releases")
            query = f"tags.`{RELEASE}` = '{tag}'"
            runs = self.client.search_runs([experiment], query, max_results=1)
            run = (
                runs[0]
                if runs
                else self.client.create_run(experiment, tags={RELEASE: tag, **tags}, run_name=tag)
            )
            self.client.log_artifacts(run.info.run_id, str(files), "release")
            self.client.set_terminated(run.info.run_id)
            made = self.client.create_model_version(
                record.model, f"{run.info.artifact_uri}/release", run.info.run_id,
                tags=tags, description=_words(record),
            )  # fmt: skip
            if self.seen(record.model).numbers.get(tags[NAME], int(made.version)) < int(made.version):
                self.client.delete_model_version(record.model, made.version)

    def tags(self, model: str, number: int, wanted: dict[str, str], found: dict[str, str]) -> None:
        """Make a version's tags those of Git; others' keys stay."""
        with _answering(self.uri):
            for key, value in wanted.items():
                if found.get(key) != value:
                    self.client.set_model_version_tag(model, str(number), key, value)
            for key in found.keys() - wanted.keys():
                if key.startswith("mainline."):
                    self.client.delete_model_version_tag(model, str(number), key)

    def alias(self, model: str, stage: str, before: int | None, number: int | None) -> None:
        """Move an alias. Stopped anywhere, the mark still names what is there, old or new."""
        with _answering(self.uri):
            both = " ".join(str(one) for one in (before, number) if one is not None)
            self._mark(model, stage, both)
            if number is None:
                self.client.delete_registered_model_alias(model, stage)
            else:
                self.client.set_registered_model_alias(model, stage, str(number))
            self._mark(model, stage, "" if number is None else str(number))

    def mark(self, model: str, stage: str, number: int | None) -> None:
        """Remember what an alias has, where that is right already."""
        with _answering(self.uri):
            self._mark(model, stage, "" if number is None else str(number))

    def run_of(self, weights: str) -> str | None:
        """The latest run that made weights of this sha256, by the tag that a training gives; None: no run."""
        with _answering(self.uri):
            experiments = [one.experiment_id for one in self.client.search_experiments(max_results=1000)]
            query, newest = f"tags.`{TRAINED}` = '{weights}'", ["attributes.start_time DESC"]
            found = self.client.search_runs(experiments, query, max_results=1, order_by=newest)
            return str(found[0].info.run_id) if found else None

    def _mark(self, model: str, stage: str, text: str) -> None:
        if text:
            self.client.set_registered_model_tag(model, f"{MARK}{stage}", text)
        else:
            self.client.delete_registered_model_tag(model, f"{MARK}{stage}")

    def _model(self, name: str) -> Any:
        return next(iter(self.client.search_registered_models(f"name = '{name}'", max_results=1)), None)

    def _versions(self, model: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_model_versions(f"name = '{model}'", max_results=200, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _experiment(self, name: str) -> str:
        here = str(ARTIFACTS.absolute()) if self.uri.startswith("sqlite:") else None  # a server knows its own
        found = _ensure(
            lambda: self.client.get_experiment_by_name(name),
            lambda: self.client.create_experiment(name, artifact_location=here),
        )
        return str(found.experiment_id)


def _ensure(find: Callable[[], Any], create: Callable[[], object]) -> Any:
    """What is found, made first where there is none; another sync may make it at the same moment."""
    if found := find():
        return found
    try:
        create()
    except Exception:
        if not (found := find()):
            raise
        return found
    return find()


def connect(uri: str | None = None) -> Registry:
    """`uri`, else MLFLOW_TRACKING_URI, else the file beside the repository. Raises ServiceError."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or DEFAULT_URI
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for name in ("alembic", "urllib3", "mlflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise ServiceError(
            "MLflow cannot be imported", why=str(error), remedy="uv sync --group tracking"
        ) from None
    with _answering(uri), _alone(uri):
        client = MlflowClient(uri, registry_uri=uri)
        client.search_registered_models(max_results=1)
        return Registry(client, uri)


def apply(
    registry: Registry, git: Git, wanted: View, seen: Seen, steps: list[Step], on_step: Callable[[Step], None]
) -> None:
    """Do the steps in order. Raises StorageError and IntegrityError for a version's files, ServiceError."""
    model, versions = wanted.model, {one.name: one for one in wanted.versions}
    numbers = dict(seen.numbers)
    for step in steps:
        on_step(step)
        match step.kind:
            case "register":
                one = versions[step.subject]
                with _files(git, one.record) as folder:
                    registry.register(one.record, one.tags, folder)
                numbers = registry.seen(model).numbers
            case "tags":
                name = step.subject
                registry.tags(model, numbers[name], versions[name].tags, seen.tags[name])
            case "alias":
                number = numbers[step.wanted] if step.wanted else None
                registry.alias(model, step.subject, seen.aliases.get(step.subject), number)
            case "mark":
                registry.mark(model, step.subject, numbers.get(step.wanted))


@contextmanager
def _files(git: Git, record: Release) -> Iterator[Path]:
    """Model, manifest, card and record of a version, each checked; the folder is removed at the end."""
    where = git.root / FOLDER
    where.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="release-", dir=where))
    try:
        text = blob(git, record.commit, MANIFEST)
        if text is None:
            raise IntegrityError(f"{record.commit[:9]} of {record.release} has no {MANIFEST}")
        write_atomically(folder / Path(MANIFEST).name, text)
        manifest = Manifest.read(folder / Path(MANIFEST).name)
        if manifest.files.get(Path(MODEL).name) != record.model_sha256:
            raise IntegrityError(f"the record of {record.release} and the manifest of its commit differ")
        model = folder / Path(MODEL).name
        objects.fetch(git.root, {model.relative_to(git.root).as_posix(): record.model_md5})
        verify(model, manifest)
        card = blob(git, record.commit, CARD)
        if card is not None:
            write_atomically(folder / Path(CARD).name, card)
            verify(folder / Path(CARD).name, manifest)
        write_atomically(folder / "release.yaml", releases.write(record, record.release).encode())
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _words(record: Release) -> str:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in record.figures.items() if value is not None)
    return (
        f"{record.model}@{record.release} of commit {record.commit}. Gate: {record.gate.verdict}. {figures}"[
            :900
        ]
    )


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    """Whatever MLflow raises is a ServiceError; a URI may hold a password."""
    try:
        yield
    except MainlineError:
        raise
    except Exception as error:  # requests', sqlalchemy's and MLflow's own
        why = SECRETS.sub("//", f"{type(error).__name__}: {error}").replace(uri, SECRETS.sub("//", uri))[:500]
        raise ServiceError(
            f"MLflow at {SECRETS.sub('//', uri)} did not do its part",
            why=why,
            remedy="the release stands without it; later: mainline registry sync",
        ) from None


@contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Several cold processes on one new SQLite file lose data in its migration: one at a time."""
    file = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else ""
    if not file:
        yield
        return
    with Path(f"{file}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
