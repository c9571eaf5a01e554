"""A fork's pull request whose title, branch, model and artifact want to do things."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

from mainline import untrusted
from tests import clones
from tests.e2e.faults.loop import Seen, tuned
from tests.e2e.faults.table import Scenario, must
from tests.e2e.hub import MAIN, PULLS, Pull
from tests.e2e.play import Play
from tests.e2e.runs import Run
from tests.servers import REPOSITORY, STRANGER

BRANCH = "x;touch${IFS}PWNED;`touch${IFS}PWNED`"
TITLE = "$(touch PWNED) @octo <img src=x onerror=alert(1)> ::set-output name=x::y"
TEXT = f"```\n{TITLE}\n# promote it\n```text\n[x](javascript:x) #1 \x1b[2J"
HOSTILE = ("PWNED", "@octo", "<img", "::", "promote it", "javascript:", "\x1b")  # none of it in words of ours


def stranger(play: Play) -> Seen:
    run = _proposed(play)
    must("train" not in run.jobs, "a fork's code was trained", run)
    must(run.jobs.get("required") == "failure", "a fork's stale lock passed", run)
    texts = play.hub.api.comments(int(run.pull or 0))
    must(len(texts) == 1 and _inside(texts[0][1]), f"comments: {texts}", run)
    _nothing_done(play, run)
    return [(1, "not trained, shown as text, nothing done")]


def artifact(play: Play) -> Seen:
    """The report that the fork's run hands over is what the fork likes; comment.yml of main is given it."""
    fork = next((pull for pull in play.hub.pulls("open") if pull.fork), None)
    run = play.runner.of("ci.yml", pull=fork.number)[0] if fork else _proposed(play)
    pull, folder = play.hub.pull(int(run.pull or 0)), run.artifact("report-fork")
    other = play.hub.repository.tip(MAIN)
    (before,) = play.hub.api.comments(pull.number)
    refused: dict[str, dict[str, bytes | Path]] = {
        "too large": {untrusted.NAME: _report(pull.sha, "x" * untrusted.LONGEST_FILE)},
        "no JSON": {untrusted.NAME: b"\xff\xfe::add-mask::x"},
        "another schema": {untrusted.NAME: _report(pull.sha, TEXT, number=1)},
        "another verdict": {untrusted.NAME: _report(pull.sha, TEXT, verdict="promote, @octo")},
        "another commit": {untrusted.NAME: _report(str(other), TEXT)},
        "a second file": {untrusted.NAME: _report(pull.sha, TEXT), "Makefile": b"setup:\n\ttouch PWNED\n"},
        "a link": {untrusted.NAME: Path("/etc/passwd")},
    }
    for what, files in refused.items():
        done = _handed_over(play, run, folder, files)
        must(done.jobs == {"draft": "failure"}, f"{what} was taken", done)
        must("nothing was posted" in done.log.read_text(), f"{what}: it failed for another reason", done)
        must(play.hub.api.comments(pull.number) == [before], f"{what} was posted", done)
        _nothing_done(play, done)
    done = _handed_over(play, run, folder, {untrusted.NAME: _report(pull.sha, TEXT)})
    must(
        done.jobs == {"draft": "success", "comment": "success"},
        "a report of hostile words is text, and no more",
        done,
    )
    ((_, text),) = play.hub.api.comments(pull.number)
    inside = _inside(text)
    must(TITLE in inside and "'''" in inside and "\x1b" not in text, f"not inert: {text}", done)
    _nothing_done(play, done)
    others = [one for one in play.hub.pulls() if one.number != pull.number]
    must(not any("promote it" in text for one in others for _, text in play.hub.api.comments(one.number)),
         "it came to another pull request", done)  # fmt: skip
    names = ", ".join(refused)
    return [
        (len(refused), f"refused, nothing posted, nothing done: {names}"),
        (1, "shown as text, inert"),
    ]


def _proposed(play: Play) -> Run:
    """ci.yml of the fork's pull request, ended."""
    root = play.person("ada")
    clones.git(root, "checkout", "--quiet", "-B", "theirs", f"origin/{MAIN}")
    tuned("theirs", 0.5).change(root)
    clones.git(root, "commit", "--quiet", "--all", "--message", TITLE)
    with suppress(OSError):  # urllib's error, where the fork is there
        play.hub.api.call("POST", f"/repos/{REPOSITORY}/forks", {}, STRANGER)
    content = {"title": TITLE, "head": f"{STRANGER}:{BRANCH}", "base": MAIN}
    made = play.hub.api.call("POST", PULLS, content, STRANGER)
    clones.git(root, "push", "--quiet", "origin", f"HEAD:refs/pull/{made['number']}/head")
    pull = Pull(play.hub.right(made))
    play.hub.acted("opened", pull, f"{STRANGER}-token")
    run = play.runner.ended("ci.yml", pull=pull.number)
    play.runner.quiet()
    return run


def _report(commit: str, text: str, **other: object) -> bytes:
    content = {"version": 1, "commit": commit, "verdict": "promote", "text": text}
    return json.dumps(content | other).encode()


def _handed_over(play: Play, ci: Run, folder: Path, files: dict[str, bytes | Path]) -> Run:
    """comment.yml, ended, after a run of ci.yml that left these files; a path is what a link leads to."""
    shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for name, content in files.items():
        if isinstance(content, Path):
            (folder / name).symlink_to(content)
        else:
            (folder / name).write_bytes(content)
    count = len(play.runner.of("comment.yml", pull=ci.pull)) + 1
    play.runner.follow(ci)
    run: Run = play.runner.ended("comment.yml", count, pull=ci.pull)
    return run


def _inside(comment: str) -> str:
    """The text of its one code block. Raises Stopped where the fork's words stand outside of it."""
    before, _, rest = comment.partition("\n```text\n")
    inside, _, after = rest.partition("\n```\n")
    outside = before + after
    found = [words for words in (*HOSTILE, "```") if words in outside]
    must(not found, f"outside of the code block: {found}\n{comment}")
    return inside


def _nothing_done(play: Play, run: Run) -> None:
    must(not list(play.folder.rglob("PWNED")), "something of it was executed", run)
    must("root:x:0" not in str(play.hub.api.comments(int(run.pull or 0))), "a file of ours was shown", run)


FORKS: tuple[Scenario[Play], ...] = (
    Scenario("stranger", ("a fork's pull request with a hostile branch and title",), stranger),
    Scenario(
        "artifact",
        ("a fork's report that is no report, through comment.yml", "a fork's report of hostile words"),
        artifact,
    ),
)
