"""Tests compute as the stages do: the processor's choices are pinned before anything heavy is imported."""

import logging
import sys

import pytest
from hypothesis import settings

from pipeline import determinism

determinism.pin()
settings.register_profile("shared machine", deadline=None)  # an example takes as long as the machine lets it
settings.load_profile("shared machine")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests of a module share a worker, since its fixtures are dear, and begin before the quick ones,
    those of whole pipelines first: so all workers end at about the same time.
    """
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=lambda item: (item.get_closest_marker("slow") is None, item.path.parent.name != "slow"))


@pytest.fixture(autouse=True)
def _dvc_logs_to_a_stream_that_is_open() -> None:
    """Its logger keeps that of the test which first used it, and fails once that is closed."""
    for handler in logging.getLogger("dvc").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.stream = sys.stderr
