"""What the Bento's image installs: the versions and files that the lock names, and so the tests ran with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from mainline.errors import ConfigError
from mainline.supply import packages
from mainline.supply.packages import Package
from serving import signature

LOCK = "uv.lock"
MACHINES = ("x86_64", "aarch64")


def requirements(root: Path, *, signed: bool) -> list[str]:
    """A line of a requirements file for each library, also for what the libraries need, with sha256 digests.

    `signed`: with what checks a model's signature. Raises ConfigError without a lock that can be read.
    """
    try:
        lock = (root / LOCK).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{LOCK} cannot be read", why=str(error), remedy="uv lock") from None
    digests: dict[str, set[str]] = {}
    for machine in MACHINES:
        for one in _locked(lock, machine, signed=signed):
            digests.setdefault(f"{one.name}=={one.version}", set()).update(sha256 for _, sha256 in one.files)
    return [
        " ".join([name, *(f"--hash=sha256:{one}" for one in sorted(digests[name]))])
        for name in sorted(digests)
    ]


def _locked(lock: str, machine: str, *, signed: bool) -> Iterator[Package]:
    environment = packages.linux(machine=machine)
    yield from packages.locked(lock, "serving", environment)
    if signed:
        yield from _needed(packages.locked(lock, "release", environment), signature.PACKAGES)


def _needed(listed: Iterable[Package], names: Iterable[str]) -> Iterator[Package]:
    """Those, and what they need in turn."""
    known = {one.name: one for one in listed}
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in known:
            seen.add(name)
            waiting += known[name].needs
            yield known[name]
