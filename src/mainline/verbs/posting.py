"""The report becomes the one comment, by CML or through the API; or all that another job needs to post it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from mainline import cml, forge
from mainline.errors import ForgeError
from mainline.records import write_atomically

CLOCKS = timedelta(minutes=2)  # by which ours may be before the forge's


@dataclass(frozen=True, slots=True)
class Done:
    """What the verb did, as `--json` prints it."""

    result: Literal["created", "updated", "unchanged", "superseded", "would create", "would update"]
    pull_request: int
    via: Literal["cml", "api", ""] = ""
    url: str = ""
    removed: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Our reports that stand there, the oldest first. `reached`: CML would edit the newest, or create one."""

    ours: tuple[forge.Comment, ...]
    reached: bool

    @property
    def newest(self) -> forge.Comment | None:
        return self.ours[-1] if self.ours else None

    def says(self, marked: str) -> bool:
        """Whether nothing is left to do."""
        return len(self.ours) == 1 and cml.same(self.ours[0].body, marked)


def publish(github: forge.GitHub, pull: forge.PullRequest, body: str, via: str, *, dry: bool) -> Done:
    """Create or edit the comment; `via`: cml, api, or auto. Raises ForgeError, IntegrityError."""
    marked, there = marked_for(body, pull.head_sha), _look(github, pull.number)
    if there.newest is not None and there.says(marked):
        return Done("unchanged", pull.number, url=there.newest.url)
    program, note = _cml(via, reached=there.reached)
    by: Literal["cml", "api"] = "cml" if program else "api"
    if dry:
        return Done("would update" if there.ours else "would create", pull.number, by, note=note)
    if program is not None:
        try:
            url = _by_cml(program, pull, body, github.repository)
            return Done("updated" if there.ours else "created", pull.number, by, url)
        except ForgeError as error:
            if via == "cml":
                raise
            note = f"{error.what}: posted through the API instead"
    posted = github.upsert_comment(pull.number, marked, cml.is_report)
    return Done(posted.result, pull.number, "api", posted.url, posted.removed, note)


def draft(github: forge.GitHub, pull: forge.PullRequest, body: str, folder: Path) -> dict[str, str]:
    """Only read: leave in `folder` what CML or one request would post; where to, as a step's outputs.

    Empty when it stands there. `look`: where one is seen that is created after this, before it is sent a
    second time. The values are digits and words of ours, whatever the report says. Raises ForgeError.
    """
    marked, there = marked_for(body, pull.head_sha), _look(github, pull.number)
    if there.says(marked):
        return {}
    write_atomically(folder / "report.md", body.rstrip().encode())
    write_atomically(folder / "comment.json", json.dumps({"body": marked}).encode())
    new = f"issues/{pull.number}/comments"
    since = datetime.now(UTC) - CLOCKS
    return {
        "number": str(pull.number),
        "method": "PATCH" if there.newest else "POST",
        "path": f"issues/comments/{there.newest.id}" if there.newest else new,
        "look": "" if there.newest else f"{new}?per_page=100&since={since:%Y-%m-%dT%H:%M:%SZ}",
        "doubles": ",".join(str(one.id) for one in there.ours[:-1]),
        "cml": str(there.reached).lower(),
    }


def marked_for(body: str, sha: str) -> str:
    """The text with the marker of the report on that commit."""
    return f"{body.rstrip()}\n\n{cml.watermark(sha)}"


def _look(github: forge.GitHub, number: int) -> Standing:
    comments = github.comments(number)
    ours = [i for i, c in enumerate(comments) if c.author == github.login and cml.is_report(c.body)]
    newest = ours[-1] if ours else None
    reached = len(ours) <= 1 and cml.reaches([c.body for c in comments], newest)
    return Standing(tuple(comments[i] for i in ours), reached)


def _cml(via: str, *, reached: bool) -> tuple[cml.Cml | None, str]:
    """CML where it is wanted, here, and would edit our comment; otherwise why not."""
    if via == "api":
        return None, ""
    try:
        program = cml.Cml.find()
        if not reached:
            raise ForgeError("CML would edit another comment than ours", remedy="post with --via api")
    except ForgeError as error:
        if via == "cml":
            raise
        return None, error.what
    return program, ""


def _by_cml(program: cml.Cml, pull: forge.PullRequest, body: str, repository: str) -> str:
    return program.update(
        body.rstrip(),
        server=os.environ.get("GITHUB_SERVER_URL", "https://github.com").rstrip("/"),
        repository=repository,
        number=pull.number,
        sha=pull.head_sha,
        token=os.environ["GITHUB_TOKEN"],
    )
