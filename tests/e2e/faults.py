"""The loop under faults, in the demo's harness, on a use case whose pipeline takes seconds.

`python -m tests.e2e.faults --write` plays every scenario in one repository, counts, and writes the table of
README.md; without `--write` it prints it. A scenario raises Stopped where something did not hold.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console

from tests import clones
from tests.e2e import leftovers
from tests.e2e.hub import MAIN, PULLS, Pull
from tests.e2e.ideas import Idea
from tests.e2e.narration import Narrator
from tests.e2e.play import Play, Stopped, opened
from tests.e2e.runner import Run
from tests.servers import OWNER, REPOSITORY, STRANGER, Fault
from tests.slow.test_seam import fork as use_case
from tests.workflows.conftest import CONTROL

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- faults: written by python -m tests.e2e.faults --write -->", "<!-- /faults -->"
PROMOTE = ("lock", "pull", "gate", "build", "check", "attach", "put", "tag", "push", "view")
HOSTILE = "x;touch${IFS}PWNED;`touch${IFS}PWNED`"
TITLE = "$(touch PWNED) @octo <img src=x onerror=alert(1)> ::set-output name=x::y"
CLOSED = "http://127.0.0.1:9"  # nobody listens on this port


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, how often, and what was then seen to hold."""

    fault: str
    times: int
    held: str


def must(holds: object, what: str, run: Run | None = None) -> None:
    if not holds:
        raise Stopped(what, run)


def first(play: Play) -> None:
    """A repository with a trained, pushed main and one version."""
    root = use_case("wine", play.folder / "ada")
    params = yaml.safe_load((root / "params.yaml").read_text()) | CONTROL
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    play.settle(root, "ada")
    clones.git(root, "remote", "add", "origin", play.hub.origin("ada-token"))
    play.command(root, "mainline.cli", "run")
    clones.git(root, "checkout", "--quiet", "--orphan", "fresh")
    clones.commit(root, "wine")
    clones.git(root, "branch", "--quiet", "--move", "--force", MAIN)
    clones.git(
        root,
        "commit",
        "--quiet",
        "--allow-empty",
        "--message",
        "main as it was is what promote compares with",
    )
    play.command(root, "dvc", "push", "--quiet")
    clones.git(root, "push", "--quiet", "--set-upstream", "origin", MAIN)
    play.promoted()


def tuned(branch: str, value: float) -> Idea:
    """Another model: CI has to train it."""

    def change(root: Path) -> None:
        content = yaml.safe_load((root / "params.yaml").read_text())
        content["train"]["weight_decay"] = value
        (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))

    return Idea(branch, branch, "", change, "")


def worded(branch: str, file: str) -> Idea:
    """Words alone: nothing to train."""

    def change(root: Path) -> None:
        (root / file).write_text(f"{branch}\n")
        clones.git(root, "add", file)

    return Idea(branch, branch, "", change, "")


def cut(play: Play) -> list[Row]:
    """The connection breaks while CI pushes what it trained; closing and reopening starts the next run."""
    rows = []
    for number, (where, words) in enumerate((("pack", "in the pack"), ("answer", "before the answer"))):
        pull = play.propose(tuned(f"cut-{where}", 0.011 + number / 1000))
        before = pull.sha
        play.hub.repository.cuts = [where]
        first = play.runner.ended("ci.yml", pull=pull.number)
        must(not play.hub.repository.cuts, "nothing was pushed", first)
        if first.jobs.get("train") != "success":
            must(play.hub.pull(pull.number).sha == before, "half of a push arrived", first)
            for state in ("closed", "open"):
                play.hub.set_state(pull.number, state, "ada")
        play.reviewed(pull.number)
        log = play.hub.repository.git("rev-list", f"{MAIN}..{pull.branch}").splitlines()
        must(len(log) == 2, f"{pull.branch} has {len(log)} commits, not the idea and its lock")
        rows.append(Row(f"git cut {words}, while CI pushes the lock", 1, "one lock commit, one comment"))
        play.hub.close_pull(pull.number, "ada")
    return rows


def api(play: Play) -> list[Row]:
    """The API fails while the comment is posted: before it, after it did its work, and silently."""
    pull = play.propose(worded("api", "api.txt"))
    play.reviewed(pull.number)
    ci = play.runner.of("ci.yml", pull=pull.number)[-1]
    soon = {"Retry-After": "1"}
    cases = (
        ("403 with Retry-After", Fault("GET", "/comments", 403, soon, {"message": "secondary rate limit"})),
        ("429", Fault("GET", "/comments", 429, soon)),
        ("500", Fault("PATCH", "/comments/", 500)),
        ("502 after it was done", Fault("PATCH", "/comments/", 502, after=True)),
        ("no answer", Fault("GET", "/pulls", hang=True)),
    )
    rows = []
    for name, fault in cases:
        comment = play.hub.api.call("GET", f"/repos/{REPOSITORY}/issues/{pull.number}/comments")[0]
        path = f"/repos/{REPOSITORY}/issues/comments/{comment['id']}"
        play.hub.api.call("PATCH", path, {"body": comment["body"].replace("\n", "\n ", 1)}, "robot")
        play.hub.api.proxy.faults[:] = [fault]
        done = len(play.runner.of("comment.yml", pull=pull.number)) + 1
        play.runner.follow(ci)
        run = play.runner.ended("comment.yml", done, pull=pull.number)
        must(run.status == "success", f"the comment was not posted: {name}", run)
        must(fault.times == 0, f"the API was not asked: {name}", run)
        must(len(play.hub.api.comments(pull.number)) == 1, f"there are two comments: {name}", run)
        rows.append(Row(f"the API answers with {name}, while the report is posted", 1, "one comment"))
    play.hub.close_pull(pull.number, "ada")
    return rows


def killed(play: Play) -> list[Row]:
    """promote is killed at each of its steps, on one new model, and then run once more."""
    pull = play.propose(tuned("killed", 0.02))
    play.reviewed(pull.number)
    before = (len(play.tags("@")), len(play.tags("#staging#")))
    play.runner.held = {"promote.yml"}
    play.merge(pull.number)
    play.runner.held = set()
    for step in PROMOTE:
        count = len(play.runner.of("promote.yml"))
        play.runner.dispatch("promote.yml", MAIN, "grace-token")
        (run,) = play.runner.of("promote.yml")[count:]
        play.runner.until(f"step {step}", lambda: run.ended or f"▸ {step}\n" in _log(run))  # noqa: B023
        play.runner.kill(run)
        play.runner.until("its end", lambda: run.ended)  # noqa: B023
        must(run.jobs.get("promote") != "success", f"{step} was over before it was killed", run)
    play.runner.dispatch("promote.yml", MAIN, "grace-token")
    run = play.runner.of("promote.yml")[-1]
    play.runner.until("the last promote", lambda: run.ended)
    must(run.status == "success", "promote does not go on", run)
    after = (len(play.tags("@")), len(play.tags("#staging#")))
    must(after == (before[0] + 1, before[1] + 1), f"tags before and after: {before}, {after}", run)
    return [
        Row(
            "promote killed at each of its steps, then run again",
            len(PROMOTE),
            "one version, one staging tag",
        )
    ]


def _log(run: Run) -> str:
    return run.log.read_text(errors="replace") if run.log.exists() else ""


def merges(play: Play) -> list[Row]:
    """Two merges at once: the older one's promote finds that it was overtaken."""
    pulls = [play.propose(tuned("one", 0.03)), play.propose(worded("two", "two.txt"))]
    for pull in pulls:
        play.reviewed(pull.number)
    before = len(play.tags("@"))
    threads = [threading.Thread(target=play.hub.merge, args=(pull.number, "grace-token")) for pull in pulls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    play.runner.quiet()
    tip = play.hub.repository.tip(MAIN)
    must(all(play.hub.pull(pull.number).content["merged"] for pull in pulls), "one of them was lost")
    promoted = play.runner.of("promote.yml")[-2:]
    must(all(run.status == "success" for run in promoted), "a promote failed", promoted[0])
    newest = play.tags("@")[before:]
    must(len(newest) == 1, f"versions: {newest}")
    must(play.hub.repository.git("rev-parse", f"{newest[0]}^{{commit}}") == tip, "the version is not main's")
    return [Row("two merges at once", 1, "both on main, one version, of main's newest commit")]


def stranger(play: Play) -> list[Row]:
    """A fork's pull request whose title, branch and model want to do things."""
    root = play.person("ada")
    clones.git(root, "checkout", "--quiet", "-B", "theirs", f"origin/{MAIN}")
    tuned("theirs", 0.5).change(root)
    clones.git(root, "commit", "--quiet", "--all", "--message", TITLE)
    with suppress(OSError):  # urllib's error, where the fork is there
        play.hub.api.call("POST", f"/repos/{REPOSITORY}/forks", {}, STRANGER)
    content = {"title": TITLE, "head": f"{STRANGER}:{HOSTILE}", "base": MAIN}
    made = play.hub.api.call("POST", PULLS, content, STRANGER)
    clones.git(root, "push", "--quiet", "origin", f"HEAD:refs/pull/{made['number']}/head")
    pull = Pull(play.hub.right(made))
    play.hub.acted("opened", pull, f"{STRANGER}-token")
    run = play.runner.ended("ci.yml", pull=pull.number)
    play.runner.quiet()
    must("train" not in run.jobs, "a fork's code was trained", run)
    must(run.jobs.get("required") == "failure", "a fork's stale lock passed", run)
    texts = play.hub.api.comments(pull.number)
    must(len(texts) == 1 and "```text" in texts[0][1], f"comments: {texts}", run)
    must(not list(play.folder.rglob("PWNED")), "something of it was executed", run)
    return [
        Row(
            "a fork's pull request with a hostile branch and title",
            1,
            "not trained, shown as text, nothing done",
        )
    ]


SCENARIOS: tuple[Callable[[Play], list[Row]], ...] = (cut, api, killed, merges, stranger)


def play_all(play: Play, wanted: list[str]) -> list[Row]:
    """MLflow is down all the while."""
    play.model = "wine"
    play.runner.variables |= {"MLFLOW_TRACKING_URI": CLOSED}
    for name in ("DEPLOY_TARGET", "MONITOR"):
        play.runner.variables.pop(name)
    with play.tell.step("a trained main, one version"):
        first(play)
    rows = []
    for scenario in SCENARIOS:
        if not wanted or scenario.__name__ in wanted:
            with play.tell.step(scenario.__name__):
                rows += scenario(play)
    trained = sum(run.jobs.get("train") == "success" for run in play.runner.runs)
    promoted = sum(run.file == "promote.yml" and run.status == "success" for run in play.runner.runs)
    held = f"{trained} trainings and {promoted} promotions ended well"
    return [*rows, Row("MLflow down throughout", len(play.runner.runs), held)]


def table(rows: list[Row]) -> str:
    lines = [f"| {row.fault} | {row.times} | {row.held} |" for row in rows]
    return "\n".join(["| fault | times | what then held |", "|---|---:|---|", *lines])


def write(rows: list[Row]) -> None:
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    README.write_text(f"{head}{BEGIN}\n{table(rows)}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.e2e.faults", description=__doc__)
    parser.add_argument("scenarios", nargs="*", help=", ".join(one.__name__ for one in SCENARIOS))
    parser.add_argument("--write", action="store_true", help="the table into README.md")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="mainline-demo-"))
    os.environ[leftovers.MARK] = str(folder)
    (folder / "tmp").mkdir()
    os.environ["TMPDIR"] = str(folder / "tmp")  # what tools leave behind goes with the folder
    code = 1
    try:
        with opened(folder, Narrator(Console(stderr=True)), fast=True) as play:
            rows = play_all(play, options.scenarios)
        print(table(rows))
        if options.write:
            write(rows)
        code = 0
    except Stopped as error:
        print(f"{error}\n{error.run.log if error.run else ''}", file=sys.stderr)
    finally:
        leftovers.end(str(folder))
        if code == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return code


__all__ = ["OWNER", "SCENARIOS", "play_all", "table", "write"]

if __name__ == "__main__":
    sys.exit(main())
