"""The packages that a group of `uv.lock` installs on one platform, with digests and what each needs."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from packaging.markers import InvalidMarker, Marker

from mainline.errors import ConfigError


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """`files`: sha256 by file name; pip and uv install one of them. `needs`: names of other packages here."""

    name: str
    version: str
    files: tuple[tuple[str, str], ...]
    needs: tuple[str, ...]

    @property
    def purl(self) -> str:
        """The package URL, https://github.com/package-url/purl-spec: type pypi."""
        return f"pkg:pypi/{self.name}@{self.version.replace('+', '%2B')}"


def linux(python: str = "3.11", machine: str = "x86_64") -> dict[str, str]:
    """The marker environment (PEP 508) of CPython on Linux."""
    return {
        "implementation_name": "cpython", "implementation_version": f"{python}.0", "os_name": "posix",
        "platform_machine": machine, "platform_python_implementation": "CPython", "platform_release": "",
        "platform_system": "Linux", "platform_version": "", "python_full_version": f"{python}.0",
        "python_version": python, "sys_platform": "linux", "extra": "",
    }  # fmt: skip


def locked(lock: str, group: str, environment: Mapping[str, str] | None = None) -> list[Package]:
    """All packages of a dependency group with what they need in turn, sorted by name.

    Without `environment`, of CPython 3.11 on Linux. Raises ConfigError when the lock cannot be read or has no
    such group.
    """
    env = dict(environment or linux())
    try:
        content = tomllib.loads(lock)
        packages: list[dict[str, Any]] = content["package"]
        own = next(one for one in packages if {"editable", "virtual"} & one["source"].keys())
        wanted = own["dev-dependencies"][group]
        return sorted(_closure(packages, wanted, env))
    except (KeyError, StopIteration) as error:
        raise ConfigError(
            f"uv.lock has no dependency group {group}", why=f"{error!r} is not in it", remedy="uv lock"
        ) from None
    except (ValueError, TypeError, AttributeError, InvalidMarker, RecursionError) as error:
        why = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise ConfigError("uv.lock cannot be read", why=why, remedy="uv lock") from None


def _closure(
    packages: list[dict[str, Any]], wanted: list[dict[str, Any]], env: dict[str, str]
) -> Iterator[Package]:
    waiting = list(_holding(wanted, env))
    extras: dict[str, set[str]] = {}
    found: dict[str, dict[str, Any]] = {}
    while waiting:
        dependency = waiting.pop()
        name = dependency["name"]
        package, asked = _package(packages, dependency), set(dependency.get("extra", []))
        new = asked - extras.setdefault(name, set())
        first, found[name] = name not in found, package
        extras[name] |= asked
        if first:
            waiting += _holding(package.get("dependencies", []), env)
        for extra in sorted(new):
            waiting += _holding(package.get("optional-dependencies", {}).get(extra, []), env)
    for name, package in found.items():
        needs = list(package.get("dependencies", []))
        for extra in extras[name]:
            needs += package.get("optional-dependencies", {}).get(extra, [])
        names = tuple(sorted({one["name"] for one in _holding(needs, env)} - {name}))
        yield Package(name, package["version"], _files(package, env["platform_machine"]), names)


def _holding(dependencies: list[dict[str, Any]], env: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Those whose marker holds in the environment."""
    for one in dependencies:
        if "marker" not in one or Marker(one["marker"]).evaluate(env):
            yield one


def _package(packages: list[dict[str, Any]], dependency: dict[str, Any]) -> dict[str, Any]:
    """The one that a dependency means; uv gives the version where the lock has several. Raises KeyError."""
    name, version = dependency["name"], dependency.get("version")
    for one in packages:
        if one["name"] == name and version in (None, one["version"]):
            return one
    raise KeyError(name)


def _files(package: dict[str, Any], machine: str) -> tuple[tuple[str, str], ...]:
    """Wheels that Linux on this machine can install, else the source archive."""
    wheels = [one for one in package.get("wheels", []) if _fits(_name(one), machine)]
    files = wheels or [package[kind] for kind in ("sdist",) if kind in package]
    pairs = ((_name(one), one["hash"].removeprefix("sha256:")) for one in files if "hash" in one)
    return tuple(sorted(pairs))


def _name(file: dict[str, Any]) -> str:
    """Of a file; its address stays out, because it names whichever mirror the lock was made with."""
    return str(file.get("url") or file.get("path") or file.get("filename")).rsplit("/", 1)[-1]


def _fits(wheel: str, machine: str) -> bool:
    platform = wheel.removesuffix(".whl").rsplit("-", 1)[-1]
    return platform == "any" or ("linux" in platform and platform.endswith(machine))
