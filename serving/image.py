"""Make a container image of a Bento and push it: python -m serving.image --bento PATH --name HOST/NAME:TAG

Prints one line of JSON: image (HOST/NAME@sha256:…). Needs docker, podman or buildah, which knows who pushes;
or MAINLINE_IMAGE_USER and MAINLINE_IMAGE_PASSWORD say it, and are not kept.
"""

from __future__ import annotations

import argparse
import hashlib
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
from mainline.images import BENTO, PASSWORD, USER

ENGINES = ("docker", "podman", "buildah")
NAME = re.compile(r"(?P<path>(?P<host>[a-z0-9][a-z0-9.-]*(:[0-9]+)?)/[a-z0-9][a-z0-9._/-]*):[A-Za-z0-9_.-]+")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
HUB = re.compile(r"^(index\.)?docker\.io/(library/)?")  # Docker leaves this out where it lists names
BUILD, PUSH, TRY = 1800, 900, 120  # seconds
SOURCE = "/home/bentoml/bento/src"  # where BentoML puts what we pack
ANSWERS = (
    "from serving import rows, schemas, service as s\n"
    "s.model().predict(rows.taken(s.FEATURES, [schemas.example(s.FEATURES)]))"
)
# As strict as compose.yaml and the Deployment are, which run it.
SHUT = (
    *("--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108 - its own
    *("--env", "HOME=/tmp", "--workdir", SOURCE, "--entrypoint", "python"),
)


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

    Raises ConfigError (no engine, no such name, half a login), IntegrityError (no Bento), DeployError when
    the engine or the registry fails, or when the image does not answer.
    """
    match = NAME.fullmatch(name)
    if match is None:
        raise ConfigError(
            f"{name!r} is no name of an image", remedy="write it like registry.example.org/team/name:v1.3.0"
        )
    engine, login = find(), _login()
    with tempfile.TemporaryDirectory(prefix="image-") as folder:
        environment = _environment(Path(folder))
        if login:
            # In a folder of its own, or the password would stay on this machine.
            environment |= {"DOCKER_CONFIG": folder, "REGISTRY_AUTH_FILE": f"{folder}/auth.json"}
            command = [engine, "login", "--username", login[0], "--password-stdin", match["host"]]
            _run(command, environment, PUSH, f"is it {USER}'s password? is the registry up?", text=login[1])
        _containerize(engine, bento, name, environment)
        try:
            _try(engine, name, environment)
            digest = _pushed(engine, name, match["path"], Path(folder) / "digest", environment)
        finally:
            # Or a runner's disk fills, an image a version.
            subprocess.run([engine, "rmi", name], env=environment, capture_output=True)
    return f"{match['path']}@{digest}"


def find() -> str:
    """The first engine that is installed and answers. Raises ConfigError for none."""
    found = [one for one in ENGINES if shutil.which(one)]
    for one in found:
        # Docker's client is often there without its engine; the other two are programs like any other.
        if subprocess.run([one, "version"], capture_output=True).returncode == 0:
            return one
    none = f"none of {', '.join(ENGINES)} is installed"
    raise ConfigError(
        f"an image is to be made, and {f'{found[0]} does not answer' if found else none}",
        remedy="install one, or start it; or promote without an image: MAINLINE_IMAGE_REGISTRY=none",
    )


def _login() -> tuple[str, str] | None:
    """Raises ConfigError for one half of it: nobody pushes as another than was meant."""
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if bool(user) != bool(password):
        raise ConfigError(f"{USER} and {PASSWORD} belong together", remedy="set both, or none")
    return (user, password) if user else None


def _environment(folder: Path) -> dict[str, str]:
    """The engine's: with a store of BentoML's own, and without the password, which a build could show."""
    own = {"BENTOML_HOME": str(folder / "store"), "BENTOML_DO_NOT_TRACK": "true"}
    return {name: value for name, value in os.environ.items() if name not in (USER, PASSWORD)} | own


def _containerize(engine: str, bento: Path, name: str, environment: Mapping[str, str]) -> None:
    """By BentoML, from a store of its own that holds this Bento alone."""
    bentoml = [sys.executable, "-m", "bentoml"]
    try:
        with bento.open("rb") as file:
            label = f"label={BENTO}={hashlib.file_digest(file, 'sha256').hexdigest()}"
    except OSError as error:
        raise ConfigError(f"{bento} cannot be read", why=str(error), remedy="name an archive") from None
    _run([*bentoml, "import", str(bento.absolute())], environment, BUILD, "is it an archive of a Bento?")
    listed = _run([*bentoml, "list", "--output", "json"], environment, BUILD, "run it again")
    try:
        (tag,) = (one["tag"] for one in json.loads(listed))
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(f"{bento.name} is not one Bento", why=listed[-500:]) from None
    command = [*bentoml, "containerize", tag, "--backend", engine, "--image-tag", name, "--opt", label]
    remedy = f"does {engine} work here? it needs the base image's registry, and the package index"
    _run(command, environment, BUILD, remedy)


def _try(engine: str, name: str, environment: Mapping[str, str]) -> None:
    """Have the model in the image answer its example: nothing else is pushed. Raises DeployError."""
    remedy = "nothing was pushed; what does the image lack that this machine has?"
    if engine != "buildah":
        _run([engine, "run", *SHUT, name, "-c", ANSWERS], environment, TRY, remedy)
        return
    container = _run([engine, "from", "--pull-never", name], environment, TRY, remedy).strip()
    try:
        shut = ("--network", "none", "--cap-drop", "ALL", "--workingdir", SOURCE)  # as far as it can
        _run([engine, "run", *shut, container, "--", "python", "-c", ANSWERS], environment, TRY, remedy)
    finally:
        subprocess.run([engine, "rm", container], env=environment, capture_output=True)


def _pushed(engine: str, name: str, path: str, file: Path, environment: Mapping[str, str]) -> str:
    """Push, and the digest under which the registry has it. Raises DeployError."""
    remedy = "is the registry up, and may this machine push there?"
    if engine == "docker":
        _run([engine, "push", name], environment, PUSH, remedy)
        format_ = "{{range .RepoDigests}}{{println .}}{{end}}"
        said = _run([engine, "image", "inspect", "--format", format_, name], environment, PUSH, remedy)
        listed = [line.partition("@") for line in said.splitlines()]
        digests = {digest for name, _, digest in listed if name in (path, HUB.sub("", path))}
    else:
        _run([engine, "push", "--digestfile", str(file), name], environment, PUSH, remedy)
        said = file.read_text() if file.exists() else ""
        digests = {said.strip()}
    if len(digests) != 1 or not DIGEST.fullmatch(digest := digests.pop()):
        raise DeployError(f"{engine} does not say under which digest {path} was pushed", why=said[-300:])
    return digest


def _run(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    remedy: str,
    *,
    text: str | None = None,
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
        raise DeployError(f"{what} failed", why=said, remedy=remedy)
    return str(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
