"""Archives of others are unpacked alike on every Python, and into their folder alone."""

from __future__ import annotations

import io
import re
import tarfile
from pathlib import Path

import pytest

from mainline import archives
from mainline.errors import IntegrityError
from tests.imports import ROOT


def packed(*members: tarfile.TarInfo, content: bytes = b"x") -> tarfile.TarFile:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for member in members:
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    file.seek(0)
    return tarfile.open(fileobj=file)


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, target, mode
    return made


def test_files_and_folders_arrive_without_special_bits(tmp_path: Path) -> None:
    given = (member("a", tarfile.DIRTYPE), member("a/b", mode=0o4777), member("c/d"))
    archives.extract(packed(*given, content=b"text"), tmp_path)
    assert (tmp_path / "a/b").read_bytes() == (tmp_path / "c/d").read_bytes() == b"text"
    assert (tmp_path / "a/b").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "c/d").stat().st_mode & 0o7777 == 0o644


@pytest.mark.parametrize(
    "hostile",
    [
        member("../outside"),
        member("a/../../outside"),
        member("/outside/of/it"),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.LNKTYPE, "first"),
        member("pipe", tarfile.FIFOTYPE),
        member("device", tarfile.CHRTYPE),
    ],
    ids=lambda one: one.name + one.type.decode(),
)
def test_what_is_neither_or_lies_elsewhere_is_refused(tmp_path: Path, hostile: tarfile.TarInfo) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(IntegrityError, match="the archive holds"):
        archives.extract(packed(member("first"), hostile), folder)
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "first"]


def test_nothing_else_of_ours_unpacks() -> None:
    """Not by tarfile's own filter, which the Python of Debian 12 lacks, nor without one."""
    for file in (
        path for room in ("src", "serving", "monitoring", "tests") for path in (ROOT / room).rglob("*.py")
    ):
        if "node_modules" not in file.parts and file.name not in ("archives.py", Path(__file__).name):
            assert not re.search(r"\.extract(all)?\(.*filter|\.extractall\(", file.read_text()), file
