"""A real registry with a password, the base image, and real engines for them. Needs root, and no Docker.

The base stands for the one that the Dockerfile names, which cannot be pulled where these tests run: Debian
with Python and pip, out of debootstrap. What pip and uv install in a build comes from a folder of wheels that
is mounted for that long, so that no address of an index gets into the image.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from serving import libraries
from tests.imports import ROOT
from tests.ports import free_port

NEEDED = ("podman", "buildah", "runc", "docker-registry", "debootstrap", "pip")
PACKAGES = "python3,python3-pip,ca-certificates"
BASE = "docker.io/library/python:3.11-slim"
USUAL = "usual.conf"  # containers.conf without what only a build is given
USER, PASSWORD = "robot", "s3cr3t"
HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu35fBIWlNgF8BcAW/t2cO158N8svSFHy\n"  # bcrypt
PATH = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"


def missing() -> str:
    """Why no image can be built here; empty where one can."""
    if os.geteuid() != 0:
        return "only root builds images without user namespaces"
    if shutil.which("docker") and subprocess.run(["docker", "version"], capture_output=True).returncode == 0:
        return "a Docker engine is here, and would be asked first"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        return "no right to mount, which a build needs"
    absent = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass(frozen=True)
class Registry:
    """Distribution's registry on loopback. Whoever asks must log in."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, path: str, method: str = "GET", accept: str = "*/*") -> tuple[bytes, str]:
        """The answer's body, and the digest in its head."""
        login = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": accept}
        url = f"http://{self.host}/v2/{path}"
        request = urllib.request.Request(url, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read(), answer.headers.get("Docker-Content-Digest", "")


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    port = free_port()
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "registry.yml").write_text(
        "version: 0.1\nlog: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '127.0.0.1:{port}'}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    )
    with (folder / "registry.log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(folder / "registry.yml")], stdout=log, stderr=log
        )
    made = Registry(port, process)
    try:
        limit = time.monotonic() + 20
        while not _answers(made):
            assert time.monotonic() < limit and process.poll() is None, (folder / "registry.log").read_text()
            time.sleep(0.05)
        yield made
    finally:
        process.kill()
        process.wait()


def _answers(made: Registry) -> bool:
    try:
        made.ask("")
    except OSError:
        return False
    return True


@contextmanager
def engines(folder: Path, made: Registry) -> Iterator[dict[str, str]]:
    """The environment in which podman and buildah have a store of their own, and know that registry."""
    own = {
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "CONTAINERS_CONF": str(folder / "containers.conf"),
        "BUILDAH_ISOLATION": "chroot",
        "PATH": PATH,
    }
    (folder / "registries.conf").write_text(f'[[registry]]\nlocation = "{made.host}"\ninsecure = true\n')
    settings = (
        'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
        '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\n'
    )
    mounted = ", ".join(f'"{one}"' for one in _mounts(folder))
    (folder / "containers.conf").write_text(f"[containers]\nvolumes = [{mounted}]\n{settings}")
    (folder / USUAL).write_text(f"[containers]\n{settings}")
    environment = {**os.environ, **own}
    for driver in ("overlay", "vfs"):
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n'
        )
        if subprocess.run(["podman", "info"], env=environment, capture_output=True).returncode == 0:
            break
        shutil.rmtree(folder / "store", ignore_errors=True)
    else:
        pytest.skip("podman cannot keep images on this machine")
    try:
        yield own
    finally:
        subprocess.run(["podman", "rm", "--all", "--force"], env=environment, capture_output=True)
        subprocess.run(["umount", str(folder / "store/overlay")], capture_output=True)
        shutil.rmtree(folder / "store", ignore_errors=True)


def _mounts(folder: Path) -> Sequence[str]:
    pip, uv = folder / "pip.conf", folder / "uv.toml"
    pip.write_text("[global]\nno-index = true\nfind-links = /tmp/wheels\n")
    uv.write_text('no-index = true\nfind-links = ["/tmp/wheels"]\n')
    inside = (f"{folder}/wheels:/tmp/wheels", f"{pip}:/etc/pip.conf", f"{uv}:/etc/uv/uv.toml")
    return [f"{one}:ro" for one in inside]


def login(made: Registry, environment: dict[str, str]) -> None:
    """For podman and buildah, whose own `login` wants TLS even of a registry that has none."""
    command = ["podman", "login", "--username", USER, "--password-stdin", made.host]
    subprocess.run(command, env=environment, input=PASSWORD, text=True, capture_output=True, check=True)


def supplies(folder: Path) -> None:
    """Side by side: the wheels, by this machine's pip and its index, and the base's files, from Debian."""
    (folder / "wanted.txt").write_text("\n".join(libraries.requirements(ROOT, signed=False)))
    pip = ["pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11"]
    base = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(folder / "base")]
    commands = (
        [*pip, "--dest", str(folder / "wheels"), "--requirement", str(folder / "wanted.txt")],
        [*pip, "--dest", str(folder / "wheels"), "uv"],
        base,
    )
    with (folder / "supplies.log").open("wb") as log:
        environment = {**os.environ, "PATH": PATH}
        running = [subprocess.Popen(command, stdout=log, stderr=log, env=environment) for command in commands]
        codes = [one.wait() for one in running]
    if codes != [0, 0, 0]:  # no index, or no mirror of Debian, that this machine may ask
        pytest.skip(f"nothing to build an image of: {(folder / 'supplies.log').read_text()[-600:]}")


def bring_base(folder: Path, own: dict[str, str]) -> None:
    """As the official one is: `python` is there, and pip installs into it."""
    root, archive = folder / "base", folder / "base.tar"
    (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    (root / "usr/bin/python").symlink_to("python3")
    for path in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale", "usr/share/man"):
        shutil.rmtree(root / path)
    path = "ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin"
    for command in (
        ["tar", "--directory", str(root), "--create", "--file", str(archive), "."],
        ["podman", "import", "--quiet", "--change", path, str(archive), BASE],
    ):
        done = subprocess.run(command, env={**os.environ, **own}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    shutil.rmtree(root)
    archive.unlink()
