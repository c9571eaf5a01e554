"""Build the Bento, once: python -m serving.build --version v1.3.0 --out DIR

Prints one line of JSON: path, sha256 and bytes of DIR/<model>-v1.3.0.bento. Needs the working tree's models/.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mainline import policy
from mainline.errors import ConfigError, MainlineError
from serving import libraries, signature, staging

VERSION = re.compile(r"v\d+\.\d+\.\d+")


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    try:
        print(json.dumps(build(Path.cwd(), options.version, options.out)))
    except MainlineError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m serving.build", description=__doc__.splitlines()[0])
    made.add_argument("--version", required=True, help="of the model, like v1.3.0")
    made.add_argument("--out", type=Path, required=True, help="folder for the archive")
    return made


def build(root: Path, version: str, out: Path) -> dict[str, Any]:
    """Verify the model of `root`, sign it where there is a key, and pack it with its service.

    Raises ConfigError (version, no lock), RecordError (no model), IntegrityError (not the manifest's model).
    """
    if not VERSION.fullmatch(version):
        raise ConfigError(f"{version!r} is not a version", remedy="write it like v1.3.0")
    model = policy.release().model
    path = out / f"{model}-{version}.bento"
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bento-") as folder, _apart(Path(folder)):
        context = Path(folder) / "context"
        staging.stage(root, context, model, version, {"commit": _commit(root)})
        signed = signature.sign(context)
        _pack(context, model, version, path, libraries.requirements(root, signed=signed))
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"path": str(path), "sha256": digest, "bytes": path.stat().st_size}


def _pack(context: Path, model: str, version: str, path: Path, packages: list[str]) -> None:
    """In a process of its own: the code of `context` is imported, not ours."""
    partial = path.with_name(f".{path.name}.part.bento")
    script = (
        "import json, sys, bentoml\n"
        "name, version, context, path, packages = json.loads(sys.argv[1])\n"
        "bento = bentoml.build('serving.service:Predictor', name=name, version=version, build_ctx=context,\n"
        "    include=['*'], python={'packages': packages, 'lock_packages': False})\n"
        "bento.export(path)\n"
    )
    given = json.dumps([model, version, str(context), str(partial.absolute()), packages])
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, given],
        cwd=context, env={**os.environ, "PYTHONPATH": str(context)}, capture_output=True, text=True,
    )  # fmt: skip
    try:
        if done.returncode:
            raise ConfigError("BentoML did not build the Bento", why=done.stderr.strip()[-2000:])
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _apart(folder: Path) -> Iterator[None]:
    """BentoML with a store of its own for this build, and without telling anyone of it."""
    before = dict(os.environ)
    os.environ |= {"BENTOML_HOME": str(folder / "store"), "BENTOML_DO_NOT_TRACK": "true"}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ |= before


def _commit(root: Path) -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
