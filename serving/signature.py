"""The one place where a model's signature is checked, before the model is opened."""

from __future__ import annotations

from pathlib import Path

from mainline.errors import IntegrityError

BUNDLE = "models.sig"  # beside models/, not in it: the manifest lists all that is in there


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
            remedy="serve a Bento that was made by `mainline promote` with signing on",
        )
    from mainline.signing import verify  # needs the group `release`

    verify(root / "models", path, key)
