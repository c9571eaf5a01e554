"""The service beside bare FastAPI, `mlflow models serve` and a torch Bento: one model, one run, on loopback.

Needs wrk. `--quick`: 2 s a measurement and 10,000 requests for the memory, instead of 5 s and 100,000.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from serving import build, schemas
from serving.process import running
from tests.imports import ROOT
from usecase.schema import FEATURES

QUICK = "--quick" in sys.argv
SECONDS = 2 if QUICK else 5
REQUESTS = 10_000 if QUICK else 100_000
ROW = schemas.example(FEATURES)
BARS = {"FastAPI": 0.45, "MLflow": 10.0}  # of their requests a second, at least
P99 = {(1, 1): 5.0, (1, 16): 40.0}  # ms, at most
LOADS = ((1, 1), (1, 16), (1, 64), (1000, 1))  # rows a request, connections
SERVING = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["serving"]
PACKAGES = tuple(Requirement(text).name for text in SERVING)

FASTAPI = """
import sys
import numpy as np, onnxruntime, uvicorn
from fastapi import FastAPI, Request
from usecase.schema import FEATURES
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("models/model.onnx", options, providers=["CPUExecutionProvider"])
texts, numbers = ([c.name for c in kind] for kind in (FEATURES.categorical, FEATURES.numeric))
app = FastAPI()

@app.post("/predict")
async def predict(request: Request):
    rows = (await request.json())["rows"]
    feeds = {n: np.array([r[n] or "" for r in rows], dtype=object) for n in texts}
    feeds |= {n: np.array([r[n] for r in rows], dtype=np.float32) for n in numbers}
    return {"probability": session.run(None, feeds)[0].tolist()}

uvicorn.run(app, port=int(sys.argv[1]), access_log=False, log_level="warning")
"""

# Not the ONNX flavour: MLflow 3.17 with pandas 3 hands strings over in a form that ONNX Runtime refuses.
MLFLOW = """
import sys
import mlflow, onnxruntime
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, Schema

class Wrapped(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = context.artifacts["onnx"]
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.kinds = {i.name: object if "string" in i.type else "float32" for i in self.session.get_inputs()}

    def predict(self, context, frame, params=None):
        feeds = {name: frame[name].to_numpy(dtype=kind) for name, kind in self.kinds.items()}
        return self.session.run(None, feeds)[0]

if __name__ == "__main__":
    from usecase.schema import FEATURES
    kinds = {True: DataType.string, False: DataType.float}
    inputs = Schema([ColSpec(kinds[c.categorical], c.name) for c in FEATURES.features])
    mlflow.pyfunc.save_model(sys.argv[1], python_model=Wrapped(), artifacts={"onnx": "models/model.onnx"},
                             pip_requirements=["onnxruntime"], signature=ModelSignature(inputs))
"""

# As one would write it first: BentoML as it comes, the network and its weights instead of the exported graph.
TORCH = """
from pathlib import Path
import bentoml, polars, torch
from pipeline.training import predictor

@bentoml.service(workers=1)
class Late:
    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.model = predictor.load(Path("{model}"))

    @bentoml.api
    def predict(self, rows: list[dict]) -> list[float]:
        return predictor.predict(self.model, polars.DataFrame(rows, infer_schema_length=None)).tolist()
"""


@dataclass
class Server:
    url: str
    pid: int
    body: Callable[[int], dict[str, Any]]


@dataclass
class Speed:
    requests: float  # a second
    p99: float  # ms
    cpu: float  # ms of the server's processor a request: less noisy than the others on a busy machine
    failed: bool


def main() -> int:
    if not shutil.which("wrk"):
        print("wrk is not installed (Debian and Ubuntu have it as wrk)", file=sys.stderr)
        return 1
    print(f"load before: {os.getloadavg()[0]:.1f}")
    found: dict[str, dict[tuple[int, int], Speed]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bento = build.build(ROOT, "v0.0.1", folder)
        for label, start in (
            ("ours", _ours(bento, folder)),
            ("FastAPI", _fastapi(folder)),
            ("MLflow", _mlflow(folder)),
            ("torch", _torch(folder)),
        ):
            with start as server:
                found[label] = {load: _wrk(server, *load, folder) for load in LOADS}
                if label == "ours":
                    _memory(server, folder)
                if label == "torch":
                    print(f"with torch: resident {_resident(server.pid):,.0f} MB after the loads")
    _show(found)
    print(f"bento: {bento['bytes']:,} bytes; load after: {os.getloadavg()[0]:.1f}")
    for label, names in (("ours", PACKAGES), ("with torch", (*PACKAGES, "torch", "polars"))):
        print(f"packages, {label}: {_installed(names):,.0f} MB")
    return 0


def _installed(names: Iterable[str]) -> float:
    """Megabytes of the packages and of all that they need, as they are installed here."""
    left, seen, size = [canonicalize_name(name) for name in names], set[str](), 0
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # of another platform
            continue
        size += sum(file.locate().stat().st_size for file in found.files or () if file.locate().is_file())
        needed = [Requirement(text) for text in found.requires or ()]
        wanted = (one for one in needed if not one.marker or one.marker.evaluate({"extra": ""}))
        left += [canonicalize_name(one.name) for one in wanted]
    return size / 1e6


def _rows(count: int) -> dict[str, Any]:
    return {"rows": [ROW] * count}


def _records(count: int) -> dict[str, Any]:
    """For MLflow, whose schema takes floats for floats and nothing beside the features."""
    numeric = {column.name for column in FEATURES.numeric}
    names = [column.name for column in FEATURES.features]
    return {"dataframe_records": [{n: float(ROW[n]) if n in numeric else ROW[n] for n in names}] * count}


@contextlib.contextmanager
def _ours(bento: dict[str, Any], folder: Path) -> Iterator[Server]:
    with running("--bento", bento["path"], extra={"SERVING_LOG_PATH": str(folder / "log")}) as service:
        print(f"ready in {service.ready_seconds:.1f} s, resident {_resident(service.process.pid):,.0f} MB")
        yield Server(f"http://127.0.0.1:{service.port}/predict", service.process.pid, _rows)


@contextlib.contextmanager
def _fastapi(folder: Path) -> Iterator[Server]:
    (folder / "bare.py").write_text(FASTAPI)
    with _started([sys.executable, str(folder / "bare.py"), "3211"], 3211, "/docs") as process:
        yield Server("http://127.0.0.1:3211/predict", process.pid, _rows)


@contextlib.contextmanager
def _mlflow(folder: Path) -> Iterator[Server]:
    model = folder / "mlflow-model"
    subprocess.run([sys.executable, "-c", MLFLOW, str(model)], cwd=ROOT, check=True, capture_output=True)
    command = [str(Path(sys.executable).parent / "mlflow"), "models", "serve", "--env-manager", "local"]
    with _started([*command, "-m", str(model), "-p", "3212", "-w", "1"], 3212, "/ping") as process:
        yield Server("http://127.0.0.1:3212/invocations", process.pid, _records)


@contextlib.contextmanager
def _torch(folder: Path) -> Iterator[Server]:
    (folder / "late.py").write_text(TORCH.replace("{model}", str(ROOT / "models/model.safetensors")))
    command = [sys.executable, "-m", "bentoml", "serve", "late:Late", "--working-dir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "3213"]
    with _started(command, 3213, "/readyz") as process:
        yield Server("http://127.0.0.1:3213/predict", process.pid, _rows)


@contextlib.contextmanager
def _started(command: list[str], port: int, ping: str) -> Iterator[subprocess.Popen[bytes]]:
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'src'}",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, env=env, start_new_session=True, **quiet)
    try:
        limit = time.monotonic() + 90
        while not _answers(f"http://127.0.0.1:{port}{ping}"):
            if time.monotonic() > limit or process.poll() is not None:
                raise RuntimeError(f"{command} does not answer")
            time.sleep(0.1)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1):
            return True
    except OSError:
        return False


def _wrk(server: Server, rows: int, connections: int, folder: Path, *, seconds: int = SECONDS) -> Speed:
    body = json.dumps(server.body(rows))
    script = folder / "request.lua"
    script.write_text(
        f'wrk.method="POST"\nwrk.headers["Content-Type"]="application/json"\nwrk.body=[==[{body}]==]\n'
    )
    command = [
        "wrk",
        "-t1",
        f"-c{connections}",
        f"-d{seconds}",
        "--timeout",
        "30",
        "--latency",
        "-s",
        str(script),
    ]
    before = _cpu(server.pid)
    text = subprocess.run([*command, server.url], capture_output=True, text=True, check=True).stdout
    spent = (_cpu(server.pid) - before) * 1000
    speed, worst = re.search(r"Requests/sec:\s+([\d.]+)", text), re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text)
    done = re.search(r"(\d+) requests in", text)
    assert speed and worst and done, text
    p99 = float(worst[1]) * {"us": 0.001, "ms": 1, "s": 1000}[worst[2]]
    cpu = spent / max(1, int(done[1]))
    return Speed(float(speed[1]), p99, cpu, "Non-2xx" in text or "Socket errors" in text)


def _cpu(pid: int) -> float:
    """Seconds of a server and of its workers."""
    server = psutil.Process(pid)
    return sum(sum(one.cpu_times()[:2]) for one in (server, *server.children(recursive=True)))


def _resident(pid: int) -> float:
    """Megabytes of a server and of its workers."""
    server = psutil.Process(pid)
    return sum(one.memory_info().rss for one in (server, *server.children(recursive=True))) / 1e6


def _memory(server: Server, folder: Path) -> None:
    """After the loads above, so with every buffer grown."""
    before, done, speed = _resident(server.pid), 0.0, 1000.0
    while done < REQUESTS:
        seconds = max(2, round((REQUESTS - done) / speed))
        speed = _wrk(server, 1, 16, folder, seconds=min(seconds, 30)).requests
        done += speed * min(seconds, 30)
    grown = _resident(server.pid) - before
    print(
        f"memory: {grown:+.1f} MB, {done:,.0f} requests (bar 5 a 100,000), to {_resident(server.pid):.0f} MB"
    )


def _show(found: dict[str, dict[tuple[int, int], Speed]]) -> None:
    others = list(found)[1:]
    heads = [*others, *(f"of {label}" for label in others)]
    print(f"\n| rows, connections | ours: a second, p99 ms, CPU ms | {' | '.join(heads)} |")
    print(f"|---|---:|{'---:|' * len(heads)}")
    for load in LOADS:
        speeds = [found[label][load] for label in found]
        told = [
            f"{s.requests:,.0f}, {s.p99:.1f}, {s.cpu:.2f}{' (failures)' if s.failed else ''}" for s in speeds
        ]
        ratios = [f"{speeds[0].requests / other.requests:.2f}" for other in speeds[1:]]
        print(f"| {load[0]:,}, {load[1]} | {' | '.join([*told, *ratios])} |")
    print()
    for load in LOADS:
        print(f"{load[0]:,}, {load[1]}: {'; '.join(_bars(load, found))}")


def _bars(load: tuple[int, int], found: dict[str, dict[tuple[int, int], Speed]]) -> Iterator[str]:
    ours = found["ours"][load]
    for label, least in BARS.items():
        times = ours.requests / found[label][load].requests
        yield f"{times:.2f} × {label}, bar {least:g} {'met' if times >= least else 'MISSED'}"
    if most := P99.get(load):
        yield f"p99 {ours.p99:.1f} ms, bar {most:g} {'met' if ours.p99 < most else 'MISSED'}"


if __name__ == "__main__":
    sys.exit(main())
