"""The Kubernetes target: a branch per stage that holds a whole kustomization, which Argo CD or Flux applies.

We talk to no cluster. The branch holds the files of `serving/deploy/kubernetes` at the release's commit, and
above them one `kustomization.yaml` with the stage's overlay and the image's digest from the release record.
"""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mainline import archives
from mainline.deploy.interface import Deployed, Stage
from mainline.errors import ConfigError, DeployError, GitError, SupersededError
from mainline.git import BOT, BOT_ADDRESS, ORIGIN, Git
from mainline.releases import Release

SOURCE = "serving/deploy/kubernetes"
IMAGE = "mainline-service"  # stands for the image in the base
FILE = "kustomization.yaml"
# registry/path@sha256:digest; a tag beside the digest says nothing more
DIGEST = re.compile(r"(?P<name>[a-z0-9][a-z0-9._/:-]{0,250})@(?P<digest>sha256:[0-9a-f]{64})")
TAG = re.compile(r":[^/:]*$")
KEYS = ("release", "commit", "digest")
PREFIX = "mainline.dev/"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The branch `deploy/STAGE` on origin of the repository at `root`."""

    stage: Stage
    root: Path = Path()

    @property
    def branch(self) -> str:
        return f"deploy/{self.stage}"

    def plan(self, record: Release) -> list[str]:
        """What `deploy` would do.

        Raises ConfigError for a record without an image's digest, and for a commit without these manifests.
        """
        name, digest = image(record)
        self._check(Git(self.root), record)
        return [
            f"render {SOURCE}/overlays/{self.stage} of {record.commit[:9]} with {name}@{digest}",
            f"commit it to {self.branch} and push, unless the branch holds just that",
            "Argo CD or Flux applies the branch",
        ]

    def deploy(self, record: Release, files: Mapping[str, Path]) -> Deployed:  # noqa: ARG002 - the image has them
        """Put the release's kustomization on the branch. The same content makes no commit.

        Raises ConfigError, GitError, or SupersededError when another deployment came between.
        """
        top = kustomization(record, self.stage)
        git = Git(self.root)
        tip, _ = git.remote_tip(self.branch)
        if tip is not None:
            git("fetch", "--quiet", "--no-tags", ORIGIN, f"refs/heads/{self.branch}")
        self._check(git, record)
        tree = self._tree(git, record.commit, top)
        changed = tip is None or git.tree(tip) != tree
        if changed:
            self._push(git, tree, tip, record)
        return self._deployed(record.release, record.commit, image(record)[1], changed=changed)

    def current(self) -> Deployed | None:
        """What the branch asks for; None when there is no branch. Raises GitError or DeployError."""
        git = Git(self.root)
        tip, _ = git.remote_tip(self.branch)
        if tip is None:
            return None
        git("fetch", "--quiet", "--no-tags", ORIGIN, f"refs/heads/{self.branch}")
        try:
            notes = yaml.safe_load(git("show", f"{tip}:{FILE}"))["commonAnnotations"]
            return self._deployed(*(str(notes[PREFIX + key]) for key in KEYS))
        except (yaml.YAMLError, KeyError, TypeError, GitError):
            raise DeployError(
                f"{self.branch} is not one that this made", remedy=f"look at {FILE} on that branch"
            ) from None

    def _deployed(self, release: str, commit: str, digest: str, *, changed: bool = False) -> Deployed:
        return Deployed("kubernetes", self.stage, release, commit, digest, self.branch, changed)

    def _check(self, git: Git, record: Release) -> None:
        """Raises ConfigError when the release's commit has no overlay of this stage."""
        path = f"{SOURCE}/overlays/{self.stage}/{FILE}"
        try:
            git("cat-file", "-e", f"{record.commit}:{path}")
        except GitError:
            raise ConfigError(
                f"commit {record.commit[:9]} of {record.release} has no {path}",
                remedy="is this clone whole (git fetch --unshallow)? else release a version that has it",
            ) from None

    def _tree(self, git: Git, commit: str, top: str) -> str:
        """The tree of the branch, made in a work tree of its own: HEAD and the index stay as they are."""
        with _work_tree(git) as place:
            archive = place.with_suffix(".tar")
            git("archive", f"--output={archive}", f"{commit}:{SOURCE}")
            with tarfile.open(archive) as packed:
                archives.extract(packed, place)
            (place / FILE).write_text(top)
            own = Git(place)
            own("add", "--all", "--force")
            return own("write-tree")

    def _push(self, git: Git, tree: str, tip: str | None, record: Release) -> None:
        who = ("-c", f"user.name={BOT}", "-c", f"user.email={BOT_ADDRESS}")
        after = ("-p", tip) if tip else ()
        subject = f"{record.model} {record.release} to {self.stage}"
        body = f"From commit {record.commit}, image {record.image}"
        commit = git(*who, "commit-tree", tree, *after, "-m", subject, "-m", body)
        try:
            git.push_commit(commit, self.branch, expected=tip or "")
        except SupersededError:
            raise SupersededError(
                f"{self.branch} moved on while {record.release} was put there",
                why="another deployment came between, or the branch is protected from us",
                remedy="see what is there now, then run the same command again",
            ) from None


def image(record: Release) -> tuple[str, str]:
    """Name without tag, and digest of the record's image. Raises ConfigError when there is none."""
    if record.image is None:
        raise ConfigError(
            f"{record.release} has no image",
            why="when it was promoted, no container registry was configured",
            remedy="deploy it with --target local, or configure one and promote again",
        )
    match = DIGEST.fullmatch(record.image)
    if match is None:
        raise ConfigError(
            f"{record.release} has an image without a digest: {record.image[:200]!r}",
            why="a tag can be moved to other bytes; name@sha256:… cannot",
        )
    return TAG.sub("", match["name"]), match["digest"]


def kustomization(record: Release, stage: Stage) -> str:
    """The branch's own kustomization: the overlay, the image's digest, and what it is in annotations."""
    name, digest = image(record)
    values = dict(zip(KEYS, (record.release, record.commit, digest), strict=True))
    content: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [f"overlays/{stage}"],
        "images": [{"name": IMAGE, "newName": name, "digest": digest}],
        "commonAnnotations": {PREFIX + key: value for key, value in values.items()},
    }
    return "# Made by `mainline deploy`: do not edit.\n" + yaml.safe_dump(content, sort_keys=False, width=200)


@contextmanager
def _work_tree(git: Git) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="mainline-deploy-") as folder:
        place = Path(folder) / "tree"
        git("worktree", "add", "--quiet", "--detach", "--no-checkout", str(place), "HEAD")
        try:
            yield place
        finally:
            with suppress(GitError):
                git("worktree", "remove", "--force", str(place))
