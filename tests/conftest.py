"""Tests compute as the stages do: the processor's choices are pinned before anything heavy is imported."""

from pipeline import determinism

determinism.pin()
