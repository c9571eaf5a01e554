"""A small DVC pipeline in Git: three stages, a directory of which parts are read, a file that Git keeps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests import clones

FILES = {
    "dvc.yaml": """\
stages:
  one:
    cmd: python one.py
    deps: [one.py, seed.txt, raw.txt]
    params: [one.size]
    outs: [data]
  two:
    cmd: python two.py
    deps: [two.py, data/a.txt, data/sub]
    params: [two]
    outs: [model.txt]
    metrics:
      - figures.json: {cache: false}
  three:
    cmd: python three.py
    deps: [three.py, model.txt, figures.json, data]
    outs: [report.txt]
""",
    "params.yaml": "one: {size: 1}\ntwo: {lr: 0.1, shape: [1, 2]}\ngate: {margin: 1}\n",
    "one.py": """\
from pathlib import Path
Path("data/sub/deep").mkdir(parents=True)
Path("data/a.txt").write_text("a" + Path("seed.txt").read_text())
Path("data/sub/b.txt").write_text("b")
Path("data/sub/deep/c é.txt").write_text("c")
""",
    "two.py": """\
from pathlib import Path
Path("model.txt").write_text("model of " + Path("data/a.txt").read_text())
Path("figures.json").write_text('{"auc": %d}' % len(Path("data/a.txt").read_text()))
""",
    "three.py": """\
from pathlib import Path
Path("report.txt").write_text("on " + Path("model.txt").read_text())
""",
    "seed.txt": "1",
    "README.md": "words",
}


def build(folder: Path) -> Path:
    """The repository `folder/work`, run, committed and pushed to the DVC remote `folder/store`."""
    root = folder / "work"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "raw.txt").write_text("raw")
    clones.git(root, "init", "--quiet", "--initial-branch=main")
    dvc(root, "init", "--quiet")
    (root / ".gitignore").write_text("/.mainline/\n")
    dvc(root, "add", "--quiet", "raw.txt")
    use_store(root, folder / "store")
    dvc(root, "repro", "--quiet")
    dvc(root, "push", "--quiet", "--run-cache")
    clones.commit(root, "all")
    return root


def use_store(root: Path, store: Path) -> None:
    config = "[core]\nanalytics = false\nremote = store\n"
    (root / ".dvc" / "config").write_text(f"{config}['remote \"store\"']\nurl = {store}\nverify = true\n")


def fresh(root: Path, into: Path) -> Path:
    """A clone: no data, and an empty cache."""
    clones.git(root, "clone", "--quiet", "--no-hardlinks", str(root), str(into))
    return into


def full(root: Path, into: Path) -> Path:
    """A copy with its data and its cache."""
    return Path(shutil.copytree(root, into, symlinks=True))


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root, env=clones.environment(clones.ROOT), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def edit(root: Path, name: str, old: str, new: str, *, count: int = 1) -> None:
    """Raises when there is nothing to replace, so that no test passes by a slip."""
    text = (root / name).read_text(encoding="utf-8")
    assert old in text, f"{name} does not hold {old!r}"
    (root / name).write_text(text.replace(old, new, count), encoding="utf-8")


def drop(*parts: str | Path) -> None:
    """Remove a file that may be read-only."""
    path = Path(*parts)
    path.parent.chmod(0o755)
    path.unlink()
