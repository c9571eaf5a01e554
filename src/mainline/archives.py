"""Unpacks tar archives of others: regular files and folders, nothing outside of the folder, no links.

As the filter `data` of tarfile does it, which Python has only from 3.11.4 on: Debian 12 has 3.11.2.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from mainline.errors import IntegrityError


def extract(archive: tarfile.TarFile, folder: Path, members: Iterable[tarfile.TarInfo] | None = None) -> None:
    """All members, or these, into `folder`, which is new or empty. Owners and times are not taken over.

    Raises IntegrityError at the first member that is neither file nor folder, or would lie elsewhere;
    tarfile.TarError and OSError as reading and writing do.
    """
    root = folder.resolve()
    for member in archive if members is None else members:
        place = (root / member.name).resolve()
        if not place.is_relative_to(root):
            raise _refused(member, "it would lie outside of the folder")
        if member.isdir():
            place.mkdir(parents=True, exist_ok=True)
        elif member.isreg() and (content := archive.extractfile(member)) is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            with content, place.open("wb") as file:
                shutil.copyfileobj(content, file)
            place.chmod(0o755 if member.mode & 0o100 else 0o644)
        else:
            raise _refused(member, "it is neither a file nor a folder")


def _refused(member: tarfile.TarInfo, why: str) -> IntegrityError:
    return IntegrityError(f"the archive holds {member.name[:200]!a}", why=why, remedy="do not use it")
