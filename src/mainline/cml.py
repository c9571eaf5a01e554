"""The adapter to CML, which posts the report where it can be had, and the watermark by which it knows it.

CML 0.20.6 appends to the report an image whose title names the report and whose fragment is the commit, and
edits the newest comment that holds one: whoever wrote it, and only among the first 30 comments. The forge
adapter writes the same watermark, so both edit one comment; `reaches` tells whether CML would.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mainline.errors import ForgeError, IntegrityError

VERSION = "0.20.6"
CHECKSUM = "CML_SHA256"  # names the variable that holds the sha256 of the release binary of VERSION
TITLE = "mainline"  # letters only: CML escapes Markdown's signs in a title
PAGE = 30  # comments that CML looks at: it asks for one page
TIMEOUT = 120  # seconds
_IMAGE = rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)'
# What the runner needs to reach the network; nothing else of our environment is CML's business.
_PASSED_ON = (
    "PATH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE",
)  # fmt: skip


def watermark(sha: str) -> str:
    """CML's watermark of the report on commit `sha`, inside an HTML comment: found by CML, loads no image."""
    return f'<!-- ![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}") -->'


def is_report(body: str) -> bool:
    """Whether a comment is a report: the watermark is its last line. A quotation of one is not."""
    return re.search(rf"^(<!-- )?{_IMAGE}( -->)?\s*\Z", body, re.MULTILINE) is not None


def same(one: str, other: str) -> bool:
    """Whether two reports say the same about the same commit, whichever of the two ways posted them."""
    return _plain(one) == _plain(other)


def _plain(body: str) -> str:
    return re.sub(rf"(?:<!-- )?({_IMAGE})(?: -->)?\s*\Z", r"\1", body).replace("\r\n", "\n")


def reaches(bodies: Sequence[str], report: int | None) -> bool:
    """Whether CML would edit our `report` (an index into all comments, oldest first), or create it.

    It would not where somebody else's comment holds a newer watermark, e.g. a quotation, or one planted so
    that the verdict appears under another name.
    """
    marked = [index for index, body in enumerate(bodies[:PAGE]) if re.search(_IMAGE, body)]
    return (marked[-1] if marked else None) == report


@dataclass(frozen=True, slots=True)
class Cml:
    """The CML at `program`."""

    program: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @classmethod
    def find(cls, environment: Mapping[str, str] = os.environ) -> Cml:
        """CML of the PATH, once its checksum and version are the pinned ones; nothing runs before that.

        Raises IntegrityError when it is another file; ForgeError when there is none, or nothing to check by.
        """
        found = shutil.which("cml", path=environment.get("PATH"))
        expected = environment.get(CHECKSUM, "").strip().lower()
        if found is None or not expected:
            raise ForgeError(
                "CML cannot be used" + (f": no {CHECKSUM} to check it by" if found else ": not on the PATH"),
                remedy=f"put the release binary of CML {VERSION} on the PATH as `cml` and its sha256 into "
                f"{CHECKSUM}, or post with --via api",
            )
        cml = cls(Path(found), dict(environment))
        cml._check(expected)
        return cml

    def _check(self, expected: str) -> None:
        actual = hashlib.sha256(self.program.read_bytes()).hexdigest()
        if actual != expected:
            raise IntegrityError(
                f"{self.program} is not the CML that {CHECKSUM} names",
                why=f"its sha256 is {actual}",
                remedy=f"install the release binary of CML {VERSION} again",
            )
        version = self._run("--version", extra={}).strip()
        if version != VERSION:
            raise IntegrityError(
                f"CML is of version {version[:40]!r}, not {VERSION}", remedy=f"install CML {VERSION}"
            )

    def update(self, body: str, *, server: str, repository: str, number: int, sha: str, token: str) -> str:
        """Create or edit the report of pull request `number`; its address. Raises ForgeError.

        Args:
            body: Markdown without a watermark.
            server: address of the forge's web pages, e.g. `https://github.com`.
            sha: the commit that the report speaks of.
        """
        with tempfile.TemporaryDirectory(prefix="mainline-cml-") as folder:
            report = Path(folder, "report.md")
            report.write_text(body, encoding="utf-8")
            # The token travels in the environment: arguments are seen by every process of the machine.
            given = {"REPO_TOKEN": token, "GITHUB_SHA": sha, "GITHUB_REPOSITORY": repository}
            return self._run(
                "comment", "update", "--publish=false", "--driver=github", f"--repo={server}/{repository}",
                f"--target=pr/{number}", f"--watermark-title={TITLE}", str(report), extra=given,
            ).strip()  # fmt: skip

    def _run(self, *arguments: str, extra: Mapping[str, str]) -> str:
        with tempfile.TemporaryDirectory(prefix="mainline-cml-home-") as home:
            # CML writes `safe.directory = *` into the user's Git configuration, and sends usage statistics.
            env = {name: self.environment[name] for name in _PASSED_ON if name in self.environment}
            env |= {"HOME": home, "ITERATIVE_DO_NOT_TRACK": "1", **extra}
            try:
                done = subprocess.run(
                    [str(self.program), *arguments],
                    cwd=home, env=env, capture_output=True, text=True, errors="replace", timeout=TIMEOUT,
                )  # fmt: skip
            except (OSError, subprocess.TimeoutExpired) as error:
                why = (
                    f"no answer in {TIMEOUT} s"
                    if isinstance(error, subprocess.TimeoutExpired)
                    else str(error)
                )
                raise ForgeError("CML does not run", why=why, remedy="post with --via api") from None
        if done.returncode:
            said = done.stderr.strip()[-400:].replace(extra.get("REPO_TOKEN") or "\0", "***")
            raise ForgeError("CML failed", why=said, remedy="post with --via api")
        return done.stdout
