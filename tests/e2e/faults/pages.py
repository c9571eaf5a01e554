"""`release --publish`: the page of a version on a real forge."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

from tests.e2e.faults.child import CONTENT
from tests.e2e.faults.releases import tags, world_of
from tests.e2e.faults.scene import CHILD, Case, Scene
from tests.e2e.faults.stock import Stock
from tests.e2e.faults.table import must
from tests.e2e.faults.wire import Moments, wire
from tests.mainline.releasing import MODEL
from tests.servers import REPOSITORY, ROBOT
from tests.shelves import Shelves

WHOLE = {"MODEL_CARD.md": b"a card", "sbom.cdx.json": CONTENT}


@contextmanager
def _shelves(stock: Stock) -> Iterator[Shelves]:
    """GitHub's releases on the stock's forge, empty again afterwards."""
    around, made = stock.forge.proxy.around, Shelves(stock.forge)
    try:
        yield made
    finally:
        for one in made.releases():
            stock.forge.call("DELETE", f"/repos/{REPOSITORY}/releases/{one['id']}")
        stock.forge.proxy.around = around


def _kept(shelves: Shelves, *, done: bool) -> None:
    """One page with all of its files; before it is done, none that others see without them."""
    pages = shelves.releases()
    must(len(pages) <= 1, f"{len(pages)} pages")
    must(pages or not done, "there is no page")
    for page in pages:
        must(page["draft"] or shelves.contents(page["id"]) == WHOLE, f"the page is not whole: {page}")
    if done:
        must(not pages[0]["draft"] and shelves.latest == pages[0]["id"], f"it is not shown: {pages}")
        must(f"`{MODEL}#production#3`" in pages[0]["body"], f"not its words: {pages[0]['body']}")


@contextmanager
def _publish(stock: Stock, folder: Path) -> Iterator[Scene]:
    moments = Moments()
    with (
        world_of(stock, folder, moments) as world,
        _shelves(stock) as shelves,
        wire(stock.forge.url, moments) as between,
    ):
        tagged = partial(tags, world, world.tags(), (f"{MODEL}#production#3",), done=True)

        def check(*, done: bool) -> None:
            tagged()
            _kept(shelves, done=done)

        extra = {"GITHUB_REPOSITORY": REPOSITORY, "GITHUB_API_URL": between.url,
                 "GITHUB_TOKEN": f"{ROBOT}-token"}  # fmt: skip
        command = ("release", "v1.0.0", "--target", "none", "--publish")
        yield Scene(
            world.root, command, moments, partial(check, done=True), partial(check, done=False), CHILD,
            extra=extra,
        )  # fmt: skip


@cache
def publish(stock: Stock) -> Case:
    return Case("publish", partial(_publish, stock))
