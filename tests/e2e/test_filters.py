"""GitHub's filters, by the table of cases in its documentation of workflow syntax."""

from __future__ import annotations

import pytest

from tests.e2e import filters
from tests.e2e.filters import Event
from tests.workflows.verbs import WORKFLOWS, load

# Patterns of "patterns to match branches and tags": what they match, what they do not.
BRANCHES = [
    (["feature/*"], ["feature/my-branch", "feature/your-branch"], ["feature/a/b", "feature"]),
    (["feature/**"], ["feature/beta-a/my-branch", "feature/mona/the/octocat"], ["main"]),
    (
        ["main", "releases/mona-the-octocat"],
        ["main", "releases/mona-the-octocat"],
        ["releases/other", "mains"],
    ),
    (["*"], ["main", "releases"], ["all/the/branches"]),
    (["**"], ["all/the/branches", "every/tag", "main"], []),
    (["*feature"], ["mona-feature", "feature", "ver-10-feature"], ["feature-1", "a/feature"]),
    (["v2*"], ["v2", "v2.0", "v2.9"], ["v1", "v3.2"]),
    (["v[12].[0-9]+.[0-9]+"], ["v1.10.1", "v2.0.0"], ["v3.0.0", "v1.10", "v1x10x1"]),
    (["releases/**", "!releases/**-alpha"], ["releases/10", "releases/beta/3"], ["releases/beta/3-alpha"]),
    (["!main", "main"], ["main"], ["other"]),
    (["*#production#*"], ["flight-delay#production#7"], ["flight-delay#staging#7", "flight-delay@v1.0.0"]),
    (["a\\*b"], ["a*b"], ["axb"]),
]
# Of "patterns to match file paths".
PATHS = [
    (["*"], ["README.md", "server.rb"], ["docs/README.md"]),
    (["*.jsx?"], ["page.js", "page.jsx"], ["page.jsxx", "js/page.js"]),
    (["**"], ["all/the/files.md"], []),
    (["*.js"], ["app.js", "index.js"], ["src/app.js"]),
    (["**.js"], ["index.js", "js/index.js", "src/js/app.js"], ["index.jsx"]),
    (["docs/*"], ["docs/README.md", "docs/file.txt"], ["docs/mona/file.txt"]),
    (["docs/**"], ["docs/README.md", "docs/mona/octocat.txt"], ["src/docs/a.md"]),
    (["docs/**/*.md"], ["docs/README.md", "docs/mona/hello.md", "docs/a/markdown/file.md"], ["docs/a.txt"]),
    (["**/docs/**"], ["docs/hello.md", "dir/docs/my-file.txt", "space/docs/plan/space.doc"], ["mydocs/a.md"]),
    (["**/README.md"], ["README.md", "js/README.md"], ["NOT-README.md"]),
    (["**/*src/**"], ["a/src/app.js", "my-src/code/js/app.js"], ["source/app.js"]),
    (["**/*-post.md"], ["my-post.md", "path/their-post.md"], ["post.md"]),
    (["**/migrate-*.sql"], ["migrate-10909.sql", "db/migrate-v1.0.sql", "db/sept/migrate-v1.sql"], ["a.sql"]),
    (["*.md", "!README.md"], ["hello.md"], ["README.md", "docs/hello.md"]),
    (["*.md", "!README.md", "README*"], ["hello.md", "README.md", "README.doc"], []),
]  # fmt: skip


@pytest.mark.parametrize(("patterns", "yes", "no"), [*BRANCHES, *PATHS], ids=lambda case: str(case))
def test_patterns(patterns: list[str], yes: list[str], no: list[str]) -> None:
    assert [text for text in yes if not filters.passes(patterns, text)] == []
    assert [text for text in no if filters.passes(patterns, text)] == []


MAIN, TAG = "refs/heads/main", "refs/tags/v1"
PUSHES = [
    ("push", MAIN, (), True),
    ("push", TAG, (), True),
    (["push", "pull_request"], MAIN, (), True),
    ({"push": None}, MAIN, (), True),
    ({"push": {"branches": ["main"]}}, MAIN, (), True),
    ({"push": {"branches": "main"}}, "refs/heads/other", (), False),
    ({"push": {"branches": ["main"]}}, TAG, (), False),
    ({"push": {"tags": ["v*"]}}, TAG, (), True),
    ({"push": {"tags": ["v*"]}}, MAIN, (), False),
    ({"push": {"tags-ignore": ["v*"]}}, MAIN, (), False),
    ({"push": {"tags-ignore": ["v*"]}}, "refs/tags/w", (), True),
    ({"push": {"branches": ["**"], "tags": ["v*"]}}, TAG, (), True),
    ({"push": {"branches-ignore": ["main"]}}, MAIN, (), False),
    ({"push": {"branches-ignore": ["main"]}}, "refs/heads/a/b", (), True),
    ({"push": {"paths": ["src/**"]}}, MAIN, ("README.md", "src/a.py"), True),
    ({"push": {"paths": ["src/**"]}}, MAIN, ("README.md",), False),
    ({"push": {"paths": ["src/**"], "tags": ["v*"]}}, TAG, (), True),
    ({"push": {"paths-ignore": ["**.md"]}}, MAIN, ("README.md", "docs/a.md"), False),
    ({"push": {"paths-ignore": ["**.md"]}}, MAIN, ("README.md", "src/a.py"), True),
    ({"push": {"branches": ["main"], "paths": ["src/**"]}}, MAIN, ("README.md",), False),
    ({"schedule": [{"cron": "1 2 * * *"}]}, MAIN, (), False),
]


@pytest.mark.parametrize(("on", "ref", "paths", "starts"), PUSHES, ids=lambda case: str(case))
def test_pushes(on: object, ref: str, paths: tuple[str, ...], *, starts: bool) -> None:
    assert filters.started(on, Event("push", ref, paths=paths)) is starts


@pytest.mark.parametrize(
    ("on", "type_", "base", "starts"),
    [
        ("pull_request", "opened", "main", True),
        ("pull_request", "synchronize", "main", True),
        ("pull_request", "labeled", "main", False),
        ("pull_request", "closed", "main", False),
        ({"pull_request": {"types": ["labeled"]}}, "labeled", "main", True),
        ({"pull_request": {"types": ["labeled"]}}, "opened", "main", False),
        ({"pull_request": {"branches": ["main"]}}, "opened", "next", False),
    ],
)
def test_pull_requests(on: object, type_: str, base: str, *, starts: bool) -> None:
    assert filters.started(on, Event("pull_request", base, type=type_)) is starts


def test_a_workflow_that_follows_another() -> None:
    on = {"workflow_run": {"workflows": ["ci"], "types": ["completed"]}}
    assert filters.started(on, Event("workflow_run", "topic", type="completed", workflow="ci"))
    assert not filters.started(on, Event("workflow_run", "topic", type="completed", workflow="other"))
    assert not filters.started(on, Event("workflow_run", "topic", type="requested", workflow="ci"))


def test_what_the_runs_own_token_did_starts_nothing_but_what_was_asked_for_by_hand() -> None:
    on = ["push", "pull_request", "workflow_dispatch"]
    assert not filters.started(on, Event("push", MAIN, by_token=True))
    assert not filters.started(on, Event("pull_request", "main", type="opened", by_token=True))
    assert filters.started(on, Event("workflow_dispatch", MAIN, by_token=True))


def test_our_workflows_start_as_their_page_says() -> None:
    def starts(event: Event) -> set[str]:
        return {path.name for path in WORKFLOWS if filters.started(load(path)["on"], event)}

    assert starts(Event("push", MAIN)) == {"ci.yml", "promote.yml"}
    assert starts(Event("push", "refs/heads/topic")) == set()
    assert starts(Event("push", "refs/tags/flight-delay#production#7")) == {"release.yml"}
    assert starts(Event("push", "refs/tags/flight-delay@v1.0.0")) == set()
    assert starts(Event("pull_request", "main", type="synchronize")) == {"ci.yml"}
    assert starts(Event("workflow_run", "topic", type="completed", workflow="ci")) == {"comment.yml"}


def test_a_job_that_act_skipped_is_missed() -> None:
    workflow = {"jobs": {"a": {}, "b": {"if": "${{ false }}"}, "c": {"needs": ["a"]}}}
    assert filters.unrun(workflow, []) == ["a"]
    assert filters.unrun(workflow, ["a"]) == []
