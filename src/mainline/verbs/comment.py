"""`mainline comment`: the report becomes the one comment of its pull request."""

from __future__ import annotations

import argparse
import json
import os
import re
import stat
import sys
from dataclasses import asdict
from pathlib import Path

from mainline import forge, untrusted
from mainline.errors import ForgeError, GitError, IntegrityError, RecordError, SupersededError
from mainline.git import Git
from mainline.review import Gate
from mainline.verbs import parsing, posting
from mainline.verbs.posting import Done

REPORT = Path("reports/report.md")


def register(names: parsing.Names[argparse.ArgumentParser]) -> None:
    """`mainline comment`."""
    verb = parsing.add(
        names,
        "comment",
        comment,
        "post the report as the one comment of its pull request",
        """\
  mainline comment                      reports/report.md, to the pull request that CI runs for
  mainline comment --pr 12 --dry-run    say what would be done; write nothing
  mainline comment --branch topic       to the open pull request of that branch
  mainline comment --bundle DIR         for a fork, which has no secrets: write DIR/report.json instead
  mainline comment --untrusted DIR --sha SHA --branch OWNER:BRANCH
                                        in the trusted workflow after it: check that file and post it
  mainline comment --file report.md --branch topic --draft DIR >> "$GITHUB_OUTPUT"
                                        only read, for a job that posts and runs nothing of ours

environment: GITHUB_TOKEN, GITHUB_REPOSITORY, GITHUB_API_URL; CML_SHA256 lets `cml` of the PATH post""",
    )
    verb.add_argument("--file", type=Path, default=REPORT, help="the Markdown (default: reports/report.md)")
    verb.add_argument("--pr", type=_number, metavar="N", help="number of the pull request (default: from CI)")
    verb.add_argument("--sha", type=_sha, help="the head commit that the report speaks of")
    verb.add_argument("--branch", help="the head branch; of a fork, OWNER:BRANCH")
    verb.add_argument("--via", choices=("auto", "cml", "api"), default="auto", help="auto: CML if it is here")
    verb.add_argument("--api-url", metavar="URL", help="root of the REST API (default: GITHUB_API_URL)")
    verb.add_argument("--repository", metavar="OWNER/NAME", help="default: GITHUB_REPOSITORY, else origin")
    verb.add_argument("--base", metavar="BRANCH", help="only a pull request to this branch")
    only = verb.add_mutually_exclusive_group()
    only.add_argument("--dry-run", action="store_true", help="only read; say what would be done")
    only.add_argument(
        "--draft", type=Path, metavar="DIR", help="only read; write what to post, print where to as KEY=VALUE"
    )
    fork = verb.add_mutually_exclusive_group()
    fork.add_argument("--bundle", type=Path, metavar="DIR", help="write the report for the trusted workflow")
    fork.add_argument("--untrusted", type=Path, metavar="DIR", help="post the report that a fork made")


def comment(options: argparse.Namespace) -> int:
    """Create or edit the comment. Raises RecordError, IntegrityError or ForgeError."""
    if options.bundle is not None:
        return _bundle(options)
    if options.untrusted is not None and options.sha is None:
        raise ForgeError("--untrusted needs --sha", remedy="give the head commit of the workflow_run event")
    body = _body(options)
    forge.check_length(posting.marked_for(body, "0" * 40))
    github = forge.GitHub.from_environment(options.api_url, options.repository, origin=_origin())
    try:
        pull = _pull_request(github, options)
        if options.draft is not None:
            return _draft(posting.draft(github, pull, body, options.draft), as_json=options.json)
        done = posting.publish(github, pull, body, options.via, dry=options.dry_run)
    except SupersededError as error:
        done = Done("superseded", options.pr or 0, note=error.what)
        if options.draft is not None:
            print(error.what, file=sys.stderr)
            return _draft({}, as_json=options.json)
    if options.json:
        print(json.dumps(asdict(done)))
    else:
        print(_words(done))
    return 0


def _number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text):
        raise argparse.ArgumentTypeError("a number from 1")
    return int(text)


def _sha(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{40}", text):
        raise argparse.ArgumentTypeError("a full commit, 40 digits")
    return text


def _bundle(options: argparse.Namespace) -> int:
    verdict = Gate.read(Gate.location).verdict if Gate.location.exists() else "none"
    path = options.bundle / untrusted.NAME
    untrusted.bundle(_read(options.file), options.sha or Git()("rev-parse", "HEAD"), verdict).write(path)
    print(json.dumps({"result": "bundled", "path": str(path)}) if options.json else f"wrote {path}")
    return 0


def _origin() -> str:
    """The address of Git's remote; empty outside of a repository, as in the job that only posts."""
    try:
        return Git()("remote", "get-url", "origin")
    except GitError:
        return ""


def _body(options: argparse.Namespace) -> str:
    if options.untrusted is None:
        return _read(options.file)
    return untrusted.render(untrusted.parse(_artifact(options.untrusted), options.sha))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{path} cannot be read", why=str(error), remedy="mainline report") from None
    except UnicodeDecodeError:
        raise RecordError(f"{path} is not UTF-8", remedy="mainline report") from None


def _artifact(folder: Path) -> bytes:
    """The one file of a hostile folder, as far as it may be long. Raises IntegrityError."""
    remedy = "look at the fork's run; nothing was posted"
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  (bytes of a name are not trusted either)
        if names != [untrusted.NAME]:
            raise IntegrityError(
                f"the artifact holds other things than {untrusted.NAME}",
                why=f"{len(names)} entries: {ascii(names[:5])[:200]}",
                remedy=remedy,
            )
        # A link is not followed, and a pipe is not waited for.
        opened = os.open(folder / untrusted.NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise IntegrityError(f"{untrusted.NAME} is not a regular file", remedy=remedy)
            return file.read(untrusted.LONGEST_FILE + 1)
    except OSError as error:
        raise IntegrityError("the artifact cannot be read", why=str(error), remedy=remedy) from None


def _pull_request(github: forge.GitHub, options: argparse.Namespace) -> forge.PullRequest:
    """The pull request that the options or CI name. Raises SupersededError when its head has moved on."""
    number = options.pr or (None if options.untrusted or options.branch else _number_from_ci())
    if number is not None:
        found = [github.pull_request(number)]
    elif options.branch is not None:
        found = github.open_pull_requests(branch=options.branch)
    elif options.sha is not None:
        found = github.open_pull_requests(sha=options.sha)
    else:
        raise ForgeError("no pull request is named", remedy="give --pr, --branch or --sha")
    found = [pull for pull in found if options.base in (None, pull.base_branch)]
    current = [pull for pull in found if options.sha in (None, pull.head_sha)]
    if len(current) == 1:
        return current[0]
    if len(current) > 1:
        numbers = ", ".join(str(pull.number) for pull in current)
        raise ForgeError(f"several pull requests fit: {numbers}", remedy="give --pr, or --sha and --branch")
    if found:
        raise SupersededError(f"not posted: the pull request has moved on to {found[0].head_sha}")
    wanted = ascii(options.branch or options.sha)
    raise ForgeError(f"no open pull request has the head {wanted}", remedy="was it closed meanwhile?")


def _number_from_ci() -> int | None:
    """From GitHub Actions (refs/pull/N/merge) or Jenkins (CHANGE_ID)."""
    on_github = re.fullmatch(r"refs/pull/([0-9]+)/\w+", os.environ.get("GITHUB_REF", ""))
    text = on_github[1] if on_github else os.environ.get("CHANGE_ID", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _draft(found: dict[str, str], *, as_json: bool) -> int:
    """Nothing where there is nothing to post."""
    for line in [json.dumps(found)] if as_json else [f"{key}={value}" for key, value in found.items()]:
        print(line)
    return 0


def _words(done: Done) -> str:
    if done.note:
        print(done.note, file=sys.stderr)
    if done.result == "superseded":
        return "nothing was posted: a newer commit's run does it"
    by = f" by {done.via}" if done.via else ""
    removed = f", {done.removed} doubles removed" if done.removed else ""
    return f"comment of pull request {done.pull_request} {done.result}{by}{removed} {done.url}".rstrip()
