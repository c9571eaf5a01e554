"""The adapter to `model-signing`: signs a folder, and accepts it only as it was signed, file for file.

A key pair works offline; in CI the identity of the workflow does (Sigstore, keyless). The library (1.1.1)
signs an empty folder, and passes over unsigned files named as Git's own (`.git/`, `.github/`, `.gitignore`,
`.gitattributes`): here every file counts, and there must be one. Make a key pair with

    openssl ecparam -name prime256v1 -genkey -noout -out signing.key
    openssl ec -in signing.key -pubout -out signing.pub
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainline.errors import ConfigError, IntegrityError, MainlineError, ServiceError
from mainline.records import write_atomically

MEDIA_TYPE, PREDICATE = "application/vnd.in-toto+json", "https://model_signing/signature/v1.0"
LARGEST = 10_000_000  # bytes of a bundle; more is not ours
GROUP = "uv sync --group release"


@dataclass(frozen=True, slots=True)
class Key:
    """A PEM file of an EC key (P-256, P-384, P-521): the private one signs, the public one verifies."""

    path: Path
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Keyless:
    """A Sigstore identity, e.g. a workflow's URL at a ref. To sign, the environment's own is taken."""

    identity: str = ""
    issuer: str = "https://token.actions.githubusercontent.com"


def signer(environ: Mapping[str, str] = os.environ) -> Key | Keyless | None:
    """What signs: the key MAINLINE_SIGNING_KEY (MAINLINE_SIGNING_PASSWORD), or keyless; None: off.

    MAINLINE_SIGNING chooses among `key`, `keyless` and `off` where that should not follow from the key alone.
    Raises ConfigError.
    """
    key, chosen = environ.get("MAINLINE_SIGNING_KEY", ""), environ.get("MAINLINE_SIGNING", "")
    match chosen or ("key" if key else "off"):
        case "off":
            return None
        case "keyless":
            return Keyless()
        case "key" if key:
            return Key(Path(key), environ.get("MAINLINE_SIGNING_PASSWORD") or None)
        case "key":
            raise ConfigError("MAINLINE_SIGNING is key, but MAINLINE_SIGNING_KEY names no file")
    raise ConfigError(f"MAINLINE_SIGNING is {chosen!r}", remedy="choose of key, keyless, off")


def trusted(environ: Mapping[str, str] = os.environ) -> Key | Keyless | None:
    """Whom to believe: MAINLINE_PUBLIC_KEY, or MAINLINE_IDENTITY (MAINLINE_ISSUER); None: nobody."""
    key, identity = environ.get("MAINLINE_PUBLIC_KEY", ""), environ.get("MAINLINE_IDENTITY", "")
    if key and identity:
        raise ConfigError("both MAINLINE_PUBLIC_KEY and MAINLINE_IDENTITY are set", remedy="unset one")
    if identity:
        issuer = environ.get("MAINLINE_ISSUER", "")
        return Keyless(identity, issuer) if issuer else Keyless(identity)
    return Key(Path(key)) if key else None


def sign(folder: Path, out: Path, by: Key | Keyless | Path) -> None:
    """Write a Sigstore bundle over every file of `folder` to `out`, outside of it; a path is a key's.

    Raises IntegrityError for a folder without files or with links, ConfigError for an unusable key or no
    identity, ServiceError when Sigstore does not answer.
    """
    by = Key(by) if isinstance(by, Path) else by
    _files(folder)
    if out.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(f"{out} lies in the folder it would sign", remedy="write the signature beside it")
    library = _library()
    token = _token() if isinstance(by, Keyless) else None
    with tempfile.TemporaryDirectory(prefix="mainline-sign-") as temporary:
        bundle = Path(temporary) / "bundle"
        config = library.signing.Config().set_hashing_config(_hashing(library))
        try:
            if isinstance(by, Keyless):
                config.use_sigstore_signer(identity_token=token)
            else:
                config.use_elliptic_key_signer(**_private(by))
            config.sign(folder, bundle)
        except MainlineError:
            raise
        except Exception as error:  # as many kinds as there are keys, files and servers
            raise _unsigned(folder, by, error) from None
        write_atomically(out, bundle.read_bytes())


def verify(folder: Path, bundle: Path, trust: Key | Keyless | Path) -> None:
    """Raises IntegrityError unless `folder` holds exactly what `trust` signed; a path is a public key's.

    ConfigError for an unusable public key, ServiceError when Sigstore's root of trust cannot be had.
    """
    trust = Key(trust) if isinstance(trust, Path) else trust
    present, signed = _files(folder), _signed(bundle)
    library = _library()
    config = library.verifying.Config().set_hashing_config(_hashing(library))
    try:
        if isinstance(trust, Keyless):
            config.use_sigstore_verifier(identity=trust.identity, oidc_issuer=trust.issuer)
        else:
            config.use_elliptic_key_verifier(public_key=trust.path)
    except Exception as error:
        raise _untrusted(trust, error) from None
    try:
        with redirect_stdout(sys.stderr):  # the library prints; a verb's standard output may be JSON
            config.verify(folder, bundle)
    except Exception as error:  # ValueError, InvalidSignature, and whatever a hostile bundle provokes
        raise _refused(folder, str(error) or f"{type(error).__name__}: another key, or changed") from None
    if signed != present:  # what the library leaves out, a signer could have left out as well
        raise _refused(folder, f"signed are {', '.join(signed)}; present are {', '.join(present)}")


def sign_files(files: Iterable[Path], out: Path, by: Key | Keyless | Path) -> None:
    """One bundle over single files, by their names. Raises as `sign` does."""
    with _gathered(files) as folder:
        sign(folder, out, by)


def verify_files(files: Iterable[Path], bundle: Path, trust: Key | Keyless | Path) -> None:
    """Raises as `verify` does, unless these files are all that was signed, under these names."""
    with _gathered(files) as folder:
        verify(folder, bundle, trust)


@contextmanager
def _gathered(files: Iterable[Path]) -> Iterator[Path]:
    """Copies side by side in a folder whose name, which the bundle tells, says nothing."""
    with tempfile.TemporaryDirectory(prefix="mainline-sign-") as temporary:
        folder = Path(temporary) / "release"
        folder.mkdir()
        for file in files:
            if (folder / file.name).exists():
                raise ConfigError(f"two files are named {file.name}", remedy="sign them separately")
            if file.is_symlink() or not file.is_file():
                raise IntegrityError(f"{file} is no file", why="it is missing, a link, or a folder")
            shutil.copyfile(file, folder / file.name)
        yield folder


def _files(folder: Path) -> list[str]:
    """Relative names, sorted, of all there is. Raises IntegrityError without files, or for a link."""
    if folder.is_symlink() or not folder.is_dir():
        raise IntegrityError(f"{folder} is no folder", remedy="was it unpacked?")
    inside = sorted(folder.rglob("*"))
    if odd := [path for path in inside if path.is_symlink() or not (path.is_file() or path.is_dir())]:
        raise _refused(folder, f"{odd[0].name!r} is a link or no plain file")
    files = sorted(path.relative_to(folder).as_posix() for path in inside if path.is_file())
    if not files:
        raise _refused(folder, "it holds no files, and a signature of nothing says nothing")
    return files


def _signed(bundle: Path) -> list[str]:
    """The names in a bundle, before its signature is known to be good. Raises IntegrityError."""
    try:
        if bundle.stat().st_size > LARGEST:
            raise ValueError("it is too large")
        envelope = json.loads(bundle.read_bytes())["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
        # The library also takes a form of its version 0.1, which does not bind the files to each other.
        if (envelope["payloadType"], statement["predicateType"]) != (MEDIA_TYPE, PREDICATE):
            raise ValueError("it signs a statement of another kind")
        if len(envelope["signatures"]) != 1:
            raise ValueError("it does not hold exactly one signature")
        return sorted(str(one["name"]) for one in statement["predicate"]["resources"])
    except FileNotFoundError:
        raise IntegrityError(
            f"there is no signature {bundle}", remedy="do not load what it should sign"
        ) from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise IntegrityError(f"{bundle.name} is no signature", why=str(error)[:300]) from None


def _hashing(library: Any) -> Any:
    """Every file counts, those of Git as well."""
    return library.hashing.Config().set_ignored_paths(paths=(), ignore_git_paths=False)


def _private(key: Key) -> dict[str, Any]:
    if not key.path.is_file():
        raise ConfigError(
            f"there is no signing key {key.path}", remedy="MAINLINE_SIGNING_KEY names a PEM file"
        )
    # The library hands the password on to `cryptography`, which takes bytes, whatever the annotation says.
    return {"private_key": key.path, "password": key.password.encode() if key.password else None}


def _token() -> str:
    """The workflow's identity; asked for here: the library would open a browser where there is none."""
    from sigstore.oidc import detect_credential

    try:
        token = detect_credential()
    except Exception as error:
        raise ServiceError("the identity of this job could not be had", why=str(error)[:300]) from None
    if not token:
        raise ConfigError(
            "keyless signing needs the identity of a CI job, and there is none",
            remedy="in the workflow: `id-token: write`; elsewhere sign with a key: MAINLINE_SIGNING_KEY",
        )
    return str(token)


def _library() -> Any:
    """`model_signing`, imported late: it brings all of Sigstore. Raises ConfigError where it is not."""
    try:
        import model_signing
    except ImportError as error:
        raise ConfigError("model-signing cannot be imported", why=str(error), remedy=GROUP) from None
    return model_signing


def _refused(folder: Path, why: str) -> IntegrityError:
    return IntegrityError(
        f"{folder.name} is not what was signed",
        why=why[:500],
        remedy="do not load it; fetch it again, or sign it",
    )


def _unsigned(folder: Path, by: Key | Keyless, error: Exception) -> MainlineError:
    why = f"{type(error).__name__}: {error}"[:300]
    if isinstance(by, Keyless):
        return ServiceError("Sigstore did not sign", why=why, remedy="run it again; a key needs no network")
    return ConfigError(
        f"{by.path.name} cannot sign {folder.name}", why=why, remedy="an EC key in PEM? its password?"
    )


def _untrusted(trust: Key | Keyless, error: Exception) -> MainlineError:
    why = f"{type(error).__name__}: {error}"[:300]
    if isinstance(trust, Keyless):
        return ServiceError("Sigstore's root of trust cannot be had", why=why, remedy="is there a network?")
    return ConfigError(f"{trust.path} is no public key to verify with", why=why, remedy="an EC key in PEM?")
