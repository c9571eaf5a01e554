"""The pages of releases against emulate, with what GitHub does besides (tests/shelves.py) and its faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from mainline.errors import ForgeError, IntegrityError
from mainline.forge_releases import BEGINNING, END, LONGEST_NOTES, Asset, Page, Shelf, uploads_of
from tests import servers
from tests.servers import REPOSITORY, ROBOT, Fault, GitHubServer, Proxy
from tests.shelves import Shelves

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("emulate")]
FILES = {"MODEL_CARD.md": b"# a card\n", "sbom.cdx.json": b"{}", "provenance.json": b'{"a": 1}'}
NAMES = tuple(FILES)


@pytest.fixture(scope="module")
def running() -> Iterator[GitHubServer]:
    with servers.github() as server:
        yield server


@pytest.fixture
def shelves(running: GitHubServer) -> Iterator[Shelves]:
    running.proxy.faults.clear()
    running.proxy.seen.clear()
    made = Shelves(running)
    yield made
    for one in made.releases():
        running.call("DELETE", f"/repos/{REPOSITORY}/releases/{one['id']}")


def _shelf(shelves: Shelves, **settings: Any) -> Shelf:
    return Shelf(REPOSITORY, f"{ROBOT}-token", shelves.server.url, **{"pause": 0.01, **settings})


def _page(tag: str = "m@v1.0.0", **changes: Any) -> Page:
    assets = tuple(
        Asset(name, hashlib.sha256(content).hexdigest(), len(content), "text/plain")
        for name, content in FILES.items()
    )
    return replace(Page(tag, tag.replace("@", " "), "notes", assets, latest=True), **changes)


def _publish(shelves: Shelves, page: Page | None = None, **settings: Any) -> Any:
    return _shelf(shelves, **settings).publish(page or _page(), lambda asset: FILES[asset.name])


def _whole(shelves: Shelves, tag: str = "m@v1.0.0") -> None:
    """One page of the tag, shown, with all of its assets, once."""
    (one,) = [one for one in shelves.releases() if one["tag_name"] == tag]
    assert not one["draft"] and f"{BEGINNING}\nnotes\n{END}" in one["body"]
    assert sorted(asset["name"] for asset in one["assets"]) == sorted(FILES)
    assert shelves.contents(one["id"]) == FILES


def test_a_page_is_made_once_and_left_alone(shelves: Shelves) -> None:
    first = _publish(shelves)
    assert (first.result, first.uploaded) == ("created", NAMES)
    _whole(shelves)
    assert first.url == shelves.releases()[0]["html_url"]
    shelves.server.proxy.seen.clear()
    again = _shelf(shelves).publish(_page(), lambda _: pytest.fail("nothing is missing, so nothing is read"))
    assert (again.result, again.uploaded, again.url) == ("unchanged", (), first.url)
    assert shelves.server.proxy.writes() == []


def test_nobody_sees_a_page_before_it_has_its_assets(shelves: Shelves) -> None:
    shelves.server.proxy.faults.append(Fault("POST", r"name=provenance", 500, times=99))
    with pytest.raises(ForgeError, match=r"cannot attach provenance\.json"):
        _publish(shelves, retries=1)
    (one,) = shelves.releases()
    assert one["draft"] and len(one["assets"]) == 2
    shelves.server.proxy.faults.clear()
    assert _publish(shelves).uploaded == ("provenance.json",)
    _whole(shelves)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "/releases", 500),
        Fault("POST", "/releases$", 502),
        Fault("POST", "/releases$", 502, after=True),
        Fault("POST", "/releases$", after=True, hang=True),
        Fault("POST", "/assets", 503, times=2),
        Fault("POST", "/assets", 502, after=True),
        Fault("POST", "/assets", hang=True),
        Fault("POST", "/assets", 429, {"Retry-After": "0"}),
        Fault("POST", "/assets", 403, body={"message": "You have exceeded a secondary rate limit"}),
        Fault("PATCH", "/releases", 502),
        Fault("PATCH", "/releases", 502, after=True),
        Fault("GET", "/releases/latest", 502),
    ],
    ids=str,
)
def test_after_a_passing_fault_there_is_one_page(shelves: Shelves, fault: Fault) -> None:
    shelves.server.proxy.faults.append(fault)
    _publish(shelves, timeout=1)
    assert fault.times == 0, "the fault was never met"
    _whole(shelves)


def test_an_upload_that_broke_off_is_sent_again(shelves: Shelves) -> None:
    """GitHub keeps what is left of it under the name."""
    shelves.breaking = 2
    _publish(shelves)
    assert shelves.breaking == 0, "no upload broke off"
    _whole(shelves)


@pytest.mark.parametrize("digests", [True, False])
def test_an_asset_that_is_gone_or_another_is_healed(shelves: Shelves, digests: bool) -> None:
    """A server that tells no digests is held to the sizes."""
    shelves.digests = digests
    _publish(shelves)
    (one,) = shelves.releases()
    by_name = {asset["name"]: asset["id"] for asset in one["assets"]}
    place = f"{shelves.server.url}/repos/{REPOSITORY}/releases"
    sender = _shelf(shelves)._sender
    for name in ("MODEL_CARD.md", "sbom.cdx.json"):
        sender.requestJsonAndCheck("DELETE", f"{place}/assets/{by_name[name]}")
    evil = b"[]" if digests else b"[0]"
    _shelf(shelves)._send(
        one["id"], Asset("sbom.cdx.json", hashlib.sha256(evil).hexdigest(), len(evil), "a/b"), evil
    )
    _shelf(shelves)._send(
        one["id"], Asset("of a person.txt", hashlib.sha256(b"x").hexdigest(), 1, "a/b"), b"x"
    )
    done = _publish(shelves)
    assert (done.result, done.uploaded) == ("updated", ("MODEL_CARD.md", "sbom.cdx.json"))
    assert shelves.contents(one["id"]) == FILES | {"of a person.txt": b"x"}


def test_what_is_read_must_be_what_the_release_names(shelves: Shelves) -> None:
    with pytest.raises(IntegrityError, match=r"MODEL_CARD\.md is not the file"):
        _shelf(shelves).publish(_page(), lambda _: b"evil")
    assert [one["draft"] for one in shelves.releases()] == [True]


def test_the_latest_is_what_production_has(shelves: Shelves) -> None:
    def latest() -> str:
        return str(_shelf(shelves)._api.get_latest_release().tag_name)

    _publish(shelves)
    _publish(shelves, _page("m@v1.1.0"))
    assert latest() == "m@v1.1.0"
    assert _publish(shelves).result == "updated", "a rollback"
    assert latest() == "m@v1.0.0"
    assert _publish(shelves, _page("m@v1.2.0", latest=False)).result == "created"
    assert latest() == "m@v1.0.0", "what is healed behind production's back is not the latest"
    assert _publish(shelves, _page("m@v1.1.0", latest=False)).result == "unchanged"


def test_words_of_people_stay_and_ours_are_renewed(shelves: Shelves) -> None:
    _publish(shelves)
    (one,) = shelves.releases()
    place = f"/repos/{REPOSITORY}/releases/{one['id']}"
    mine = {"name": "Summer", "body": f"By hand.\r\n{one['body']}\r\nAnd after."}
    shelves.server.call("PATCH", place, mine)
    assert _publish(shelves).result == "unchanged"
    assert _publish(shelves, _page(notes="other")).result == "updated"
    found = shelves.server.call("GET", place)
    assert found["name"] == "Summer"
    assert found["body"] == f"By hand.\n{BEGINNING}\nother\n{END}\nAnd after."


def test_words_stay_where_nobody_can_tell_how_far_ours_went(shelves: Shelves) -> None:
    _publish(shelves)
    (one,) = shelves.releases()
    place = f"/repos/{REPOSITORY}/releases/{one['id']}"
    shelves.server.call("PATCH", place, {"body": f"{BEGINNING}\nnotes\nKnown issue: rain."})
    _publish(shelves)
    body = shelves.server.call("GET", place)["body"]
    assert "Known issue: rain." in body
    assert body.count(BEGINNING) == body.count(END) == 1 and body.endswith(END)
    assert _publish(shelves).result == "unchanged"


def test_a_page_that_a_person_made_is_taken_over_with_its_words(shelves: Shelves) -> None:
    made = {"tag_name": "m@v1.0.0", "name": "v1", "body": "Hello."}
    shelves.server.call("POST", f"/repos/{REPOSITORY}/releases", made)
    assert _publish(shelves).result == "updated"
    _whole(shelves)
    assert shelves.releases()[0]["body"].startswith("Hello.\n\n<!-- mainline")


def test_the_plan_changes_nothing(shelves: Shelves) -> None:
    shelf, page = _shelf(shelves), _page()
    assert shelf.plan(page) == ["create the release of m@v1.0.0, with " + ", ".join(NAMES)]
    assert shelves.server.proxy.writes() == []
    _publish(shelves, page)
    assert shelf.plan(page) == ["nothing: the release of m@v1.0.0 is as it should be"]
    _publish(shelves, _page("m@v1.1.0"))
    shelves.server.proxy.seen.clear()
    extra = Asset("new.json", "0" * 64, 1, "a/b")
    assert shelf.plan(replace(page, notes="other", assets=(*page.assets, extra))) == [
        "upload new.json", "update the release of m@v1.0.0", "mark m@v1.0.0 as the latest",
    ]  # fmt: skip
    assert shelves.server.proxy.writes() == []


def test_a_missing_right_is_named_at_once(shelves: Shelves) -> None:
    body = {"message": "Resource not accessible by integration"}
    shelves.server.proxy.faults.append(Fault("POST", "/releases$", 403, body=body, times=9))
    with pytest.raises(ForgeError, match="the right `contents: write`"):
        _publish(shelves)
    assert shelves.server.proxy.faults[0].times == 8


def test_assets_go_to_the_host_of_uploads_alone(shelves: Shelves) -> None:
    """github.com has one of its own for them; what an answer names is not asked."""
    uploads = Proxy()
    uploads.target, uploads.around = shelves.server.proxy.target, shelves
    try:
        _publish(shelves, uploads=uploads.url)
        assert [method for method, path, _ in uploads.seen if "/assets?" in path] == ["POST"] * 3
        assert len(uploads.seen) == 3
        assert not [
            path for method, path, _ in shelves.server.proxy.seen if method == "POST" and "assets" in path
        ]
    finally:
        uploads.close()
    _whole(shelves)


@pytest.mark.parametrize(
    ("api", "uploads"),
    [
        ("https://api.github.com", "https://uploads.github.com"),
        ("https://api.octo.ghe.com", "https://uploads.octo.ghe.com"),
        ("https://github.example.com/api/v3", "https://github.example.com/api/uploads"),
        ("http://127.0.0.1:80", "http://127.0.0.1:80"),
    ],
)
def test_where_assets_are_taken(api: str, uploads: str) -> None:
    assert uploads_of(api) == uploads == Shelf(REPOSITORY, "t", api).uploads


def test_notes_are_never_cut(shelves: Shelves) -> None:
    with pytest.raises(ForgeError, match="125,001 characters"):
        _publish(shelves, _page(notes="x" * (LONGEST_NOTES + 1)))
    assert shelves.server.proxy.seen == []


def test_two_drafts_of_two_runs_become_one_page(shelves: Shelves) -> None:
    """emulate takes a tag once, also for a draft: the second is told by the proxy."""
    made = {"tag_name": "m@v1.0.0", "body": f"{BEGINNING}\n{END}", "draft": True}
    first = shelves.server.call("POST", f"/repos/{REPOSITORY}/releases", made)
    second = shelves.server.call("POST", f"/repos/{REPOSITORY}/releases", {**made, "tag_name": "other"})
    listed = json.dumps([{**second, "tag_name": "m@v1.0.0"}, first])
    shelves.server.proxy.faults.append(
        Fault("GET", "/releases$|/releases[?]", 200, {"Content-Type": "application/json"}, listed)
    )
    assert _publish(shelves).result == "created"
    assert [one["id"] for one in shelves.releases()] == [first["id"]]
    _whole(shelves)
