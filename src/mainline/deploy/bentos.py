"""The files of what is deployed here: a copy of each Bento that runs, its code beside it, and the logs."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path

from mainline import archives
from mainline.deploy.state import State
from mainline.errors import ConfigError, IntegrityError
from mainline.releases import Release

LOGS = 10  # of services, that are kept
CODE = "src"  # of a Bento: the folder of its code


def store(folder: Path, record: Release, files: Mapping[str, Path]) -> Path:
    """A copy of the Bento that lasts as long as its service. Raises IntegrityError for another file."""
    if "bento" not in files or "bento" not in record.artifacts:
        raise ConfigError(f"{record.release} has no Bento", remedy="was it made by `mainline promote`?")
    named = record.artifacts["bento"]
    place = folder / "releases" / named.sha256 / Path(named.name).name
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(".part")
    shutil.copyfile(files["bento"], partial)
    with partial.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != named.sha256:
            raise IntegrityError(
                f"{files['bento']} is not the Bento of {record.release}",
                why="its sha256 is not that of the release record",
                remedy="nothing was deployed; `mainline verify` looks at every file",
            )
    partial.replace(place)
    _unpack(place)
    return place


def tidy(folder: Path, now: State) -> None:
    """Remove the files of releases that no service here runs from, and old logs."""
    used = {service.digest for service in (now.active, now.previous) if service}
    for place in (folder / "releases").iterdir():
        if place.name not in used:
            shutil.rmtree(place, ignore_errors=True)
    logs = sorted((folder / "logs").glob("v*.log"), key=lambda log: log.stat().st_mtime)
    for log in logs[:-LOGS]:
        log.unlink()


def _unpack(bento: Path) -> None:
    """The Bento's own code beside it, which starts it: the archive's digest was checked."""
    if not tarfile.is_tarfile(bento):
        return  # the service refuses it by itself
    partial, code = bento.with_name(".code"), bento.with_name(CODE)
    shutil.rmtree(partial, ignore_errors=True)
    with tarfile.open(bento) as archive:
        inside = [one for one in archive if one.name.removeprefix("./").startswith(f"{CODE}/")]
        archives.extract(archive, partial, inside)
    shutil.rmtree(code, ignore_errors=True)
    if inside:
        (partial / CODE).rename(code)
