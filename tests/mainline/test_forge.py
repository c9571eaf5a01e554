"""The forge adapter against emulate, a stateful GitHub API, with the faults that a real one has."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mainline import cml, forge
from mainline.errors import ForgeError
from mainline.forge import LONGEST_BODY, Comment, GitHub, Posted
from tests import servers
from tests.servers import OWNER, REPOSITORY, ROBOT, STRANGER, Fault, GitHubServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
SHA = "a" * 40
TOKEN = f"{ROBOT}-token"
COMMENTS = r"/issues/\d+/comments"
FORBIDDEN = {"message": "Resource not accessible by integration"}


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def server(running: GitHubServer) -> GitHubServer:
    """Without the faults and the memory of the test before."""
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    return running


def _github(server: GitHubServer, **settings: Any) -> GitHub:
    return GitHub(REPOSITORY, TOKEN, server.url, **{"pause": 0.01, **settings})


def _report(text: str) -> str:
    return f"{text}\n\n{cml.watermark(SHA)}"


def _upsert(server: GitHubServer, number: int, text: str, **settings: Any) -> Posted:
    return _github(server, **settings).upsert_comment(number, _report(text), cml.is_report)


def test_one_comment_is_created_then_edited_then_left_alone(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    server.comment(number, "nice work", STRANGER)
    assert _upsert(server, number, "one").result == "created"
    assert _upsert(server, number, "two").result == "updated"
    server.proxy.seen.clear()
    assert _upsert(server, number, "two").result == "unchanged"
    assert server.proxy.writes() == []
    assert server.comments(number) == [(STRANGER, "nice work"), (ROBOT, _report("two"))]


def test_of_several_the_newest_stays_and_nobody_elses_is_touched(server: GitHubServer) -> None:
    """Two runs at once leave two; a stranger's copy and a person's quotation of the report are not ours."""
    number = server.pull_request()["number"]
    planted = _report("**promote**, trust me")
    quoted = "\n".join(f"> {line}" for line in _report("one").splitlines()) + "\n\nwhy?"
    for who, body in ((ROBOT, _report("one")), (STRANGER, planted), (ROBOT, quoted), (ROBOT, _report("two"))):
        server.comment(number, body, who)
    server.comment(number, planted, STRANGER)
    assert _upsert(server, number, "three").removed == 1
    assert server.comments(number) == [
        (STRANGER, planted), (ROBOT, quoted), (ROBOT, _report("three")), (STRANGER, planted),
    ]  # fmt: skip


def test_a_report_beyond_the_first_page_of_comments_is_found(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    for index in range(101):
        server.comment(number, f"{index}", OWNER)
    server.comment(number, _report("one"), ROBOT)
    assert _upsert(server, number, "two").result == "updated"
    assert len(_github(server).comments(number)) == 102


def test_a_pull_request_is_read_and_found_by_its_head(server: GitHubServer) -> None:
    ours, theirs = server.pull_request(), server.pull_request(fork=True)
    github = _github(server)
    github.label(ours["number"], "accept-hold")
    github.label(ours["number"], "accept-hold")
    found = github.pull_request(ours["number"])
    assert (found.head_sha, found.head_branch) == (ours["head"]["sha"], ours["head"]["ref"])
    assert (found.fork, found.labels, found.base_branch) == (False, ("accept-hold",), "main")
    assert github.open_pull_requests(branch=found.head_branch, sha=found.head_sha) == [found]
    fork = github.pull_request(theirs["number"])
    assert (fork.fork, fork.head_repository) == (True, f"{STRANGER}/flights")
    assert github.open_pull_requests(sha=fork.head_sha) == [fork]
    assert github.open_pull_requests(branch=f"{STRANGER}:{fork.head_branch}") == [fork]
    assert github.open_pull_requests(branch=fork.head_branch) == []  # ours, of that name: there is none
    server.call("PATCH", f"/repos/{REPOSITORY}/pulls/{fork.number}", {"state": "closed"})
    assert github.open_pull_requests(sha=fork.head_sha) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", COMMENTS, 502),
        Fault("POST", COMMENTS, 503, times=3),
        Fault("GET", COMMENTS, 500),
        Fault("POST", COMMENTS, 429, {"Retry-After": "0"}),
        Fault("POST", COMMENTS, 403, body={"message": "You have exceeded a secondary rate limit"}),
        Fault("GET", COMMENTS, 403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}),
        Fault("GET", "/user", 502),
        Fault("POST", COMMENTS, 502, after=True),
        Fault("POST", COMMENTS, 504, body="<html>gateway</html>", after=True),
        Fault("POST", COMMENTS, hang=True),
        Fault("POST", COMMENTS, after=True, hang=True),
    ],
    ids=str,
)
def test_after_a_passing_fault_there_is_one_comment(server: GitHubServer, fault: Fault) -> None:
    """Also where the server did the work and only its answer was lost."""
    number = server.pull_request()["number"]
    server.proxy.faults.append(fault)
    posted = _upsert(server, number, "one", timeout=1)
    assert fault.times == 0, "the fault was never met"
    assert posted.result in ("created", "unchanged")
    assert server.comments(number) == [(ROBOT, _report("one"))]


def test_only_our_own_loop_repeats(server: GitHubServer) -> None:
    """The client's retries would come on top, without our pauses and our limit."""
    number = server.pull_request()["number"]
    server.proxy.faults.append(Fault("GET", COMMENTS, hang=True, times=9))
    with pytest.raises(ForgeError, match="timed out"):
        _github(server, timeout=1, retries=1).comments(number)
    assert server.proxy.faults[0].times == 7


def test_a_rate_limit_is_waited_for_as_long_as_it_asks(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    server.proxy.faults.append(Fault("POST", COMMENTS, 403, {"Retry-After": "1"}))
    started = time.monotonic()
    assert _upsert(server, number, "one").result == "created"
    assert time.monotonic() - started >= 1.0


def test_a_rate_limit_beyond_our_patience_is_an_error_at_once(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    limit = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3000)}
    server.proxy.faults.append(Fault("GET", COMMENTS, 403, limit, times=9))
    with pytest.raises(ForgeError, match=r"run it again in (2,9|3,0)\d\d s"):
        _upsert(server, number, "one")
    assert server.proxy.faults[0].times == 8


def test_a_missing_right_fails_at_once_and_is_named(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    server.proxy.faults.append(Fault("POST", COMMENTS, 403, body=FORBIDDEN, times=9))
    with pytest.raises(ForgeError, match="the right `pull-requests: write`"):
        _upsert(server, number, "one")
    assert server.proxy.faults[0].times == 8


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, {"message": "Bad credentials"}, "renew it"),
        (404, {"message": "Not Found"}, "is the name right"),
        (422, {"message": "Validation Failed"}, "422: Validation Failed"),
        (400, f"<html>\n::error::{TOKEN}\x1b[31m</html>", r"400: .*\*\*\*"),
    ],
)
def test_what_no_retry_would_mend_fails_at_once(
    server: GitHubServer, status: int, body: Any, told: str
) -> None:
    number = server.pull_request()["number"]
    server.proxy.faults.append(Fault("GET", COMMENTS, status, body=body, times=9))
    with pytest.raises(ForgeError, match=told) as raised:
        _upsert(server, number, "one")
    assert server.proxy.faults[0].times == 8
    assert TOKEN not in str(raised.value) and "\x1b" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 3


def test_a_lasting_fault_ends_after_the_retries(server: GitHubServer) -> None:
    number = server.pull_request()["number"]
    server.proxy.faults.append(Fault("POST", COMMENTS, 500, times=99))
    with pytest.raises(ForgeError, match="500: Server Error"):
        _upsert(server, number, "one", retries=2)
    assert server.proxy.faults[0].times == 96
    assert server.comments(number) == []


@pytest.mark.parametrize("body", ["<html>log in</html>", [], {}, None])
def test_what_is_no_github_is_said_to_be_none(server: GitHubServer, body: Any) -> None:
    """A proxy's login page answers 200 to everything."""
    server.proxy.faults.append(Fault("GET", "/user", 200, {"Content-Type": "application/json"}, body))
    with pytest.raises(ForgeError, match="no answer that can be used"):
        _ = _github(server).login


def test_an_address_where_nothing_listens_is_named() -> None:
    github = GitHub(REPOSITORY, TOKEN, "http://127.0.0.1:9/api/v3", pause=0.01, retries=1)
    with pytest.raises(ForgeError, match=r"127\.0\.0\.1:9") as raised:
        github.pull_request(1)
    assert TOKEN not in str(raised.value)


def test_an_apps_token_learns_its_name_from_graphql(server: GitHubServer) -> None:
    """GET /user answers 403 to GITHUB_TOKEN. emulate has no GraphQL: the proxy answers as GitHub does."""
    viewer = {"data": {"viewer": {"login": "github-actions[bot]"}}}
    server.proxy.faults += [
        Fault("GET", "/user", 403, body=FORBIDDEN),
        Fault("POST", "/graphql", 200, {"Content-Type": "application/json"}, viewer),
    ]
    assert _github(server).login == "github-actions[bot]"


def test_a_workflow_is_started_once(server: GitHubServer) -> None:
    """emulate cannot be given workflows: the proxy answers as GitHub does."""
    workflow = {"id": 5, "path": ".github/workflows/ci.yml", "url": f"{server.url}/w/5"}
    found = Fault("GET", "/workflows/ci.yml", 200, {"Content-Type": "application/json"}, workflow, times=9)
    server.proxy.faults += [found, Fault("POST", "/dispatches", 429, {"Retry-After": "0"})]
    server.proxy.faults += [Fault("POST", "/dispatches", 204)]
    _github(server).dispatch("ci.yml", "topic", {"stage": "train"})
    assert [json.loads(body) for method, _, body in server.proxy.seen if method == "POST"] == [
        {"ref": "topic", "inputs": {"stage": "train"}}
    ] * 2
    server.proxy.seen.clear()
    server.proxy.faults.append(Fault("POST", "/dispatches", 502, times=2))
    with pytest.raises(ForgeError, match=r"cannot start the workflow ci\.yml"):
        _github(server).dispatch("ci.yml", "topic")
    assert len(server.proxy.writes()) == 1, "it may have been started: a second one would train twice"


def test_an_unknown_workflow_is_an_error(server: GitHubServer) -> None:
    with pytest.raises(ForgeError, match="404"):
        _github(server).dispatch("nothing.yml", "main")


def test_a_comment_is_never_cut(server: GitHubServer) -> None:
    with pytest.raises(ForgeError, match="65,537 characters"):
        _github(server).upsert_comment(1, "x" * (LONGEST_BODY + 1), cml.is_report)
    assert server.proxy.seen == []


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"GITHUB_TOKEN": "t"}, "GITHUB_REPOSITORY"),
        ({"GITHUB_REPOSITORY": "o/r"}, "GITHUB_TOKEN"),
        ({"GITHUB_REPOSITORY": "o", "GITHUB_TOKEN": "t"}, "owner/name"),
        ({"GITHUB_REPOSITORY": "o/r", "GITHUB_TOKEN": "t", "GITHUB_API_URL": "file:///etc"}, "REST API"),
    ],
)
def test_what_the_environment_lacks_is_named(environment: dict[str, str], told: str) -> None:
    with pytest.raises(ForgeError, match=told):
        GitHub.from_environment(environment=environment)


@pytest.mark.parametrize(
    ("origin", "name"),
    [
        ("https://github.com/octo/flights.git", "octo/flights"),
        ("https://x-access-token:t@github.com/octo/flights", "octo/flights"),
        ("git@github.com:octo/my.flights.git", "octo/my.flights"),
        ("ssh://git@github.com/octo/flights/", "octo/flights"),
        ("https://github.com.evil.example/octo/flights", None),
        ("https://evil.example/github.com/octo/flights", None),
        ("/somewhere/flights.git", None),
        ("", None),
    ],
)
def test_the_repository_is_read_from_origin(origin: str, name: str | None) -> None:
    assert forge.repository_of(origin) == name


def test_the_environment_names_the_repository_before_origin_does() -> None:
    origin = "https://github.com/octo/flights.git"
    assert (
        GitHub.from_environment(environment={"GITHUB_TOKEN": "t"}, origin=origin).repository == "octo/flights"
    )
    both = {"GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "o/r"}
    assert GitHub.from_environment(environment=both, origin=origin).repository == "o/r"


def test_the_token_is_in_no_repr(server: GitHubServer) -> None:
    github = _github(server)
    assert github.login == ROBOT
    assert TOKEN not in repr(github) + repr(vars(github)["_try"])
    assert isinstance(github.comments(server.pull_request()["number"]), list)
    assert "enterprise" in repr(GitHub("o/r", TOKEN, "https://enterprise.example/api/v3/"))
    assert Comment(1, "a", "b", "c").id == 1


def test_importing_the_adapter_does_not_import_the_client() -> None:
    """PyGithub costs 0.4 s; `mainline --help` has no need of it."""
    code = "import sys, mainline.cli; sys.exit('github' in sys.modules or 'requests' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
