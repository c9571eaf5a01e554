"""The image, with nothing stood in for but its base: built, pushed, recorded, verified, run as in compose."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mainline import images, releases, verification
from mainline.errors import DeployError, IntegrityError, StorageError
from mainline.supply import packages
from serving import image, schemas
from serving.prediction_log import FILE
from serving.process import Running
from tests import clones
from tests.imports import ROOT
from tests.ports import free_port
from tests.serving import containers
from tests.serving.containers import PASSWORD, USER, Registry
from usecase.schema import FEATURES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("image"),
    pytest.mark.skipif(bool(containers.missing()), reason=containers.missing()),
]
LOGIN = {image.USER: USER, image.PASSWORD: PASSWORD}
COMPOSE = yaml.safe_load((ROOT / "serving/deploy/compose/compose.yaml").read_text())["services"]["service"]
DEPLOYMENT = yaml.safe_load((ROOT / "serving/deploy/kubernetes/base/deployment.yaml").read_text())
LISTS = """
import importlib.metadata, json, shutil
tools = [one for one in ("gcc", "git", "gpg") if shutil.which(one)]
found = {one.name.lower().replace("_", "-"): one.version for one in importlib.metadata.distributions()}
print(json.dumps([tools, found]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("image")


@pytest.fixture(scope="module")
def registry(folder: Path) -> Iterator[Registry]:
    with containers.registry(folder) as made:
        yield made


@pytest.fixture(scope="module")
def own(folder: Path, registry: Registry) -> Iterator[dict[str, str]]:
    """What the engines need in their environment."""
    with containers.engines(folder, registry) as made:
        yield made


@pytest.fixture
def engine(
    own: dict[str, str], registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Of a person who is logged in."""
    for name, value in (own | LOGIN | {"REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONTAINERS_CONF", str(Path(own["CONTAINERS_CONF"]).with_name(containers.USUAL)))
    containers.login(registry, {**os.environ})
    return {**os.environ}


class Project:
    """A clone of this repository with an origin and a remote of its own, and a registry."""

    def __init__(self, folder: Path, registry: Registry, own: dict[str, str]) -> None:
        self.extra = {**own, **LOGIN, "MAINLINE_IMAGE_REGISTRY": f"{registry.host}/team"}
        self.root = clones.copy(folder / "work")
        shutil.copytree(ROOT / ".dvc/cache", self.root / ".dvc/cache")
        params = self.root / "params.yaml"  # how fast it is here is not what is asked
        params.write_text(re.sub(r"(?m)^(  latency_ms:) [0-9.]+", r"\1 1000", params.read_text()))
        dvc = [sys.executable, "-m", "dvc"]
        subprocess.run([*dvc, "remote", "modify", "store", "url", "../../store"], cwd=self.root, check=True)
        subprocess.run([*dvc, "push", "--quiet"], cwd=self.root, check=True)
        clones.commit(self.root, "as it is")
        clones.git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
        clones.git(self.root, "remote", "add", "origin", "../origin.git")
        clones.git(self.root, "push", "--quiet", "origin", "main")

    def mainline(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return clones.mainline(self.root, *arguments, extra=self.extra | extra)

    def record(self) -> releases.Release:
        """Of the one version that there is."""
        (tag,) = clones.git(self.root, "tag", "--list", "*@v*").split()
        return releases.parse(clones.git(self.root, "tag", "--list", "--format=%(contents)", tag))


@pytest.fixture(scope="module")
def project(folder: Path, registry: Registry, own: dict[str, str]) -> Project:
    """Promoted, with an image."""
    containers.supplies(folder)
    containers.bring_base(folder, own)
    made = Project(folder, registry, own)
    done = made.mainline("promote", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["new"]
    return made


def tags(registry: Registry) -> list[str]:
    return list(json.loads(registry.ask("team/flight-delay/tags/list")[0])["tags"])


def test_the_record_has_the_digest_that_the_registry_has(project: Project, registry: Registry) -> None:
    record = project.record()
    bento = record.artifacts["bento"].sha256
    assert tags(registry) == [f"{record.release}-{bento[:12]}"]
    _, digest = registry.ask(f"team/flight-delay/manifests/{tags(registry)[0]}", "HEAD", images.MANIFESTS)
    assert record.image == f"{registry.host}/team/flight-delay@{digest}"
    assert images.look(str(record.image), f"{registry.host}/team", LOGIN).bento == bento


def test_promoted_again_nothing_is_built(project: Project, registry: Registry) -> None:
    before = tags(registry)
    done = project.mainline("promote", "--json", MAINLINE_IMAGE_USER="", MAINLINE_IMAGE_PASSWORD="")
    assert done.returncode == 0, done.stderr
    assert not json.loads(done.stdout)["new"]
    assert tags(registry) == before


def test_no_password_and_no_image_stay_on_this_machine(project: Project, engine: dict[str, str]) -> None:
    listed = subprocess.run(
        ["podman", "images", "--format", "{{.Repository}}"], env=engine, capture_output=True, text=True
    )
    assert "team/flight-delay" not in listed.stdout
    usual = {name: value for name, value in engine.items() if name != "REGISTRY_AUTH_FILE"}
    host = project.extra["MAINLINE_IMAGE_REGISTRY"].partition("/")[0]
    asked = ["podman", "login", "--get-login", host]
    assert "not logged into" in subprocess.run(asked, env=usual, capture_output=True, text=True).stderr


def inside(project: Project, engine: dict[str, str], *command: str) -> str:
    """What a command in the image says."""
    asked = ["podman", "run", "--rm", "--network", "none", "--entrypoint", command[0]]
    done = subprocess.run(
        [*asked, str(project.record().image), *command[1:]], env=engine, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_what_the_lock_names_and_no_compiler(project: Project, engine: dict[str, str]) -> None:
    tools, found = json.loads(inside(project, engine, "python", "-c", LISTS))
    locked = packages.locked((ROOT / "uv.lock").read_text(), "serving")
    assert found == {one.name: one.version for one in locked}
    assert tools == []
    traces = inside(project, engine, "sh", "-c", "cat /etc/pip.conf /etc/uv/uv.toml; ls /tmp/wheels; env")
    assert "find-links" not in traces and ".whl" not in traces, "what is of this machine stays here"


def as_compose_does(engine: dict[str, str], name: str, log: Path, port: int) -> list[str]:
    """`podman run` with all that compose.yaml says of the service, but for its network and its port."""
    assert COMPOSE["read_only"] and COMPOSE["entrypoint"][-4:] == ["--host", "0.0.0.0", "--port", "3000"]  # noqa: S104
    pod = DEPLOYMENT["spec"]["template"]["spec"]
    user = "{runAsUser}:{runAsGroup}".format_map(pod["securityContext"])
    log.mkdir()
    os.chown(log, *map(int, user.split(":")))
    entrypoint = [*COMPOSE["entrypoint"][:-4], "--host", "127.0.0.1", "--port", str(port)]
    command = ["podman", "run", "--read-only", "--read-only-tmpfs=false", "--network", "host", "--user", user]
    command += [f"--cap-drop={one}" for one in COMPOSE["cap_drop"]]
    command += [f"--security-opt={one.removesuffix(':true')}" for one in COMPOSE["security_opt"]]
    command += [f"--tmpfs={one}" for one in COMPOSE["tmpfs"]]
    command += [f"--env={key}={value}" for key, value in COMPOSE["environment"].items()]
    command += [f"--volume={log}:{COMPOSE['environment']['SERVING_LOG_PATH']}"]
    return [*command, f"--workdir={COMPOSE['working_dir']}", f"--entrypoint={json.dumps(entrypoint)}", name]


@contextlib.contextmanager
def started(command: list[str], engine: dict[str, str], port: int) -> Iterator[Running]:
    process = subprocess.Popen(command, env=engine, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    service, limit = Running(process, port, 0, ""), time.monotonic() + 60
    try:
        while not ready(service):
            assert process.poll() is None and time.monotonic() < limit, process.communicate(timeout=5)[0]
            time.sleep(0.05)
        yield service
    finally:
        process.terminate()
        process.wait(60)


def ready(service: Running) -> bool:
    try:
        return service.ask("GET", "/readyz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def test_shut_in_as_compose_does_it_answers_as_the_bento(
    project: Project, engine: dict[str, str], service: Running, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "log"
    command = as_compose_does(engine, str(project.record().image), log, port)
    rows = [dict(schemas.example(FEATURES)), {**schemas.example(FEATURES), FEATURES.numeric[0].name: None}]
    with started(command, engine, port) as container:
        status, answer = container.predict(rows)
        assert status == 200
        assert answer["predictions"] == service.predict(rows)[1]["predictions"]
        assert answer["version"] == project.record().release
        (served,) = [one for one in processes() if one["Name"] == "python" and str(port) in one["line"]]
        user = DEPLOYMENT["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
        assert served["Uid"].split() == [str(user)] * 4
        assert (int(served["CapEff"], 16), served["NoNewPrivs"]) == (0, "1")
        assert container.ask("GET", "/provenance")[0] == 200
    assert container.process.returncode == 0, "a stop is a clean end"
    assert [json.loads(one)["request_id"] for one in (log / FILE).read_text().splitlines()] == [
        answer["request_id"]
    ] * 2


def processes() -> Iterator[dict[str, str]]:
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            found = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            line = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield found | {"line": line}


def test_as_it_is_it_serves_too(project: Project, engine: dict[str, str]) -> None:
    """By BentoML's own entrypoint, for whoever just runs it."""
    said = inside(project, engine, "sh", "-c", "cat $BENTO_PATH/env/docker/entrypoint.sh; id -u")
    assert "serve" in said and said.split()[-1] == "1034"


def test_a_wrong_password_is_told_before_anything_is_built(
    engine: dict[str, str], registry: Registry, bento: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(image.PASSWORD, "another")
    with pytest.raises(DeployError, match="podman login") as caught:
        image.image(bento, f"{registry.host}/team/x:v1")
    assert "password" in str(caught.value) and "another" not in str(caught.value)


def small(engine: dict[str, str], name: str, program: str) -> None:
    """An image that has one file."""
    done = subprocess.run(
        ["buildah", "from", "scratch"], env=engine, capture_output=True, text=True, check=True
    )
    container = done.stdout.strip()
    file = Path(engine["CONTAINERS_CONF"]).parent / "python"
    file.write_text(program)
    file.chmod(0o755)
    for command in (
        ["copy", container, str(file), "/bin/python"],
        ["commit", container, name],
        ["rm", container],
    ):
        subprocess.run(["buildah", *command], env=engine, capture_output=True, check=True)


@pytest.mark.parametrize("which", ["podman", "buildah"])
def test_what_does_not_answer_is_not_pushed(which: str, engine: dict[str, str], registry: Registry) -> None:
    name = f"{registry.host}/team/broken:{which}"
    small(engine, name, "#!/bin/nothing\n")
    with pytest.raises(DeployError, match=f"{which} run") as caught:
        image._try(which, name, engine)
    assert "nothing was pushed" in str(caught.value)


@pytest.mark.parametrize("which", ["podman", "buildah"])
def test_a_push_that_is_refused_says_so_and_one_that_is_not_its_digest(
    which: str, engine: dict[str, str], registry: Registry, tmp_path: Path
) -> None:
    path = f"{registry.host}/team/small-{which}"
    small(engine, f"{path}:v1", "")
    (tmp_path / "none.json").write_text("{}")
    nobody = engine | {"REGISTRY_AUTH_FILE": str(tmp_path / "none.json")}
    with pytest.raises(DeployError, match=f"{which} push") as caught:
        image._pushed(which, f"{path}:v1", path, tmp_path / "digest", nobody)
    assert "authentication required" in str(caught.value) and "may this machine push" in str(caught.value)
    containers.login(registry, nobody)
    digest = image._pushed(which, f"{path}:v1", path, tmp_path / "digest", nobody)
    assert digest == registry.ask(f"team/small-{which}/manifests/v1", "HEAD", images.MANIFESTS)[1]


def test_verify_asks_the_registry(project: Project, engine: dict[str, str], registry: Registry) -> None:
    """Last of all: it takes the image away, and then the registry."""
    record = project.record()
    done = project.mainline("verify", record.release)
    assert done.returncode == 0 and "holds  image" in done.stdout, done.stdout + done.stderr
    with pytest.raises(StorageError, match="does not give us"):
        images.look(str(record.image), None, {})
    name, _, digest = str(record.image).partition("@")
    registry.ask(f"{name.partition('/')[2]}/manifests/{digest}", "DELETE")
    done = project.mainline("verify", record.release)
    assert done.returncode == IntegrityError.exit_code and "fails  image" in done.stdout, done.stdout
    registry.process.kill()
    registry.process.wait()
    with pytest.raises(StorageError, match="cannot be asked"):
        verification.pushed(record, None)
