"""The adapter to the forge, as far as the page of a release is kept; like `mainline.forge`, it looks first
and does what is missing.

A page is a draft, which only writers see, until it has all of its assets: one that was cut off halfway is
never shown as a release, and the next run goes on with it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from mainline.errors import ForgeError, IntegrityError
from mainline.forge import GitHub

if TYPE_CHECKING:
    from github.GitRelease import GitRelease
    from github.GitReleaseAsset import GitReleaseAsset

RIGHT = "contents: write"
LONGEST_NOTES = 125_000  # characters
BEGINNING, END = "<!-- mainline: release -->", "<!-- mainline: end -->"
UPLOADED = "uploaded"  # state of an asset that arrived whole; GitHub leaves others behind after a 502
MISSING = 404


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page. `kind`: its media type."""

    name: str
    sha256: str
    bytes: int
    kind: str


@dataclass(frozen=True, slots=True)
class Page:
    """What a version's page must be. `latest`: whether it is what production has.

    `notes` are our part of its text, between BEGINNING and END; what people write around it stays.
    """

    tag: str
    title: str
    notes: str
    assets: tuple[Asset, ...]
    latest: bool


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it; `uploaded`: names of the assets that were missing or wrong."""

    result: Literal["created", "updated", "unchanged"]
    url: str
    uploaded: tuple[str, ...]


class Shelf(GitHub):
    """The release pages of one repository. `uploads`: where assets go, if not where GitHub has them."""

    def __init__(self, *arguments: Any, uploads: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.uploads = uploads or uploads_of(self.url)

    def plan(self, page: Page) -> list[str]:
        """What `publish` would do, for people. Raises ForgeError."""
        return self._try(f"look at the release of {page.tag}", RIGHT, lambda: self._plan(page))

    def publish(self, page: Page, read: Callable[[Asset], bytes]) -> Published:
        """Leave one page of the tag, with these notes and assets; only what is missing is read and sent.

        Raises ForgeError; IntegrityError when `read` gives something else than the asset.
        """
        _check_length(page)
        what = f"keep the release of {page.tag}"
        made = self._try(what, RIGHT, lambda: self._made(page))
        sent = tuple(asset.name for asset in page.assets if self._attach(made[0], asset, read))
        told, url = self._try(what, RIGHT, lambda: self._finish(made[0], page))
        if made[1]:
            return Published("created", url, sent)
        return Published("updated" if told or sent else "unchanged", url, sent)

    def _plan(self, page: Page) -> list[str]:
        found = self._found(page.tag)
        if not found:
            return [f"create the release of {page.tag}, with {', '.join(one.name for one in page.assets)}"]
        there = list(found[0].get_assets())
        steps = [f"upload {one.name}" for one in page.assets if not any(_fits(one, it) for it in there)]
        changed = found[0].draft or _text(found[0], page) != _seen(found[0])
        steps += [f"update the release of {page.tag}"] if changed else []
        steps += [f"mark {page.tag} as the latest"] if self._behind(found[0].id, page) else []
        return steps or [f"nothing: the release of {page.tag} is as it should be"]

    def _found(self, tag: str) -> list[GitRelease]:
        """Pages of the tag, the one that stays first: of drafts GitHub does not tell by their tag."""
        listed = [one for one in self._api.get_releases() if one.tag_name == tag]
        return sorted(listed, key=lambda one: (one.draft, one.id))

    def _made(self, page: Page) -> tuple[int, bool]:
        """The page's number, and whether it is of this run or one that was cut off."""
        found = self._found(page.tag)
        for double in found[1:]:
            if double.draft and BEGINNING in (double.body or ""):  # of two runs at once
                double.delete_release()
        if found:
            return found[0].id, bool(found[0].draft)
        body = _block(page)
        return self._api.create_git_release(page.tag, name=page.title, message=body, draft=True).id, True

    def _attach(self, number: int, asset: Asset, read: Callable[[Asset], bytes]) -> bool:
        """Whether it had to be sent."""
        what = f"attach {asset.name} to a release"
        if self._try(what, RIGHT, lambda: any(_fits(asset, it) for it in self._assets(number))):
            return False
        content = read(asset)
        if (hashlib.sha256(content).hexdigest(), len(content)) != (asset.sha256, asset.bytes):
            raise IntegrityError(
                f"{asset.name} is not the file that the release names", remedy="nothing of it was published"
            )
        self._try(what, RIGHT, lambda: self._send(number, asset, content))
        return True

    def _send(self, number: int, asset: Asset, content: bytes) -> None:
        for there in self._assets(number):
            if _fits(asset, there):
                return  # only the answer was lost
            if there.name == asset.name:
                there.delete_asset()  # a name is taken once, also by an upload that broke off
        headers = {"Content-Type": asset.kind, "Content-Length": str(asset.bytes)}
        # Not PyGithub's own upload: that goes wherever an answer says, and waits for ever.
        self._sender.requestMemoryBlobAndCheck(
            "POST", f"/repos/{self.repository}/releases/{number}/assets", {"name": asset.name}, headers,
            io.BytesIO(content),
        )  # fmt: skip

    @property
    def _sender(self) -> Any:
        return self._client(self.uploads).requester

    def _assets(self, number: int) -> list[GitReleaseAsset]:
        return list(self._api.get_release(number).get_assets())

    def _finish(self, number: int, page: Page) -> tuple[bool, str]:
        """Show it, with its text; whether anything had to be done, and its address."""
        release = self._api.get_release(number)
        title, body = _text(release, page)
        latest = self._behind(number, page)
        if not (release.draft or latest or (title, body) != _seen(release)):
            return False, release.html_url
        done = release.update_release(
            title, body, draft=False, prerelease=False, make_latest="true" if page.latest else "false"
        )
        return True, done.html_url

    def _behind(self, number: int, page: Page) -> bool:
        """Whether it should be the latest and is not."""
        from github import GithubException

        if not page.latest:
            return False
        try:
            return bool(self._api.get_latest_release().id != number)
        except GithubException as error:
            if error.status != MISSING:
                raise
            return True


def uploads_of(url: str) -> str:
    """Where GitHub takes the assets of a REST API's releases."""
    parts = urlsplit(url)
    if parts.netloc.startswith("api."):  # github.com, and ghe.com
        return parts._replace(netloc=f"uploads.{parts.netloc.removeprefix('api.')}").geturl()
    if parts.path.endswith("/api/v3"):  # GitHub Enterprise Server
        return f"{url.removesuffix('/v3')}/uploads"
    return url


def _fits(asset: Asset, there: GitReleaseAsset) -> bool:
    """A server that tells no digests (GitHub Enterprise Server does not yet) is held to the size."""
    told = there.digest
    same = there.size == asset.bytes and told in (None, f"sha256:{asset.sha256}")
    return there.name == asset.name and there.state == UPLOADED and same


def _text(release: GitRelease, page: Page) -> tuple[str, str]:
    """Title and text as they should be: people's words around ours stay, and their title."""
    body = (release.body or "").replace("\r\n", "\n")
    before, beginning, rest = body.partition(BEGINNING)
    _, end, after = rest.partition(END)
    if not (beginning and end):  # where ours would end, nobody can tell
        before, after = body.replace(BEGINNING, ""), ""
        before = f"{before.rstrip()}\n\n" if before.strip() else ""
    return release.name or page.title, f"{before}{_block(page)}{after}"


def _seen(release: GitRelease) -> tuple[str, str]:
    return release.name or "", (release.body or "").replace("\r\n", "\n")


def _block(page: Page) -> str:
    return f"{BEGINNING}\n{page.notes.strip()}\n{END}"


def _check_length(page: Page) -> None:
    if len(page.notes) > LONGEST_NOTES:
        raise ForgeError(f"the notes of {page.tag} have {len(page.notes):,} characters; GitHub takes fewer")
