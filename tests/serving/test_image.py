"""The image: real BentoML, and stand-ins for the engines, which keep what they were asked."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mainline.errors import ConfigError, DeployError
from serving import image
from tests.imports import ROOT

NAME = "registry.example.org:5000/team/flight-delay:v0.0.1"
DIGEST = f"sha256:{'5' * 64}"
# This answers as docker, podman and buildah document it.
ENGINE = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
asked, here = sys.argv[1:], Path(__file__).parent
def familiar(name):  # as Docker lists what Docker Hub has
    rest = name.removeprefix("index.").removeprefix("docker.io/")
    return rest.removeprefix("library/") if rest != name else name
log = {{"engine": Path(__file__).name, "asked": asked,
       "stdin": "" if asked[0] != "login" else sys.stdin.read(),
       "config": os.environ.get("DOCKER_CONFIG", ""), "password": os.environ.get("MAINLINE_IMAGE_PASSWORD")}}
if asked[0] == "build":
    context = Path(asked[-1])
    log["files"] = sorted(str(p.relative_to(context)) for p in context.rglob("*") if p.is_file())
    file = next(asked[i + 1] for i, word in enumerate(asked) if word == "--file")
    log["dockerfile"] = Path(file).read_text()
with (here / "log").open("a") as out:
    out.write(json.dumps(log) + "\\n")
if asked[0] == "version":
    print('"28.2.2"')
    sys.exit((here / "down").exists() and (here / "down").read_text() == Path(__file__).name)
elif asked[0] == "from":
    print("a-container")
if (here / "refuses").exists() and (here / "refuses").read_text() == asked[0]:
    sys.exit("denied: requested access to the resource is denied")
elif asked[0] == "push" and "--digestfile" in asked:
    Path(asked[asked.index("--digestfile") + 1]).write_text("{DIGEST}")
elif asked[:2] == ["image", "inspect"]:
    print("other.example.org/x@sha256:" + "9" * 64)
    print(familiar(asked[-1].rpartition(":")[0]) + "@{DIGEST}\\n")
"""


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH but the system's; an engine is put there by its name."""
    folder = tmp_path / "engines"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}")
    return folder


def install(folder: Path, name: str) -> None:
    (folder / name).write_text(ENGINE)
    (folder / name).chmod(0o755)


def asked(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log").read_text().splitlines()]


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
@pytest.mark.parametrize("engine", image.ENGINES)
def test_a_bento_is_built_and_pushed_and_the_registrys_digest_told(
    engine: str, engines: Path, bento: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    install(engines, engine)
    monkeypatch.setenv("MAINLINE_IMAGE_USER", "robot")
    monkeypatch.setenv("MAINLINE_IMAGE_PASSWORD", "s3cr3t")
    assert image.main(["--bento", str(bento), "--name", NAME]) == 0
    assert json.loads(capsys.readouterr().out) == {"image": f"{NAME.rpartition(':')[0]}@{DIGEST}"}
    log = {one["asked"][0]: one for one in asked(engines)}
    assert {one["engine"] for one in asked(engines)} == {engine}
    assert log["login"]["asked"][1:] == [
        "--username",
        "robot",
        "--password-stdin",
        "registry.example.org:5000",
    ]
    assert log["login"]["stdin"] == "s3cr3t"
    assert not Path(log["login"]["config"]).exists(), "what login keeps is gone"
    assert NAME in log["build"]["asked"] and log["build"]["password"] is None
    assert {"src/serving/run.py", "src/models/model.onnx", "src/bundle.json"} <= set(log["build"]["files"])
    assert "FROM " in log["build"]["dockerfile"]
    digest = hashlib.sha256(bento.read_bytes()).hexdigest()
    assert f"dev.mainline.bento={digest}" in log["build"]["asked"]
    assert NAME in log["push"]["asked"]
    steps = [one["asked"][0] for one in asked(engines) if one["asked"][0] != "version"]
    tried = ["from", "run", "rm"] if engine == "buildah" else ["run"]
    pushed = ["push", "image"] if engine == "docker" else ["push"]
    shut = {"--network", "none", "--cap-drop", "ALL"}
    assert shut <= {*log["run"]["asked"]}
    assert steps == ["login", "build", *tried, *pushed, "rmi"], "tried before it is pushed, and not kept"
    assert log["rmi"]["asked"][1:] == [NAME]


@pytest.mark.slow
@pytest.mark.xdist_group("serving")
@pytest.mark.parametrize("step", ["build", "run", "push", "login"])
def test_what_the_engine_refuses_is_an_error_of_ours(
    step: str, engines: Path, bento: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(engines, "docker")
    (engines / "refuses").write_text(step)
    monkeypatch.setenv("MAINLINE_IMAGE_USER", "robot")
    monkeypatch.setenv("MAINLINE_IMAGE_PASSWORD", "s3cr3t")
    with pytest.raises(DeployError) as caught:
        image.image(bento, NAME)
    assert step == "build" or "denied" in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    done = {one["asked"][0] for one in asked(engines)}
    assert step in ("push", "login") or "push" not in done
    assert step in ("build", "login") or "rmi" in done


@pytest.mark.parametrize(
    "path",
    [
        "docker.io/team/flight-delay",
        "docker.io/library/flight-delay",
        "index.docker.io/team/flight-delay",
        "registry.example.org/library/flight-delay",
    ],
)
def test_docker_lists_what_docker_hub_has_by_shorter_names(path: str, engines: Path) -> None:
    install(engines, "docker")
    assert image._pushed("docker", f"{path}:v1", path, engines / "digest", {**os.environ}) == DIGEST


def test_without_an_engine_it_is_said(engines: Path) -> None:
    with pytest.raises(ConfigError, match="none of docker, podman, buildah is installed"):
        image.find()


def test_an_engine_that_does_not_answer_is_passed_over(engines: Path) -> None:
    install(engines, "docker")
    (engines / "down").write_text("docker")
    with pytest.raises(ConfigError, match="docker does not answer"):
        image.find()
    install(engines, "buildah")
    assert image.find() == "buildah"


@pytest.mark.parametrize("half", [image.USER, image.PASSWORD])
def test_half_a_login_is_refused(half: str, engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(engines, "docker")
    monkeypatch.setenv(half, "x")
    with pytest.raises(ConfigError, match="belong together"):
        image.image(engines / "x.bento", NAME)


def test_a_bento_that_is_not_there_is_refused(engines: Path) -> None:
    install(engines, "docker")
    with pytest.raises(ConfigError, match="cannot be read"):
        image.image(engines / "x.bento", NAME)


@pytest.mark.parametrize(
    "name", ["", "x", "flight-delay:v1", "registry.example.org/x", "-x/y:z", "a/b:c\n", "A/b:c"]
)
def test_a_name_without_host_or_tag_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no name of an image"):
        image.image(tmp_path / "x.bento", name)


def test_the_command_ends_with_the_errors_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "serving.image", "--bento", "x", "--name", "x"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "PATH": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (ConfigError.exit_code, "")
