"""Tests compute as the stages do: the processor's choices are pinned before anything heavy is imported."""

from hypothesis import settings

from pipeline import determinism

determinism.pin()
settings.register_profile("shared machine", deadline=None)  # an example takes as long as the machine lets it
settings.load_profile("shared machine")
