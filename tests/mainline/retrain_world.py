"""A repository on a Git server and on emulate, in which a watch has just asked for a retraining."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import cli, releases
from mainline.bot.keeper import Keeper
from mainline.git import BOT, BOT_ADDRESS
from mainline.retraining import markers
from mainline.retraining.state import DASHBOARD, PREFIX
from mainline.verbs import retrain
from mainline.watching import Watch
from tests import clones, githttp
from tests.clones import git
from tests.githttp import GitServer
from tests.imports import ROOT
from tests.mainline.retraining import MODEL, RELEASE, drift, watch
from tests.servers import OWNER, ROBOT, GitHubServer

BRANCH = f"{PREFIX}{MODEL}"
FAST = retrain.Settings(timeout=2, pause=0.01)
NUMBERS = itertools.count(1)


@dataclass
class World:
    """A repository on a Git server and on the forge, and our clone of it."""

    root: Path
    server: GitHubServer
    http: GitServer
    repository: str

    @property
    def origin(self) -> Path:
        return self.http.root / "flights.git"

    def run(self, *arguments: str, before: Callable[[str], None] | None = None) -> dict[str, Any]:
        """The verb, in process; what `--json` prints. `before` hears each step before it is done."""
        options = cli.parser().parse_args(["retrain", "--json", *arguments])
        told: list[str] = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("builtins.print", lambda *words, **_: told.append(" ".join(map(str, words))))
            if before is not None:
                step = before
                patch.setattr(
                    Keeper, "_do", lambda self, one, do=Keeper._do: (step(type(one).__name__), do(self, one))
                )
            assert retrain.retrain(options, FAST) == 0
        return dict(json.loads(told[-1]))

    def says(self, verdict: str = "retrain", **changes: Any) -> None:
        """What the last watch found."""
        watch(verdict, **changes).write(self.root / Watch.location)
        drift().write(self.root / "reports/drift.json")

    def policy(self, **limits: Any) -> None:
        """Main has these settings of the bot from now on."""
        content = yaml.safe_load(git(self.origin, "show", "main:params.yaml"))
        content["monitor"]["retrain"] |= {n: v for n, v in limits.items() if n != "cooldown_days"}
        content["monitor"] |= {n: v for n, v in limits.items() if n == "cooldown_days"}
        self.change("params.yaml", yaml.safe_dump(content, sort_keys=False))

    def release(self, version: str) -> None:
        """A version of main's commit goes to production, by its tags on origin."""
        commit = self.tip("main")
        gate = {"verdict": "promote", "reason": "", "champion": "", "accepted": False}
        record = releases.Release.model_validate({
            "model": MODEL, "release": version, "commit": commit, "lock_sha256": "0" * 64, "data_md5": {},
            "model_md5": "0" * 32, "model_sha256": "0" * 64, "artifacts": {}, "image": None, "figures": {},
            "gate": gate, "mlflow_run": None,
        })  # fmt: skip
        stage = f"{MODEL}#production#{next(NUMBERS)}"
        self._tag(f"{MODEL}@{version}", releases.write(record, "words"))
        target = git(self.origin, "rev-parse", f"refs/tags/{MODEL}@{version}")
        self._tag(stage, f"words\n\nVersion-Tag: {MODEL}@{version} {target}\n")

    def _tag(self, name: str, message: str) -> None:
        git(self.origin, "-c", "user.name=ada", "-c", "user.email=ada@example.org", "tag", "--annotate",
            "--cleanup=verbatim", "--message", message, name, "main")  # fmt: skip

    def change(self, path: str, text: str, *, to: str = "main", who: str = "ada", hours: int = 2) -> str:
        """Somebody commits a file to a branch on origin; the message tells of a training."""
        folder = self.root.parent / f"somebody-{next(NUMBERS)}"
        git(self.root.parent, "clone", "--quiet", "--branch", to, str(self.origin), str(folder))
        (folder / path).write_text(text)
        git(folder, "add", "--all")
        address = BOT_ADDRESS if who == BOT else f"{who}@example.org"
        git(folder, "-c", f"user.name={who}", "-c", f"user.email={address}", "commit", "--quiet",
            "--allow-empty", "--message", f"{path}\n\nStage-Seconds: train={hours * 3600}.0\n")  # fmt: skip
        git(folder, "push", "--quiet", "origin", to)
        return git(folder, "rev-parse", "HEAD")

    def tip(self, branch: str = BRANCH) -> str | None:
        found = git(self.origin, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        return found or None

    def call(self, method: str, path: str, body: Any = None, who: str = OWNER) -> Any:
        return self.server.call(method, f"/repos/{self.repository}{path}", body, who)

    def pulls(self, state: str = "all") -> list[dict[str, Any]]:
        return sorted(self.call("GET", f"/pulls?state={state}&per_page=100"), key=lambda one: one["number"])

    def dashboards(self) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/issues?state=all&labels={DASHBOARD}"))

    def notes(self, number: int) -> list[str]:
        """Kinds of the bot's comments."""
        found = self.call("GET", f"/issues/{number}/comments?per_page=100")
        return [str(markers.kind_of(one["body"])) for one in found if one["user"]["login"] == ROBOT]

    def close(self, number: int) -> None:
        self.call("PATCH", f"/pulls/{number}", {"state": "closed"})

    def merge(self, number: int) -> None:
        """By a squash, with real Git; the forge only learns of it."""
        folder = self.root.parent / f"merge-{next(NUMBERS)}"
        git(self.root.parent, "clone", "--quiet", str(self.origin), str(folder))
        git(folder, "merge", "--squash", "--quiet", f"origin/{BRANCH}")
        clones.commit(folder, f"squashed (#{number})")
        git(folder, "push", "--quiet", "origin", "main")
        self.call("PUT", f"/pulls/{number}/merge", {})

    def settled(self) -> None:
        """One pull request, one dashboard; and a further run writes nothing."""
        assert len(self.pulls("open")) == 1
        assert len(self.dashboards()) == 1
        tip = self.tip()
        self.server.proxy.seen.clear()
        assert self.run()["steps"] == []
        assert self.server.proxy.writes() == []
        assert self.tip() == tip


@contextmanager
def build(running: GitHubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """main on the server asks for nothing yet; the watch does."""
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    name = f"flights-{next(NUMBERS)}"
    running.call("POST", "/user/repos", {"name": name, "auto_init": True})
    running.call("PUT", f"/repos/{OWNER}/{name}/collaborators/{ROBOT}", {"permission": "push"})
    for key, value in {
        "GITHUB_REPOSITORY": f"{OWNER}/{name}", "GITHUB_API_URL": running.url,
        "GITHUB_TOKEN": f"{ROBOT}-token", "GIT_CONFIG_GLOBAL": os.devnull,
    }.items():  # fmt: skip
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("GITHUB_HEAD_REF", raising=False)
    with githttp.git_server(tmp_path / "srv") as http:
        root = tmp_path / "work"
        root.mkdir()
        git(root, "init", "--quiet", "--initial-branch=main")
        (root / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
        (root / ".gitignore").write_text("reports/\n")
        clones.commit(root, "first")
        (tmp_path / "srv").mkdir()
        git(root, "clone", "--quiet", "--bare", ".", str(tmp_path / "srv/flights.git"))
        git(tmp_path / "srv/flights.git", "config", "http.receivepack", "true")
        git(root, "remote", "add", "origin", f"{http.url}/flights.git")
        monkeypatch.chdir(root)
        found = World(root, running, http, f"{OWNER}/{name}")
        found.policy(where="ci", schedule=[], open_limit=1, daily_limit=50, gpu_hours=500, cooldown_days=0)
        found.release(RELEASE)
        found.says()
        yield found
