"""What every deploy target can do, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mainline.releases import Release

Stage = Literal["staging", "production"]


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a target serves. `digest`: sha256 of the Bento, or the image's `sha256:…`.

    `place`: where to find it, an address or a branch. `changed`: this call changed something.
    """

    target: str
    stage: str
    release: str
    commit: str
    digest: str
    place: str
    changed: bool = False


class Target(Protocol):
    """One place to deploy to, for one stage."""

    def plan(self, record: Release) -> list[str]:
        """What `deploy` would do, step by step, for people. Raises ConfigError where it would refuse."""

    def deploy(self, record: Release, files: Mapping[str, Path]) -> Deployed:
        """Serve the release; the same release again changes nothing.

        Args:
            record: the release record of its version tag.
            files: the release's artifacts by name (`bento`), as the target needs them; checked here too.

        Raises DeployError when what is served is as before, and Interrupted.
        """

    def current(self) -> Deployed | None:
        """What is served now; None when nothing is."""
