"""The one place where a served model is signed, when it is packed, and checked, before it is opened."""

from __future__ import annotations

from pathlib import Path

from mainline.errors import IntegrityError

BUNDLE = "models.sig"  # beside models/, not in it: the manifest lists all that is in there


PACKAGES = ("cryptography", "model-signing", "pyopenssl")  # what `check` needs beside the service


def sign(root: Path) -> bool:
    """Sign `root`/models where MAINLINE_SIGNING_KEY names a key; whether it was. Raises ConfigError.

    Not keyless: a service checks with a key, and asks nobody on the network. The archive as a whole is signed
    either way, see mainline.attachments.
    """
    from mainline import signing

    by = signing.signer()
    if not isinstance(by, signing.Key):
        return False
    signing.sign(root / "models", root / BUNDLE, by)
    return True


def check(root: Path, key: Path | None) -> None:
    """Raises IntegrityError when a key is given and the model is not signed with it.

    Without a key nothing is checked: a signature that anyone could have made proves nothing.
    """
    if key is None:
        return
    path = root / BUNDLE
    if not path.is_file():
        raise IntegrityError(
            "the model is not signed, and SERVING_KEY asks for a signature",
            remedy="serve a Bento that was made by `mainline promote` with MAINLINE_SIGNING_KEY",
        )
    from mainline.signing import verify  # needs the group `release`

    verify(root / "models", path, key)
