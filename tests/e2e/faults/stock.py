"""Worlds that are made once and copied for each fault: a small pipeline, versions in stages, a forge."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests import clones, githttp, servers
from tests.clones import git
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import Moments, wire
from tests.imports import ROOT
from tests.mainline import pipelines, releasing
from tests.mainline.releasing import World
from tests.mainline.test_monitor_verb import BACKTESTED, STAND_IN
from tests.servers import GitHubServer

CHILD = "tests.e2e.faults.child"


@dataclass(eq=False)
class Stock:
    """`folder` holds the templates; the servers end with `stack`. `brief`: two kinds of answers, not all."""

    folder: Path
    stack: ExitStack
    brief: bool = False

    @cached_property
    def forge(self) -> GitHubServer:
        return self.stack.enter_context(servers.github())

    @cached_property
    def versions(self) -> World:
        """v1.0.0 and v1.0.1 were promoted and released; main's next commit is on the branch `next`."""
        (self.folder / "versions").mkdir()
        world = releasing.build(self.folder / "versions")
        root = world.root
        git(root, "checkout", "--quiet", "--force", "-B", "one", "one")
        (root / "reports/profile.json").write_text('{"version": 1, "tables": {}}\n')
        params = (ROOT / "params.yaml").read_text()
        with (root / "params.yaml").open("a") as file:
            file.write(params[params.index("monitor:") :])
        for name, text in (("stand_in.py", STAND_IN), ("backtested.py", BACKTESTED)):
            (root / name).write_text(text)
        for number, version in enumerate(("v1.0.0", "v1.0.1", "")):
            (root / "serving/service.py").write_text(f"number = {number}\n")
            clones.commit(root, f"service {number}")
            git(root, "checkout", "--quiet", "-B", "next")
            if version:
                world.merge("next")
                verb(root, "promote")
                verb(root, "release", version, "--target", "none", program="mainline.cli")
        git(root, "checkout", "--quiet", "--force", "-B", "main", "origin/main")
        return world

    @cached_property
    def stages(self) -> Path:
        """Three stages that are stale, on branch `topic`; `done` beside it is the same after a run."""
        (self.folder / "stages").mkdir()
        root = pipelines.build(self.folder / "stages")
        git(root, "init", "--quiet", "--bare", "--initial-branch=main", str(root.parent / "origin.git"))
        git(root, "checkout", "--quiet", "-b", "topic")
        pipelines.use_store(root, Path("../../store"))
        (root / "seed.txt").write_text("22")
        clones.commit(root, "code")
        git(root, "remote", "add", "origin", "../origin.git")
        git(root, "push", "--quiet", "origin", "main", "topic")
        done = pipelines.full(root, self.folder / "done")
        verb(done, "run", program="mainline.cli")
        return root

    @property
    def done(self) -> Path:
        """The stages' work tree after an undisturbed run."""
        return self.stages.parents[1] / "done"

    @contextmanager
    def served(self, folder: Path, moments: Moments) -> Iterator[Path]:
        """The work tree below `folder`, whose origin is on a Git server behind a wire."""
        root = folder / "work"
        git(folder / "origin.git", "config", "http.receivepack", "true")
        with githttp.git_server(folder) as http, wire(http.url, moments) as between:
            git(root, "remote", "set-url", "origin", f"{between.url}/origin.git")
            yield root


def verb(root: Path, *arguments: str, program: str = CHILD) -> None:
    """Raises Stopped when it fails."""
    extra = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-m", program, *arguments], cwd=root, env=clones.environment(root, extra),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    must(done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}")


def copy(root: Path, folder: Path, names: tuple[str, ...] = ("work", "origin.git", "store")) -> None:
    for name in names:
        shutil.copytree(root.parent / name, folder / name, symlinks=True)


@contextmanager
def stocked(folder: Path, *, brief: bool = False) -> Iterator[Stock]:
    """An empty stock in this folder; Git has no user, as on a runner."""
    before = os.environ.get("GIT_CONFIG_GLOBAL")
    os.environ["GIT_CONFIG_GLOBAL"] = os.devnull
    try:
        with ExitStack() as stack:
            yield Stock(folder, stack, brief)
    finally:
        os.environ.pop("GIT_CONFIG_GLOBAL")
        if before is not None:
            os.environ["GIT_CONFIG_GLOBAL"] = before
