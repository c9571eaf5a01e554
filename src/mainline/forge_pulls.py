"""The adapter to the forge, as far as pull requests and issues are made and kept; like `mainline.forge`, it
looks first and does what is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mainline.forge import GitHub, check_length
from mainline.retraining.state import Issue, Pull

if TYPE_CHECKING:
    from github.PullRequest import PullRequest as ApiPullRequest

READ, WRITE, ISSUES = "pull-requests: read", "pull-requests: write", "issues: write"
EXISTS = 422  # GitHub's answer where the branch has an open pull request


class Desk(GitHub):
    """Pull requests and issues of one repository, to read, open, change and close."""

    def pulls(self, branch: str) -> list[Pull]:
        """Every pull request from this branch of this repository, whatever its state."""
        head = f"{self._owner()}:{branch}"

        def look() -> list[Pull]:
            found = self._api.get_pulls(state="all", head=head, sort="created", direction="desc")
            return [_pull(one) for one in found if _ours(one, branch)]

        return self._try(f"list the pull requests of {branch}", READ, look)

    def open_pulls(self, prefix: str) -> list[Pull]:
        """Open pull requests from branches of this repository whose names start so."""

        def look() -> list[Pull]:
            found = self._api.get_pulls(state="open")
            return [_pull(one) for one in found if one.head.ref.startswith(prefix) and _ours(one)]

        return self._try("list the open pull requests", READ, look)

    def open_pull(self, branch: str, base: str, title: str, body: str) -> Pull:
        """The open pull request of the branch, made where there is none. Raises ForgeError."""
        check_length(body)

        def make() -> Pull:
            from github import GithubException

            if found := self._open(branch, base):
                return found
            try:
                return _pull(self._api.create_pull(base, branch, title=title, body=body))
            except GithubException as error:
                # Another bot was faster, between our look and our question.
                if error.status == EXISTS and (found := self._open(branch, base)):
                    return found
                raise

        return self._try(f"open a pull request of {branch}", WRITE, make)

    def _open(self, branch: str, base: str) -> Pull | None:
        found = self._api.get_pulls(state="open", head=f"{self._owner()}:{branch}", base=base)
        return next((_pull(one) for one in found if _ours(one, branch)), None)

    def edit_pull(self, number: int, title: str, body: str) -> None:
        """Give it this title and body. Raises ForgeError."""
        check_length(body)
        self._try(
            f"edit pull request {number}",
            WRITE,
            lambda: self._api.get_pull(number).edit(title=title, body=body),
        )

    def close_pull(self, number: int) -> None:
        """Close it without a merge. Raises ForgeError."""
        self._try(
            f"close pull request {number}", WRITE, lambda: self._api.get_pull(number).edit(state="closed")
        )

    def unlabel(self, number: int, name: str) -> None:
        """Take a label off. Raises ForgeError."""

        def take() -> None:
            issue = self._api.get_issue(number)
            if name in [label.name for label in issue.get_labels()]:
                issue.remove_from_labels(name)

        self._try(f"take a label off pull request {number}", WRITE, take)

    def issues(self, label: str) -> list[Issue]:
        """Issues of this token's account with this label, open or closed. Raises ForgeError."""
        me = self.login

        def look() -> list[Issue]:
            return [
                Issue(one.number, one.body or "", one.state == "open", one.html_url)
                for one in self._api.get_issues(state="all", labels=[label])
                if one.pull_request is None and one.user is not None and one.user.login == me
            ]

        return self._try("list the issues", "issues: read", look)

    def open_issue(self, title: str, body: str, label: str) -> None:
        """Make an issue with a label, where this account has none with it. Raises ForgeError."""
        check_length(body)
        me = self.login

        def make() -> None:
            found = self._api.get_issues(state="all", labels=[label])
            if not any(one.pull_request is None and one.user and one.user.login == me for one in found):
                self._api.create_issue(title, body=body, labels=[label])

        self._try("open an issue", ISSUES, make)

    def edit_issue(self, number: int, body: str) -> None:
        """Give an issue this body. Raises ForgeError."""
        check_length(body)
        self._try(f"edit issue {number}", ISSUES, lambda: self._api.get_issue(number).edit(body=body))

    def close_issue(self, number: int) -> None:
        """Raises ForgeError."""
        self._try(f"close issue {number}", ISSUES, lambda: self._api.get_issue(number).edit(state="closed"))


def _ours(pull: ApiPullRequest, branch: str | None = None) -> bool:
    """From this repository, and not from one of a fork that has the same branch."""
    head = pull.head.repo.full_name if pull.head.repo else None
    return head == pull.base.repo.full_name and branch in (None, pull.head.ref)


def _pull(pull: ApiPullRequest) -> Pull:
    return Pull(
        number=pull.number,
        branch=pull.head.ref,
        base=pull.base.ref,
        title=pull.title,
        body=pull.body or "",
        state="merged" if pull.merged_at else "open" if pull.state == "open" else "closed",
        labels=frozenset(label.name for label in pull.labels),
        created=pull.created_at,
        closed=pull.closed_at,
        url=pull.html_url,
    )
