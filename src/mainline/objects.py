"""The adapter that brings single objects by md5, from DVC's cache or the remote, and nothing else.

By md5, because `dvc get --rev` would ask the remote of that revision's configuration, which may have moved
since. A process of its own (`python -m mainline.objects`) keeps DVC's imports, output and hangs out of ours.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from mainline.errors import IntegrityError, StorageError
from mainline.records import write_atomically

MD5 = re.compile(r"[0-9a-f]{32}")
SECRETS = re.compile(r"//[^/@\s]*@")
TIMEOUT = 600  # seconds


def fetch(root: Path, wanted: Mapping[str, str]) -> None:
    """Write the object of each md5 to its path, relative to `root`; what is there already is replaced.

    Raises StorageError when an object is neither in the cache nor on the remote, IntegrityError when the
    cache holds something else under its name.
    """
    if wrong := [path for path, md5 in wanted.items() if not MD5.fullmatch(md5)]:
        raise StorageError(f"dvc.lock has no md5 of a file for {', '.join(wrong)}", remedy="make run")
    command = [sys.executable, "-m", "mainline.objects"]
    try:
        done = subprocess.run(
            command, cwd=root, input=json.dumps(dict(wanted)), capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise StorageError(f"the remote did not answer within {TIMEOUT} s") from None
    names = ", ".join(wanted)
    try:
        said = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        why = SECRETS.sub("//", done.stderr.strip()[-500:])
        raise StorageError(f"DVC could not fetch {names}", why=why) from None
    if said["damaged"]:
        raise IntegrityError(
            f"DVC's cache holds something else under the name of {', '.join(said['damaged'])}",
            remedy="delete that object from the cache and run this again",
        )
    if said["missing"]:
        raise StorageError(
            f"neither the cache nor the remote has {', '.join(said['missing'])}",
            why=SECRETS.sub("//", said["problem"]),
            remedy="`mainline lock` names what was never pushed",
        )


def main() -> None:
    """Paths and md5s on standard input, what is missing or damaged on standard output; JSON both."""
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo

    wanted: dict[str, str] = json.load(sys.stdin)
    missing, damaged, problem = [], [], ""
    with Repo() as repo:
        place = {md5: Path(repo.cache.local.oid_to_path(md5)) for md5 in wanted.values()}
        absent = [HashInfo("md5", md5) for md5, path in place.items() if not path.exists()]
        try:
            if absent:
                repo.cloud.pull(absent)
        except Exception as error:  # as many kinds as there are stores
            problem = f"{type(error).__name__}: {error}"[:500]
    for path, md5 in wanted.items():
        try:
            content = place[md5].read_bytes()
        except OSError:
            missing.append(f"{path} (md5 {md5})")
            continue
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
            damaged.append(f"{path} ({place[md5]})")
            continue
        write_atomically(Path(path), content)
    print(json.dumps({"missing": missing, "damaged": damaged, "problem": problem}))


if __name__ == "__main__":
    main()
