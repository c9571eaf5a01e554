"""The adapter to the forge: GitHub's REST API, through PyGithub, which is imported at the first call.

Every operation looks first and then does what is missing, so that it may be repeated after any failure: an
answer lost after the server did its work (a 502 after a comment was created) doubles nothing. `patience`
repeats; PyGithub's own retries are off, because they repeat a POST blindly and may wait for hours.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

from mainline.errors import ForgeError

if TYPE_CHECKING:
    from github import Github
    from github.IssueComment import IssueComment
    from github.PullRequest import PullRequest as ApiPullRequest
    from github.Repository import Repository

    from mainline.patience import Patience

PUBLIC = "https://api.github.com"
LONGEST_BODY = 65_536  # characters of a comment
ORIGIN = re.compile(r"(?:https://(?:[^/@]*@)?|ssh://git@|git@)github\.com[/:]([\w.-]+/[\w.-]+?)(?:\.git)?/?")


def repository_of(origin: str) -> str | None:
    """owner/name of an address on github.com; None for any other."""
    found = ORIGIN.fullmatch(origin)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class PullRequest:
    """A pull request. Branch names and labels are other people's text. `fork`: its head is elsewhere."""

    number: int
    head_sha: str
    head_branch: str
    head_repository: str | None
    base_branch: str
    labels: tuple[str, ...]
    fork: bool


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment of a pull request."""

    id: int
    author: str
    body: str
    url: str


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a comment, and how many doubles of ours were removed."""

    result: Literal["created", "updated", "unchanged"]
    url: str
    removed: int = 0


class GitHub:
    """One repository on GitHub or GitHub Enterprise.

    Args:
        repository: `owner/name`.
        token: never shown, not even in an error.
        url: root of the REST API, e.g. `https://github.example.com/api/v3`.
        timeout: seconds of one request.
        retries: how often a failed operation is tried again.
        pause: seconds before the first retry; each next one waits twice as long.
        patience: seconds; a rate limit that lasts longer is an error at once.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        url: str = PUBLIC,
        *,
        timeout: int = 20,
        retries: int = 4,
        pause: float = 1.0,
        patience: float = 120.0,
    ) -> None:
        if repository.count("/") != 1 or not all(repository.split("/")):
            raise ForgeError(f"{repository!r} names no repository", remedy="give it as owner/name")
        if not token:
            raise ForgeError("there is no token for the forge", remedy="set GITHUB_TOKEN")
        if not url.startswith(("https://", "http://")):
            raise ForgeError(f"{url!r} is no address of a REST API", remedy=f"e.g. {PUBLIC}")
        self.repository, self.url = repository, url.rstrip("/")
        self._token, self._timeout = token, timeout
        self._waiting = (retries, pause, patience)

    def __repr__(self) -> str:
        return f"GitHub({self.repository!r}, url={self.url!r})"

    @classmethod
    def from_environment(
        cls,
        url: str | None = None,
        repository: str | None = None,
        environment: Mapping[str, str] = os.environ,
        origin: str = "",
        **settings: Any,
    ) -> Self:
        """From GITHUB_API_URL, GITHUB_REPOSITORY and GITHUB_TOKEN, as Actions sets them.

        `origin`: the address of Git's remote, for where nothing names the repository (a laptop, Jenkins).
        Raises ForgeError.
        """
        repository = repository or environment.get("GITHUB_REPOSITORY") or repository_of(origin)
        if not repository:
            raise ForgeError("no repository is named", remedy="set GITHUB_REPOSITORY to owner/name")
        url = url or environment.get("GITHUB_API_URL") or PUBLIC
        return cls(repository, environment.get("GITHUB_TOKEN", ""), url, **settings)

    def pull_request(self, number: int) -> PullRequest:
        """Pull request `number`, open or not. Raises ForgeError."""
        return self._try(
            f"read pull request {number}",
            "pull-requests: read",
            lambda: _pull_request(self._api.get_pull(number)),
        )

    def open_pull_requests(self, *, sha: str | None = None, branch: str | None = None) -> list[PullRequest]:
        """Open pull requests with this head commit, this head branch (`owner:` for a fork's), or both.

        All open ones are listed and compared: the API's own search by commit misses those of forks.
        """
        head = None if branch is None else branch if ":" in branch else f"{self._owner()}:{branch}"

        def look() -> list[PullRequest]:
            filters = {} if head is None else {"head": head}
            listed = self._api.get_pulls(state="open", **filters)
            return [_pull_request(pull) for pull in listed if sha in (None, pull.head.sha)]

        return self._try("list the open pull requests", "pull-requests: read", look)

    def comments(self, number: int) -> list[Comment]:
        """All comments of a pull request, oldest first."""
        return self._try(
            f"list the comments of pull request {number}",
            "pull-requests: read",
            lambda: [_comment(comment) for comment in self._comments(number)],
        )

    def upsert_comment(self, number: int, body: str, is_ours: Callable[[str], bool]) -> Posted:
        """Leave exactly one comment by this token's account for which `is_ours(text)` holds, with this body.

        The newest is edited and older ones are removed. Comments of others are never touched, whatever they
        hold. Raises ForgeError.
        """
        check_length(body)
        me = self.login
        return self._try(
            f"comment on pull request {number}",
            "pull-requests: write",
            lambda: self._upsert(number, body, lambda found: _author(found) == me and is_ours(found.body)),
        )

    def _upsert(self, number: int, body: str, is_ours: Callable[[IssueComment], bool]) -> Posted:
        ours = [comment for comment in self._comments(number) if is_ours(comment)]
        if not ours:
            issue = self._api.get_issue(number)
            return Posted("created", issue.create_comment(body).html_url)
        newest = max(ours, key=lambda comment: comment.id)
        same = newest.body == body
        if not same:
            newest.edit(body)
        doubles = [comment for comment in ours if comment.id != newest.id]
        for double in doubles:
            double.delete()
        return Posted("unchanged" if same else "updated", newest.html_url, len(doubles))

    def label(self, number: int, name: str) -> None:
        """Give a pull request a label. Raises ForgeError."""
        self._try(
            f"label pull request {number}",
            "pull-requests: write",
            lambda: self._api.get_issue(number).add_to_labels(name),
        )

    def dispatch(self, workflow: str, ref: str, inputs: Mapping[str, str] | None = None) -> None:
        """Start `workflow` (a file name) on branch or tag `ref`: a push by GITHUB_TOKEN starts none.

        Repeated only where the server surely did not take it: two runs are worse than a clear error.
        """
        what = f"start the workflow {workflow}"
        found = self._try(what, "actions: read", lambda: self._api.get_workflow(workflow))
        # `throw` must be set, or PyGithub returns False and says nothing of why.
        self._try(
            what,
            "actions: write",
            lambda: found.create_dispatch(ref, dict(inputs or {}), throw=True),
            repeatable=False,
        )

    @cached_property
    def login(self) -> str:
        """The account that the token acts as, e.g. `github-actions[bot]`. Raises ForgeError."""
        return self._try("learn who the token belongs to", "pull-requests: write", self._who)

    def _who(self) -> str:
        from github import GithubException

        from mainline.patience import limited

        api = self._api.requester
        try:
            _, answer = api.requestJsonAndCheck("GET", "/user")
            return str(answer["login"])
        except GithubException as error:
            if error.status != 403 or limited(error):
                raise
        # An App's token, GITHUB_TOKEN among them, may not ask that; GraphQL tells every token its name.
        _, answer = api.graphql_query("query { viewer { login } }", {})
        return str(answer["data"]["viewer"]["login"])

    def _owner(self) -> str:
        return self.repository.split("/")[0]

    def _comments(self, number: int) -> list[IssueComment]:
        return list(self._api.get_issue(number).get_comments())

    @cached_property
    def _api(self) -> Repository:
        return self._client(self.url).get_repo(self.repository)

    def _client(self, url: str) -> Github:
        import github

        return github.Github(
            auth=github.Auth.Token(self._token),
            base_url=url,
            timeout=self._timeout,
            per_page=100,
            retry=0,  # None would leave urllib3's three
            seconds_between_requests=None,
            seconds_between_writes=None,
            lazy=True,  # nothing is asked before something of it is needed
        )

    @cached_property
    def _try(self) -> Patience:
        from mainline.patience import Patience

        retries, pause, limit = self._waiting
        return Patience(f"{self.repository} at {self.url}", self._token, retries, pause, limit)


def check_length(body: str) -> None:
    """Raises ForgeError where GitHub would refuse a comment for its length."""
    if len(body) > LONGEST_BODY:
        raise ForgeError(
            f"the comment has {len(body):,} characters; GitHub takes {LONGEST_BODY:,}",
            remedy="shorten the report: mainline report does",
        )


def _pull_request(pull: ApiPullRequest) -> PullRequest:
    head = pull.head.repo.full_name if pull.head.repo else None  # None: the fork was deleted
    return PullRequest(
        number=pull.number,
        head_sha=pull.head.sha,
        head_branch=pull.head.ref,
        head_repository=head,
        base_branch=pull.base.ref,
        labels=tuple(label.name for label in pull.labels),
        fork=head != pull.base.repo.full_name,
    )


def _comment(comment: IssueComment) -> Comment:
    return Comment(comment.id, _author(comment), comment.body or "", comment.html_url)


def _author(comment: IssueComment) -> str:
    return comment.user.login if comment.user else ""  # a deleted account
