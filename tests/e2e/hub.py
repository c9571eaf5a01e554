"""One address that is a forge: Git over HTTP, the REST API (emulate) and pages to look at.

emulate keeps pull requests, comments, issues and labels. It has no Git: what a pull request says of commits
is put right here from the bare repository, and a merge is made with git: a squash, for a linear history.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests import servers
from tests.e2e.gitserver import Pushed, Repository
from tests.servers import REPOSITORY, GitHubServer
from tests.workflows.act import TOKEN as GITHUB_TOKEN

MAIN = "main"
APP, APP_TOKEN = "mainline-app", "app-token"  # the stand-in for create-github-app-token gives this one
PEOPLE = ("ada", "grace")  # a developer, a release manager
PULLS = f"/repos/{REPOSITORY}/pulls"
GITHUB = ("-c", "user.name=GitHub", "-c", "user.email=noreply@example.org")  # by whom it commits
Page = Callable[[str], tuple[int, str, bytes] | None]


def seed() -> dict[str, Any]:
    """The tests' accounts, an App and two people."""
    github: dict[str, Any] = servers.SEED["github"]  # type: ignore[assignment]
    names = [*(user["login"] for user in github["users"]), APP, *PEOPLE]
    tokens = {f"{name}-token": {"login": name, "scopes": ["repo", "user", "workflow"]} for name in names}
    tokens[APP_TOKEN] = {"login": APP, "scopes": ["repo"]}
    return {"tokens": tokens, "github": {**github, "users": [{"login": name} for name in names]}}


@dataclass(frozen=True, slots=True)
class Pull:
    """What a pull request is: the API's description with commits as they are in Git."""

    content: dict[str, Any]

    @property
    def number(self) -> int:
        return int(self.content["number"])

    @property
    def branch(self) -> str:
        return str(self.content["head"]["ref"])

    @property
    def sha(self) -> str:
        return str(self.content["head"]["sha"])

    @property
    def fork(self) -> bool:
        return bool(self.content["head"]["repo"]["full_name"] != REPOSITORY)


@dataclass
class Hub:
    """The forge. `pushed` and `acted` are called for what people and programs did to it."""

    repository: Repository
    api: GitHubServer
    server: ThreadingHTTPServer
    pushed: Callable[[Pushed], object] = print
    acted: Callable[[str, Pull, str], object] = print  # action, what, token
    dispatched: Callable[[str, str, str], object] = print  # workflow, branch, token
    may_merge: Callable[[Pull], str] = lambda _: ""  # why not; empty: it may
    strict: bool = True  # the ruleset's: a branch must hold main's newest commit before it is merged
    page: Page = lambda _: None
    merges: dict[int, dict[str, Any]] = field(default_factory=dict)  # emulate cannot be told of a merge
    merging: threading.Lock = field(default_factory=threading.Lock)
    heads: dict[int, str] = field(default_factory=dict)  # of closed ones, whose branch may be gone

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def home(self) -> str:
        return f"{self.url}/{REPOSITORY}"

    def origin(self, token: str = "") -> str:
        """The address to clone."""
        who = f"x-access-token:{token}@" if token else ""
        return f"http://{who}127.0.0.1:{self.server.server_port}/{REPOSITORY}.git"

    def pulls(self, state: str = "all") -> list[Pull]:
        listed = self.api.call("GET", f"{PULLS}?state={state}&per_page=100&direction=asc")
        return [Pull(self.right(pull)) for pull in listed]

    def pull(self, number: int) -> Pull:
        return Pull(self.right(self.api.call("GET", f"{PULLS}/{number}")))

    def open_pull(self, branch: str, title: str, body: str, who: str) -> Pull:
        """As a person does on the page."""
        content = {"title": title, "body": body, "head": branch, "base": MAIN}
        pull = Pull(self.right(self.api.call("POST", PULLS, content, who)))
        self.acted("opened", pull, f"{who}-token")
        return pull

    def merge(self, number: int, token: str) -> str:
        """Squash a pull request onto main, delete its branch, close it; the commit. Raises ValueError."""
        with self.merging:  # of two at once the second one's base is the first one's commit
            return self._merge(self.pull(number), token)

    def _merge(self, pull: Pull, token: str) -> str:
        number = pull.number
        if pull.content["state"] != "open":
            raise ValueError("not open")
        if why := self.may_merge(pull):
            raise ValueError(why)
        git, base = self.repository.git, str(self.repository.tip(MAIN))
        if self.strict and git("rev-list", "--max-count=1", base, f"^{pull.sha}"):
            raise ValueError("the branch is not up to date")
        tree = self._tree(base, pull.sha)
        # GitHub's own message has those of the commits: the lock's trailers come to main in it.
        said = git("log", "--reverse", "--no-merges", "--format=* %B", f"{base}..{pull.sha}")
        words = f"{pull.content['title']} (#{number})\n\n{said}"
        commit = git(*GITHUB, "commit-tree", tree, "-p", base, text=words)
        self.merges[number] = {"merged": True, "merge_commit_sha": commit}
        self.heads[number] = pull.sha
        self.api.call("PATCH", f"{PULLS}/{number}", {"state": "closed"})
        self.repository.move(f"refs/heads/{MAIN}", commit, token)
        self.acted("closed", self.pull(number), token)
        git("update-ref", "-d", f"refs/heads/{pull.branch}")
        return commit

    def _tree(self, base: str, head: str) -> str:
        """Of both, merged. Raises ValueError."""
        try:
            return self.repository.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        except subprocess.CalledProcessError:
            raise ValueError("conflict") from None

    def update(self, number: int, token: str) -> None:
        """The button `Update branch`: main is merged into it. Raises ValueError."""
        pull, base = self.pull(number), str(self.repository.tip(MAIN))
        tree, parents = self._tree(base, pull.sha), ("-p", pull.sha, "-p", base)
        words = f"Merge branch '{MAIN}' into {pull.branch}"
        commit = self.repository.git(*GITHUB, "commit-tree", tree, *parents, text=words)
        self.repository.move(f"refs/heads/{pull.branch}", commit, token)

    def close_pull(self, number: int, who: str) -> None:
        self.set_state(number, "closed", who)

    def set_state(self, number: int, state: str, who: str) -> None:
        """`closed` or `open` (again), as a person does on the page."""
        self.api.call("PATCH", f"{PULLS}/{number}", {"state": state}, who)
        self.acted("closed" if state == "closed" else "reopened", self.pull(number), f"{who}-token")

    def label(self, number: int, name: str, who: str) -> None:
        """As a person does on the page. It starts nothing: no workflow of ours listens to labels."""
        self.api.call("POST", f"/repos/{REPOSITORY}/issues/{number}/labels", {"labels": [name]}, who)

    def right(self, pull: dict[str, Any]) -> dict[str, Any]:
        """The pull request with commits of Git."""
        number, head = pull["number"], pull["head"]
        fork = head["repo"] is not None and head["repo"]["full_name"] != REPOSITORY
        reference = f"refs/pull/{number}/head" if fork else f"refs/heads/{head['ref']}"
        refs = self.repository.refs()
        if pull["state"] == "open" and reference in refs:
            self.heads[number] = refs[reference]
        head = {**head, "sha": self.heads.get(number, head["sha"])}
        base = {**pull["base"], "sha": refs.get(f"refs/heads/{MAIN}", pull["base"]["sha"])}
        return {**pull, "head": head, "base": base, **self.merges.get(number, {})}

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def is_github_token(token: str) -> bool:
    """Whether an event by this token starts nothing."""
    return token == GITHUB_TOKEN
