"""How calls to the forge's API are repeated, and how their failures read.

A rate limit is waited for as long as it asks, within reason; a server's error and a broken connection are
tried again, each time after twice the pause; everything else, a missing right above all, fails at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from github import GithubException
from requests import RequestException

from mainline.errors import ForgeError

NOT_TOLD = 60.0  # seconds that GitHub asks for after a secondary limit that names no time

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """Repeats operations on one repository.

    Args:
        place: what the errors name, the repository and its API's address.
        token: taken out of whatever the server says.
        retries: how often a failed operation is tried again.
        pause: seconds before the first retry.
        limit: seconds; a rate limit that lasts longer is an error at once.
    """

    place: str
    token: str = field(repr=False)
    retries: int
    pause: float
    limit: float

    def __call__(self, what: str, right: str, action: Callable[[], T], *, repeatable: bool = True) -> T:
        """The action's result. Raises ForgeError.

        Args:
            what: completes "cannot ...".
            right: the permission that the token needs for it, as a workflow's `permissions` spells it.
            repeatable: whether doing it twice is the same as once; if not, only a refusal is tried again.
        """
        for attempt in range(self.retries + 1):
            wait = self.pause * 2**attempt
            try:
                return action()
            except GithubException as error:
                failure = self._refused(what, right, error)
                if limited(error):
                    wait = max(wait, self._asked(error))
                elif error.status < 500 or not repeatable:
                    raise failure from None
            except RequestException as error:
                failure = self._unreachable(what, error)
                if not repeatable:
                    raise failure from None
            except (AssertionError, KeyError, TypeError) as error:  # so PyGithub meets what is not GitHub
                raise self._unreachable(what, error) from None
            if attempt == self.retries or wait > self.limit:
                raise failure from None
            time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _refused(self, what: str, right: str, error: GithubException) -> ForgeError:
        if limited(error):
            remedy = f"a rate limit: run it again in {self._asked(error):,.0f} s"
        else:
            remedy = {
                401: "the token is not accepted, or has expired: renew it",
                403: f"give the job or the token the right `{right}`",
                404: f"is the name right, and has the token the right `{right}`?",
            }.get(error.status, "if it stays so, look at the forge's status page; a rerun is safe")
        said = self._clean(_message(error) or "no reason given")
        return ForgeError(f"cannot {what} ({self.place})", why=f"{error.status}: {said}", remedy=remedy)

    def _unreachable(self, what: str, error: Exception) -> ForgeError:
        return ForgeError(
            f"cannot {what}: no answer that can be used from {self.place}",
            why=self._clean(f"{type(error).__name__}: {error}"),
            remedy="is the address right, and the network up? A rerun is safe",
        )

    def _clean(self, text: str) -> str:
        """A server's words on one line, bounded, and without the token."""
        text = text.replace(self.token, "***")
        return "".join(char if char.isprintable() else " " for char in text)[:300]

    def _asked(self, error: GithubException) -> float:
        """Seconds that a rate limit asks us to wait."""
        headers = _headers(error)
        if headers.get("retry-after", "").isdigit():
            return float(headers["retry-after"])
        if headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
            return max(0.0, float(headers["x-ratelimit-reset"]) - time.time()) + 1
        return NOT_TOLD * self.pause


def limited(error: GithubException) -> bool:
    """Whether a 403 or 429 is a rate limit; every other 403 is a right that is missing."""
    headers = _headers(error)
    told = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return error.status == 429 or (error.status == 403 and (told or "rate limit" in _message(error).lower()))


def _headers(error: GithubException) -> dict[str, str]:
    return {name.lower(): str(value) for name, value in (error.headers or {}).items()}


def _message(error: GithubException) -> str:
    data = error.data if isinstance(error.data, dict) else {}
    return str(data.get("message") or data.get("data") or "")  # `data`: where PyGithub puts what is no JSON
