"""The adapter to MLflow: connect within bounds, and say a batch of spooled events in MLflow's calls.

Imports MLflow (seconds) only when it connects; only `pipeline.tracking.delivery`'s process does.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.tracking.spool import Event, locked
from usecase.card import NAME

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = "mlartifacts"  # for databases that are a file
LOCK_WAIT = 60.0  # seconds to wait for another process that initialises the database
ENVIRONMENT = {  # a server that hangs must not hold a stage up; the user's own settings win
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
# MLflow takes 1000 metrics and 100 parameters or tags a call; longer texts are cut, as it would.
METRICS, PAIRS, PARAM_LENGTH, TAG_LENGTH = 900, 100, 6000, 5000


@dataclass(frozen=True)
class Connection:
    """A client that has answered, and the experiment in which our runs are."""

    client: MlflowClient
    experiment: str
    uri: str

    @property
    def target(self) -> str:
        """A digest of the tracking URI: an URI may hold a password."""
        return hashlib.sha256(self.uri.encode()).hexdigest()[:16]

    def find(self, tag: str, value: str, also: str = "") -> Any:
        """The latest run whose tag has that value, or None."""
        query = f"tags.`{tag}` = '{value}'" + (f" and {also}" if also else "")
        order = ["attributes.start_time DESC"]
        found = self.client.search_runs([self.experiment], query, max_results=1, order_by=order)
        return found[0] if found else None


def connect() -> Connection:
    """Raises whatever MLflow raises when it does not answer."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    uri = os.environ.get("MLFLOW_TRACKING_URI", "") or DEFAULT_URI
    for name in ("alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    from mlflow.tracking import MlflowClient

    file = uri.removeprefix("sqlite:///") if uri.startswith("sqlite:///") else ""
    if file:
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - seconds, better not under the lock
    artifacts = str(Path(ARTIFACTS).absolute()) if file else None  # a server knows its own
    # Several cold processes on one new SQLite file lose data in its migration: one at a time.
    with locked(Path(f"{file}.lock"), LOCK_WAIT) if file else contextlib.nullcontext(True) as mine:
        if not mine:
            raise TimeoutError(f"another process has kept {file}.lock for {LOCK_WAIT:.0f} s")
        client = MlflowClient(uri)
        return Connection(client, _experiment(client, artifacts), uri)


def _experiment(client: MlflowClient, artifacts: str | None) -> str:
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "") or NAME
    found = client.get_experiment_by_name(name)
    if not found:
        try:
            return client.create_experiment(name, artifact_location=artifacts)
        except MlflowException:  # somebody else was faster
            found = client.get_experiment_by_name(name)
            if not found:
                raise
    return found.experiment_id


@dataclass
class Batch:
    """Events in the shape of MLflow's calls. Metrics are (name, value, ms, step)."""

    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    datasets: list[Event] = field(default_factory=list)
    files: list[Event] = field(default_factory=list)
    status: str = ""

    @classmethod
    def of(cls, events: list[Event]) -> Batch:
        batch = cls()
        for event in events:
            match event["kind"]:
                case "metrics":
                    rows = event["values"].items()
                    batch.metrics += [(name, value, event["ms"], event["step"]) for name, value in rows]
                case "params":
                    batch.params |= event["values"]
                case "tags":
                    batch.tags |= event["values"]
                case "dataset":
                    batch.datasets.append(event)
                case "artifact" | "onnx_model":
                    batch.files.append(event)
                case "finish":
                    batch.status = event["status"]
        return batch


def send(client: MlflowClient, run_id: str, batch: Batch, folder: Path) -> None:
    """Everything of a batch but its status; files are relative to `folder`. May be repeated without harm."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(*row) for row in batch.metrics]
    for start in range(0, len(metrics), METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS])
    params = [Param(name, value[:PARAM_LENGTH]) for name, value in batch.params.items()]
    for start in range(0, len(params), PAIRS):
        client.log_batch(run_id, params=params[start : start + PAIRS])
    tags = [RunTag(name, value[:TAG_LENGTH]) for name, value in batch.tags.items()]
    for start in range(0, len(tags), PAIRS):
        client.log_batch(run_id, tags=tags[start : start + PAIRS])
    if batch.datasets:
        client.log_inputs(run_id, datasets=[_dataset(event) for event in batch.datasets])
    for event in batch.files:
        _send_file(client, run_id, event, folder / event["file"])


def _send_file(client: MlflowClient, run_id: str, event: Event, path: Path) -> None:
    if event["kind"] == "onnx_model":
        with tempfile.TemporaryDirectory() as temporary:
            model = _onnx_model(path, Path(temporary) / "model", event["inputs"], event["outputs"])
            client.log_artifacts(run_id, str(model), "model")
    elif path.is_dir():
        client.log_artifacts(run_id, str(path), "/".join(filter(None, (event["folder"], path.name))))
    else:
        client.log_artifact(run_id, str(path), event["folder"] or None)


def _dataset(event: Event) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=event["name"],
        digest=event["digest"],
        source_type="dvc",
        source=json.dumps({"name": event["name"]}),
        profile=json.dumps({"num_rows": event["rows"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", event["name"])])


def _onnx_model(path: Path, target: Path, inputs: list[list[str]], outputs: list[str]) -> Path:
    """An MLflow model folder around an ONNX file; the requirements are given, or MLflow would guess."""
    import mlflow.onnx
    import onnx
    import onnxruntime
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    signature = ModelSignature(
        Schema([ColSpec(kind, name) for name, kind in inputs]),
        Schema([ColSpec("float", name) for name in outputs]),
    )
    mlflow.onnx.save_model(
        onnx.load(str(path)),
        str(target),
        signature=signature,
        pip_requirements=[f"onnx=={onnx.__version__}", f"onnxruntime=={onnxruntime.__version__}"],
        save_as_external_data=False,
    )
    return target
