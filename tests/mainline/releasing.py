"""A world to release in: a small pipeline with a model, a bare origin, a DVC store; and stand-in tools.

Its commits lie on branches of the same clone: `one` (the first model), `two` (another parameter), `schema`
(another input), `service` (only the service's code), `revert` (two, undone).
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mainline import champion
from mainline.exported import LOCK
from mainline.git import Git
from mainline.ledger import refresh
from mainline.promotion import Book
from mainline.review import Champion, Gate
from mainline.verbs import promote, release
from tests import clones
from tests.clones import git
from tests.mainline.pipelines import dvc, use_store

MODEL = "flight-delay"
OUTPUTS = (
    "models/model.onnx",
    "data/features",
    "data/raw",
    "reports/predictions.parquet",
    "reports/gate.json",
)
FILES = {
    "params.yaml": """\
data: {month: 1}
train: {lr: 1}
inputs: [a]
release: {model: flight-delay}
gate:
  resamples: 100
  confidence: 0.95
  margins: {log_loss: 0.1}
  floors: {}
  ceilings: {}
  slice_margin: 0.1
  slice_rows: 1
  model_bytes: 1000
  latency_ms: 1000
""",
    "dvc.yaml": """\
stages:
  ingest:
    cmd: python make.py raw
    params: [data.month]
    outs: [data/raw]
  rows:
    cmd: python make.py rows
    deps: [data/raw]
    outs: [data/features]
  export:
    cmd: python make.py model
    deps: [make.py, data/features]
    params: [train.lr, inputs]
    outs: [models/model.onnx]
    metrics:
      - models/manifest.json: {cache: false}
      - models/MODEL_CARD.md: {cache: false}
      - reports/metrics.json: {cache: false}
  predict:
    cmd: python make.py predictions
    deps: [models/model.onnx, data/features/test.parquet]
    outs: [reports/predictions.parquet]
""",
    "make.py": """\
import hashlib, sys, yaml
from pathlib import Path
from mainline.records import Figure, Manifest, Metrics
params = yaml.safe_load(Path("params.yaml").read_text())
def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
if sys.argv[1] == "raw":
    write("data/raw/month.txt", str(params["data"]["month"]))
elif sys.argv[1] == "rows":
    write("data/features/test.parquet", "rows of " + Path("data/raw/month.txt").read_text())
elif sys.argv[1] == "predictions":
    write("reports/predictions.parquet", "by " + Path("models/model.onnx").read_text())
else:
    windows = {"train": ["2013-01"] * 2, "validation": ["2013-02"] * 2, "test": ["2013-03"] * 2}
    rows = Path("data/features/test.parquet").read_text()
    model = f"model {params['train']['lr']} {params['inputs']} {rows}"
    write("models/model.onnx", model)
    write("models/MODEL_CARD.md", "a card")
    Manifest(task="binary", inputs=[{"name": name, "dtype": "int64"} for name in params["inputs"]],
             outputs=["probability"], classes=[], threshold=0.5, vocabularies={}, windows=windows,
             device_class="cpu", files={"model.onnx": hashlib.sha256(model.encode()).hexdigest()}, code={},
             ).write(Path("models/manifest.json"))
    Metrics(task="binary", rows=10, blocks=10, resamples=100, confidence=0.95, parameters=1, model_bytes=1,
            threshold=0.5, figures={"log_loss": Figure(value=0.5, low=0.4, high=0.6)}, baselines={},
            slices=[], worst_slice=None, importance={}).write(Path("reports/metrics.json"))
""",
    "serving/service.py": "first = True\n",
    "uv.lock": "",
    ".gitignore": "/.mainline/\n/reports/gate.json\n",
    "build.py": """\
import hashlib, json, sys, time
from pathlib import Path
version, out = sys.argv[2], Path(sys.argv[4])
content = f"bento {version} {time.time_ns()} ".encode() + Path("models/model.onnx").read_bytes()
path = out / f"flight-delay-{version}.bento"
path.write_bytes(content)
with Path(".mainline/builds").open("a") as log:
    log.write(version + "\\n")
print("building")
print(json.dumps({"path": str(path), "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}))
""",
    "check.py": """\
import json, sys
from pathlib import Path
assert Path(sys.argv[2]).read_bytes().startswith(b"bento ")
print(json.dumps({"ready_s": 0.1}))
""",
}


@dataclass(frozen=True)
class World:
    """A clone of main. Its origin and its store lie beside it."""

    root: Path

    @property
    def origin(self) -> Path:
        return self.root.parent / "origin.git"

    def merge(self, branch: str) -> str:
        """Main is at that branch's commit, here and on origin; its data is not here."""
        git(self.root, "checkout", "--quiet", "--force", "-B", "main", branch)
        git(self.root, "push", "--quiet", "--force", "origin", "main")
        for name in OUTPUTS:
            path = self.root / name
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        return git(self.root, "rev-parse", "HEAD")

    def tags(self, where: Path | None = None) -> dict[str, str]:
        """Objects by name, on origin unless elsewhere."""
        lines = subprocess.run(
            ["git", "show-ref", "--tags"], cwd=where or self.origin, capture_output=True, text=True
        )
        return {
            name.removeprefix("refs/tags/"): sha for sha, name in map(str.split, lines.stdout.splitlines())
        }

    def book(self) -> Book:
        return refresh(Git(self.root), MODEL)

    def builds(self) -> list[str]:
        path = self.root / ".mainline/builds"
        return path.read_text().split() if path.exists() else []

    def store(self, md5: str) -> Path:
        return self.root.parent / "store/files/md5" / md5[:2] / md5[2:]


def build(folder: Path) -> World:
    """The world, nothing promoted yet; main is at `one`."""
    root = folder / "work"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "init", "--quiet", "--initial-branch=main")
    dvc(root, "init", "--quiet")
    use_store(root, Path("../../store"))
    git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "origin.git"))
    git(root, "remote", "add", "origin", "../origin.git")
    _commit(root, "one")
    for branch, old, new in (("two", "lr: 1", "lr: 2"), ("schema", "[a]", "[a, b]")):
        git(root, "checkout", "--quiet", "--force", "--detach", "one")
        _edit(root / "params.yaml", old, new)
        _commit(root, branch)
    git(root, "checkout", "--quiet", "--force", "--detach", "one")
    _edit(root / "serving/service.py", "first", "second")
    clones.commit(root, "service")
    git(root, "branch", "service")
    git(root, "checkout", "--quiet", "--force", "-B", "revert", "two")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "revert", "--no-edit", "HEAD")
    git(root, "branch", "--force", "main", "one")
    World(root).merge("one")
    return World(root)


def copy(template: World, folder: Path) -> World:
    """With its own origin and store, so that a test may break each."""
    for name in ("work", "origin.git", "store"):
        shutil.copytree(template.root.parent / name, folder / name, symlinks=True)
    return World(folder / "work")


def _commit(root: Path, branch: str) -> None:
    dvc(root, "repro", "--quiet")
    dvc(root, "push", "--quiet")
    clones.commit(root, branch)
    git(root, "branch", branch)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def says(verdict: str, basis: str = "same rows"):
    """A gate that says so, of the work tree."""

    def judge(options: argparse.Namespace) -> int:
        Gate(
            verdict=verdict, reason=f"it was told to {verdict}", rules=[], basis=basis, commit="0" * 40,
            lock_sha256=hashlib.sha256(Path(LOCK).read_bytes()).hexdigest(),
            model_md5=champion.here().model_md5,
            champion=Champion(kind="chosen", name=str(options.champion), commit=None, model_md5=None),
            comparison=None, policy={},
        ).write(Gate.location)  # fmt: skip
        return 0

    return judge


def tools(**changes) -> promote.Tools:
    """Stand-ins for what other rooms do; git, DVC and the steps are real."""
    mine = {
        "build": (sys.executable, "build.py"), "check": (sys.executable, "check.py"),
        "judge": says("promote"), "attach": lambda *_: {}, "view": lambda: None, "before": lambda _: None,
        "run": lambda: None,
    }  # fmt: skip
    return promote.Tools(**(mine | changes))


def options(**changes) -> argparse.Namespace:
    given = {"json": True, "dry_run": False, "allow_branch": None, "mlflow_run": None, "image": None}
    return argparse.Namespace(**(given | changes))


def asked(version: str | None = None, **changes) -> argparse.Namespace:
    """For release and rollback, without a deployment."""
    given = {
        "json": True,
        "dry_run": False,
        "tag": None,
        "reason": "",
        "target": release.NONE,
        "publish": False,
        "version": version,
    }
    return argparse.Namespace(**(given | changes))


QUIET = release.Tools(view=lambda: None, before=lambda _: None)
