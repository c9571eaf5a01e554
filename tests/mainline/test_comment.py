"""`mainline comment` as CI and a laptop run it, against emulate; and CML's part as it was recorded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mainline import cml, untrusted
from mainline.errors import ForgeError, IntegrityError
from tests import servers
from tests.servers import REPOSITORY, ROBOT, STRANGER, Fault, GitHubServer

emulated = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
SHA = "0123456789abcdef" * 2 + "01234567"
# What CML 0.20.6 makes of the file `report`: recorded from the real one, run from source against emulate.
BY_CML = f'report\n\n![](https://cml.dev/watermark.png#{SHA} "CML watermark mainline")'
# Its contract as we recorded it: it appends its watermark, and edits the newest comment that holds one.
FAKE = f"""\
#!{sys.executable}
import json, os, sys, urllib.request
if sys.argv[1:] == ["--version"]:
    print("{cml.VERSION}")
    sys.exit()
said = dict(argument[2:].split("=", 1) for argument in sys.argv[3:-1])
server, owner, name = said["repo"].rsplit("/", 2)
title = f'"CML watermark {{said["watermark-title"]}}")'
mark = f'![](https://cml.dev/watermark.png#{{os.environ["GITHUB_SHA"]}} {{title}}'
issues = f"{{server}}/repos/{{owner}}/{{name}}/issues"
def call(method, url, body=None):
    headers = {{"Authorization": "Bearer " + os.environ["REPO_TOKEN"], "Content-Type": "application/json"}}
    data = None if body is None else json.dumps({{"body": body}}).encode()
    return json.load(urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)))
comments = f"{{issues}}/{{said['target'].removeprefix('pr/')}}/comments"
marked = [c["id"] for c in call("GET", comments) if title in c["body"]]
body = open(sys.argv[-1]).read() + "\\n\\n" + mark
done = call("PATCH", f"{{issues}}/comments/{{marked[-1]}}", body) if marked else call("POST", comments, body)
print(done["html_url"])
"""


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def server(running: GitHubServer) -> GitHubServer:
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    return running


def _call(
    folder: Path, server: GitHubServer | None, *arguments: str, **extra: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_TOKEN": f"{ROBOT}-token",
        "GITHUB_API_URL": server.url if server else "http://127.0.0.1:9",
        "GITHUB_SERVER_URL": server.url if server else "http://127.0.0.1:9",
        **extra,
    }
    return subprocess.run(
        [sys.executable, "-m", "mainline.cli", "comment", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def _done(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _write(folder: Path, text: str) -> None:
    (folder / "reports").mkdir(exist_ok=True)
    (folder / "reports/report.md").write_text(text)


def _fake_cml(folder: Path) -> dict[str, str]:
    """A `cml` on the PATH, with its checksum."""
    program = folder / "bin/cml"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    checksum = hashlib.sha256(program.read_bytes()).hexdigest()
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", cml.CHECKSUM: checksum}


class TestWatermark:
    """Both ways must know each other's comments, and nobody else's."""

    @pytest.mark.parametrize("body", [BY_CML, f"report\n\n{cml.watermark(SHA)}", f"{BY_CML}\r\n"])
    def test_a_report_is_known_whichever_way_posted_it(self, body: str) -> None:
        assert cml.is_report(body)
        assert cml.reaches(["hello", body], 1)
        assert cml.same(body, BY_CML)

    @pytest.mark.parametrize(
        "body",
        [
            f"> {BY_CML.splitlines()[-1]}",
            f"{BY_CML}\n\nI do not agree",
            BY_CML.replace("mainline", "another"),
            BY_CML.replace("cml.dev", "cml.dev.example"),
            BY_CML.replace("cml.dev", "cmlxdev"),
            BY_CML.replace(SHA, ""),
            "",
        ],
    )
    def test_quotations_and_other_reports_are_none(self, body: str) -> None:
        assert not cml.is_report(body)

    def test_another_commit_or_text_is_another_report(self) -> None:
        assert not cml.same(BY_CML, BY_CML.replace(SHA, "f" * 40))
        assert not cml.same(BY_CML, BY_CML.replace("report", "other"))

    def test_cml_is_not_let_at_comments_of_others_nor_where_it_would_not_find_ours(self) -> None:
        others = [f"> {BY_CML.splitlines()[-1]}\n\nwhat is this?"]
        assert not cml.reaches([BY_CML, *others], 0)
        assert not cml.reaches(others, None)
        assert not cml.reaches([*["hello"] * cml.PAGE, BY_CML], cml.PAGE)
        assert cml.reaches(["hello"] * 99, None)


class TestCml:
    """Nothing runs before its checksum was compared."""

    def test_without_a_checksum_it_is_not_used(self, tmp_path: Path) -> None:
        environment = _fake_cml(tmp_path)
        with pytest.raises(ForgeError, match=cml.CHECKSUM):
            cml.Cml.find({"PATH": environment["PATH"]})
        with pytest.raises(ForgeError, match="not on the PATH"):
            cml.Cml.find({**environment, "PATH": "/nowhere"})
        assert cml.Cml.find(environment).program == tmp_path / "bin/cml"

    def test_another_file_is_refused_unrun(self, tmp_path: Path) -> None:
        environment = _fake_cml(tmp_path)
        (tmp_path / "bin/cml").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        with pytest.raises(IntegrityError, match="is not the CML"):
            cml.Cml.find(environment)
        assert not (tmp_path / "ran").exists()

    def test_another_version_is_refused(self, tmp_path: Path) -> None:
        environment = _fake_cml(tmp_path)
        program = tmp_path / "bin/cml"
        program.write_text("#!/bin/sh\necho 0.20.5\n")
        environment[cml.CHECKSUM] = hashlib.sha256(program.read_bytes()).hexdigest()
        with pytest.raises(IntegrityError, match=r"0\.20\.5"):
            cml.Cml.find(environment)

    def test_it_sees_its_own_environment_only_and_the_token_in_no_argument(self, tmp_path: Path) -> None:
        """CML writes `safe.directory = *` into the Git configuration of its HOME, and sends statistics."""
        program = tmp_path / "cml"
        program.write_text(f'#!/bin/sh\nenv > {tmp_path}/env\necho "$@" > {tmp_path}/arguments\n')
        program.chmod(0o755)
        given = {"PATH": os.environ["PATH"], "HOME": "/home/me", "AWS_SECRET_ACCESS_KEY": "secret"}
        cml.Cml(program, given).update(
            "report", server="https://github.com", repository="o/r", number=3, sha=SHA, token="t0ken"
        )
        seen = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
        assert not {"AWS_SECRET_ACCESS_KEY"} & set(seen)
        assert (seen["HOME"] != "/home/me", seen["ITERATIVE_DO_NOT_TRACK"]) == (True, "1")
        assert (seen["REPO_TOKEN"], seen["GITHUB_SHA"]) == ("t0ken", SHA)
        arguments = (tmp_path / "arguments").read_text()
        assert "t0ken" not in arguments and "--publish=false" in arguments and "--target=pr/3" in arguments


class TestVerb:
    pytestmark = emulated

    def test_both_ways_keep_one_comment(self, server: GitHubServer, tmp_path: Path) -> None:
        environment = _fake_cml(tmp_path)
        for order in (("cml", "api", "cml", "api"), ("api", "cml", "api", "cml")):
            pull = server.pull_request()
            number = ("--pr", str(pull["number"]))
            for index, via in enumerate(order):
                _write(tmp_path, f"report {index}\n")
                said = _done(_call(tmp_path, server, *number, "--via", via, "--json", **environment))
                assert (said["result"], said["via"]) == ("updated" if index else "created", via)
            again = _done(_call(tmp_path, server, *number, "--json", **environment))
            assert again["result"] == "unchanged"
            [(author, body)] = server.comments(pull["number"])
            assert author == ROBOT and body.startswith("report 3\n\n") and pull["head"]["sha"] in body

    def test_auto_takes_the_api_where_cml_would_edit_another(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        environment = _fake_cml(tmp_path)
        _write(tmp_path, "report\n")
        number = server.pull_request()["number"]
        server.comment(number, BY_CML, STRANGER)
        said = _done(_call(tmp_path, server, f"--pr={number}", "--json", **environment))
        assert (said["via"], said["note"]) == ("api", "CML would edit another comment than ours")
        assert [who for who, _ in server.comments(number)] == [STRANGER, ROBOT]
        refused = _call(tmp_path, server, f"--pr={number}", "--via=cml", "--json", **environment)
        assert refused.returncode == 0, "the same report is there already: nothing is left to do"
        _write(tmp_path, "another report\n")
        server.comment(number, BY_CML, STRANGER)
        refused = _call(tmp_path, server, f"--pr={number}", "--via=cml", **environment)
        assert refused.returncode == ForgeError.exit_code

    def test_auto_posts_through_the_api_where_cml_fails(self, server: GitHubServer, tmp_path: Path) -> None:
        environment = _fake_cml(tmp_path)
        _write(tmp_path, "report\n")
        number = server.pull_request()["number"]
        environment["GITHUB_SERVER_URL"] = "http://127.0.0.1:9"
        said = _done(_call(tmp_path, server, f"--pr={number}", "--json", **environment))
        assert said["via"] == "api" and "CML failed" in str(said["note"])
        assert len(server.comments(number)) == 1

    def test_doubles_of_two_runs_at_once_become_one(self, server: GitHubServer, tmp_path: Path) -> None:
        number = server.pull_request()["number"]
        for _ in range(2):
            server.comment(number, BY_CML, ROBOT)
        _write(tmp_path, "report")
        said = _done(_call(tmp_path, server, f"--pr={number}", "--json", **_fake_cml(tmp_path)))
        assert said["removed"] == 1
        assert len(server.comments(number)) == 1

    @pytest.mark.parametrize("variable", ["GITHUB_REF", "CHANGE_ID"])
    def test_in_ci_the_number_comes_from_the_environment(
        self, server: GitHubServer, tmp_path: Path, variable: str
    ) -> None:
        number = server.pull_request()["number"]
        value = f"refs/pull/{number}/merge" if variable == "GITHUB_REF" else str(number)
        _write(tmp_path, "report")
        assert _done(_call(tmp_path, server, "--json", **{variable: value}))["pull_request"] == number

    def test_a_dry_run_writes_nothing(self, server: GitHubServer, tmp_path: Path) -> None:
        number = server.pull_request()["number"]
        _write(tmp_path, "report")
        server.proxy.seen.clear()
        done = _call(tmp_path, server, f"--pr={number}", "--dry-run")
        assert f"comment of pull request {number} would create by api" in done.stdout
        assert server.proxy.writes() == []

    def test_a_draft_writes_nothing_to_the_forge_and_says_where_it_belongs(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        number = server.pull_request()["number"]
        _write(tmp_path, "report")
        server.proxy.seen.clear()
        done = _call(tmp_path, server, f"--pr={number}", "--draft=out")
        told = re.sub(r"since=[0-9T:-]{19}Z", "since=NOW", done.stdout).splitlines()
        assert told == [
            f"number={number}", "method=POST", f"path=issues/{number}/comments",
            f"look=issues/{number}/comments?per_page=100&since=NOW", "doubles=", "cml=true",
        ]  # fmt: skip
        assert server.proxy.writes() == []
        ours = [server.comment(number, BY_CML, ROBOT) for _ in range(2)]
        said = _done(_call(tmp_path, server, f"--pr={number}", "--draft=out", "--json"))
        assert (said["method"], said["path"]) == ("PATCH", f"issues/comments/{ours[1]}")
        assert (said["doubles"], said["cml"]) == (str(ours[0]), "false")

    def test_a_draft_of_a_report_on_an_older_commit_says_nothing_to_a_step(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        _write(tmp_path, "old")
        number = server.pull_request()["number"]
        done = _call(tmp_path, server, f"--pr={number}", f"--sha={SHA}", "--draft=out")
        assert (done.returncode, done.stdout) == (0, "") and "has moved on" in done.stderr
        assert not (tmp_path / "out").exists()

    def test_a_report_on_an_older_commit_does_not_replace_a_newer_one(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        pull = server.pull_request()
        _write(tmp_path, "old")
        for target in (f"--pr={pull['number']}", f"--branch={pull['head']['ref']}"):
            said = _done(_call(tmp_path, server, target, f"--sha={SHA}", "--json"))
            assert said["result"] == "superseded"
        assert server.comments(pull["number"]) == []

    def test_two_pull_requests_of_one_commit_are_told_apart_by_the_branch(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        """Anybody may open a second one for somebody else's commit."""
        first = server.pull_request()
        ref = {"ref": "refs/heads/copy", "sha": first["head"]["sha"]}
        server.call("POST", f"/repos/{REPOSITORY}/git/refs", ref)
        copy = {"title": "copy", "head": "copy", "base": "main"}
        second = server.call("POST", f"/repos/{REPOSITORY}/pulls", copy)
        _write(tmp_path, "report")
        sha = f"--sha={first['head']['sha']}"
        refused = _call(tmp_path, server, sha)
        assert refused.returncode == ForgeError.exit_code and "several pull requests fit" in refused.stderr
        assert (
            _done(_call(tmp_path, server, sha, "--branch=copy", "--json"))["pull_request"] == second["number"]
        )

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            ((), "no pull request is named"),
            (("--branch", "no\n::such"), "no open pull request has the head 'no\\n::such'"),
            (("--sha", SHA), "was it closed meanwhile"),
            (("--pr", "999"), "404"),
        ],
    )
    def test_a_pull_request_that_is_not_there(
        self, server: GitHubServer, tmp_path: Path, arguments: tuple[str, ...], told: str
    ) -> None:
        _write(tmp_path, "report")
        done = _call(tmp_path, server, *arguments)
        assert done.returncode == ForgeError.exit_code
        assert told in done.stderr

    def test_a_missing_right_says_which_and_shows_no_token(
        self, server: GitHubServer, tmp_path: Path
    ) -> None:
        number = server.pull_request()["number"]
        _write(tmp_path, "report")
        forbidden = {"message": "Resource not accessible by integration"}
        server.proxy.faults.append(Fault("POST", "/comments", 403, body=forbidden))
        done = _call(tmp_path, server, f"--pr={number}")
        assert done.returncode == ForgeError.exit_code
        assert "`pull-requests: write`" in done.stderr and "robot-token" not in done.stderr + done.stdout

    def test_a_forks_report_is_bundled_and_posted_as_text(self, server: GitHubServer, tmp_path: Path) -> None:
        pull = server.pull_request(fork=True)
        sha = pull["head"]["sha"]
        _write(tmp_path, f"**promote** @octo #1\n```\n<!-- x -->\n{cml.watermark(SHA)}")
        bundle = tmp_path / "bundle"
        assert _done(_call(tmp_path, None, f"--bundle={bundle}", f"--sha={sha}", "--json"))["result"]
        said = _done(
            _call(
                tmp_path, server, f"--untrusted={bundle}", f"--sha={sha}", "--json",
                f"--branch={STRANGER}:{pull['head']['ref']}", GITHUB_REF="refs/pull/1/merge",
            )
        )  # fmt: skip
        assert said["pull_request"] == pull["number"]
        [(author, body)] = server.comments(pull["number"])
        assert author == ROBOT and "its figures are not verified" in body
        assert f"```text\n**promote** @octo #1\n'''\n<!-- x -->\n{cml.watermark(SHA)}\n```\n" in body
        assert body.endswith(cml.watermark(sha))


class TestBadInput:
    def test_too_long_a_report_is_refused_before_anything_is_asked(self, tmp_path: Path) -> None:
        _write(tmp_path, "x" * 65_500)
        done = _call(tmp_path, None, "--pr=1")
        assert done.returncode == ForgeError.exit_code
        assert "GitHub takes 65,536" in done.stderr

    def test_a_report_that_is_missing_or_no_text(self, tmp_path: Path) -> None:
        done = _call(tmp_path, None, "--pr=1")
        assert (done.returncode, "mainline report" in done.stderr) == (19, True)
        _write(tmp_path, "")
        (tmp_path / "reports/report.md").write_bytes(b"\xff\xfe")
        done = _call(tmp_path, None, "--pr=1")
        assert (done.returncode, "UTF-8" in done.stderr) == (19, True)

    @pytest.mark.parametrize("arguments", [("--pr=0",), ("--pr=-1",), ("--sha=main",), ("--sha=abc",)])
    def test_numbers_and_commits_are_checked(self, tmp_path: Path, arguments: tuple[str, ...]) -> None:
        assert _call(tmp_path, None, *arguments).returncode == 2

    def test_an_untrusted_report_needs_the_commit_of_the_event(self, tmp_path: Path) -> None:
        done = _call(tmp_path, None, f"--untrusted={tmp_path}", "--pr=1")
        assert done.returncode == ForgeError.exit_code and "--untrusted needs --sha" in done.stderr

    @pytest.mark.parametrize(
        "kind", ["empty", "missing", "link", "pipe", "folder", "second file", "hostile name", "file"]
    )
    def test_a_hostile_folder_is_refused(self, tmp_path: Path, kind: str) -> None:
        folder = tmp_path / "artifact"
        secret = tmp_path / "secret"
        secret.write_text("the secret")
        record = folder / untrusted.NAME
        if kind == "file":
            folder.write_text("no folder")
        elif kind != "missing":
            folder.mkdir()
        if kind == "link":
            record.symlink_to(secret)
        elif kind == "pipe":
            os.mkfifo(record)
        elif kind == "folder":
            record.mkdir()
        elif kind in ("second file", "hostile name"):
            record.write_text("{}")
            (folder / ("x" if kind == "second file" else "\n::set-env::\x1b[31m\udcff")).write_text("")
        done = _call(tmp_path, None, f"--untrusted={folder}", f"--sha={SHA}")
        assert done.returncode == IntegrityError.exit_code, done.stderr
        assert "the secret" not in done.stderr and "\n::" not in done.stderr and "\x1b" not in done.stderr

    def test_a_refused_record_has_its_own_exit_code(self, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / untrusted.NAME).write_bytes(b"x" * (untrusted.LONGEST_FILE + 2))
        done = _call(tmp_path, None, f"--untrusted={tmp_path / 'a'}", f"--sha={SHA}")
        assert (done.returncode, "larger than 262,144 bytes" in done.stderr) == (19, True)
