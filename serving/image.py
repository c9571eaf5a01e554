"""Make a container image of a Bento and push it: python -m serving.image --bento PATH --name HOST/NAME:TAG

Prints one line of JSON: image (HOST/NAME@sha256:…). Needs docker, podman or buildah, which knows who pushes;
or MAINLINE_IMAGE_USER and MAINLINE_IMAGE_PASSWORD say it, and are not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mainline.errors import ConfigError, DeployError, IntegrityError, MainlineError

ENGINES = ("docker", "podman", "buildah")
USER, PASSWORD = "MAINLINE_IMAGE_USER", "MAINLINE_IMAGE_PASSWORD"
NAME = re.compile(r"(?P<path>(?P<host>[a-z0-9][a-z0-9.-]*(:[0-9]+)?)/[a-z0-9][a-z0-9._/-]*):[A-Za-z0-9_.-]+")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
BUILD, PUSH = 1800, 900  # seconds


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        print(json.dumps({"image": image(options.bento, options.name)}))
    except MainlineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m serving.image", description=__doc__.splitlines()[0])
    made.add_argument("--bento", type=Path, required=True, help="an archive")
    made.add_argument(
        "--name", required=True, help="with host and tag: registry.example.org/team/name:v1.3.0"
    )
    return made


def image(bento: Path, name: str) -> str:
    """The image's name with the digest that the registry gave it.

    Raises ConfigError (no engine, no such name), DeployError when the engine or the registry fails.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"{name!r} is no name of an image", remedy="write it like registry.example.org/team/name:v1.3.0"
        )
    engine = find()
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        environment = _environment(Path(folder))
        if (user := environment.pop(USER, "")) and (password := environment.pop(PASSWORD, "")):
            # In a folder of its own, or the password would stay on this machine.
            environment |= {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
            login = [engine, "login", "--username", user, "--password-stdin", match["host"]]
            _run(login, environment, PUSH, text=password)
        _containerize(engine, bento, name, environment)
        digest = _pushed(engine, name, match["path"], Path(folder) / "digest", environment)
    return f"{match['path']}@{digest}"


def find() -> str:
    """The first engine that is installed. Raises ConfigError for none."""
    found = next((one for one in ENGINES if shutil.which(one)), None)
    if found is None:
        raise ConfigError(
            f"an image is to be made, and none of {', '.join(ENGINES)} is installed",
            remedy="install one, or promote without an image: MAINLINE_IMAGE_REGISTRY=none",
        )
    return found


def _environment(folder: Path) -> dict[str, str]:
    own = {"BENTOML_HOME": str(folder / "store"), "BENTOML_DO_NOT_TRACK": "true"}
    return {**os.environ, **own}


def _containerize(engine: str, bento: Path, name: str, environment: Mapping[str, str]) -> None:
    """By BentoML, from a store of its own that holds this Bento alone."""
    bentoml = [sys.executable, "-m", "bentoml"]
    _run([*bentoml, "import", str(bento.absolute())], environment, BUILD)
    listed = _run([*bentoml, "list", "--output", "json"], environment, BUILD)
    try:
        (tag,) = (one["tag"] for one in json.loads(listed))
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(f"{bento.name} is not one Bento", why=listed[-500:]) from None
    _run([*bentoml, "containerize", tag, "--backend", engine, "--image-tag", name], environment, BUILD)


def _pushed(engine: str, name: str, path: str, file: Path, environment: Mapping[str, str]) -> str:
    """Push, and the digest under which the registry has it. Raises DeployError."""
    if engine == "docker":
        _run([engine, "push", name], environment, PUSH)
        format_ = "{{range .RepoDigests}}{{println .}}{{end}}"
        said = _run([engine, "image", "inspect", "--format", format_, name], environment, PUSH)
        digests = {line.partition("@")[2] for line in said.splitlines() if line.partition("@")[0] == path}
    else:
        _run([engine, "push", "--digestfile", str(file), name], environment, PUSH)
        said = file.read_text() if file.exists() else ""
        digests = {said.strip()}
    if len(digests) != 1 or not DIGEST.fullmatch(digest := digests.pop()):
        raise DeployError(f"{engine} does not say under which digest {path} was pushed", why=said[-300:])
    return digest


def _run(
    command: Sequence[str], environment: Mapping[str, str], seconds: float, *, text: str | None = None
) -> str:
    """Its standard output. Raises DeployError with its last words."""
    given: dict[str, Any] = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    what = " ".join([Path(command[0]).name, *command[1:4]])
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            **given,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(f"{what} did not end within {seconds:g} s", remedy="run it again") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise DeployError(f"{what} failed", why=said, remedy="may this machine push there? is the engine up?")
    return str(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
