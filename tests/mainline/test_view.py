"""The registry as a view of Git: what must be done, and what somebody else did, on values alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline import releases
from mainline.promotion import Book, Tag
from mainline.releases import Artifact, Release, Verdict
from mainline.view import Seen, Step, Version, View, describe, plan, view

MODEL = "flight-delay"


def release(name: str = "v1.0.0", commit: str = "c" * 40, **changed: Any) -> Release:
    values: dict[str, Any] = {
        "model": MODEL, "release": name, "commit": commit, "lock_sha256": "1" * 64,
        "data_md5": {"data/raw": f"{'a' * 32}.dir"}, "model_md5": "b" * 32, "model_sha256": "2" * 64,
        "artifacts": {"bento": Artifact(name="x.bento", md5="d" * 32, sha256="3" * 64, bytes=1)},
        "image": None, "figures": {"log_loss": 0.38, "f1": None}, "mlflow_run": None,
        "gate": Verdict(verdict="promote", reason="better", champion="none", accepted=False),
    }  # fmt: skip
    return Release(**(values | changed))


def tag(name: str, commit: str, message: str = "", **changed: Any) -> Tag:
    return dataclasses.replace(Tag(name, "t" * 40, commit, True, name, "me", "", message), **changed)


def version_tag(name: str, commit: str, **changed: Any) -> Tag:
    made = tag(f"{MODEL}@{name}", commit, releases.write(release(name, commit), "words"))
    return dataclasses.replace(made, **changed)


A, B = "a" * 40, "b" * 40


def test_what_git_says() -> None:
    stages = [tag(f"{MODEL}#staging#1", A), tag(f"{MODEL}#staging#2", B), tag(f"{MODEL}#production#1", A)]
    found = view(Book(MODEL, (version_tag("v1.10.0", B), version_tag("v1.9.0", A), *stages)))
    assert [one.name for one in found.versions] == ["v1.9.0", "v1.10.0"]
    assert found.stages == {"production": "v1.9.0", "staging": "v1.10.0"}
    assert found.unread == {}


@pytest.mark.parametrize(
    "wrong",
    [
        version_tag("v1.0.0", A, annotated=False),
        version_tag("v1.0.0", A, inner=f"{MODEL}@v2.0.0"),
        version_tag("v1.0.0", A, message="no record"),
        dataclasses.replace(version_tag("v1.0.0", A), commit=B),
        version_tag("v1.0.0", A, message=releases.write(release("v1.0.0", A, model="other"), "x")),
        version_tag("v1.0.0", A, message=releases.write(release("v9.0.0", A), "x")),
    ],
)
def test_a_tag_that_nobody_may_rely_on_counts_for_nothing_and_moves_nothing(wrong: Tag) -> None:
    found = view(Book(MODEL, (wrong, tag(f"{MODEL}#production#1", wrong.commit or ""))))
    assert found.versions == ()
    assert wrong.name in found.unread
    assert plan(found, Seen(aliases={"production": 3}, marks={"production": "3"})) == []


def test_tags_are_what_mlflow_takes() -> None:
    tags = describe(release(data_md5={"data/räw\n#1": "a" * 32, "x" * 900: "b" * 32}, mlflow_run="r"))
    assert tags["mainline.bento.sha256"] == "3" * 64
    for key, value in tags.items():
        assert len(key) <= 250
        assert len(value) <= 500
        assert key.isascii()
        assert key.isprintable()


def git(stages: dict[str, str | None], *names: str) -> View:
    return View(
        MODEL, tuple(Version(name, release(name), {"mainline.version": name}) for name in names), stages
    )


def seen(aliases: dict[str, int] | None = None, marks: dict[str, str] | None = None) -> Seen:
    numbers = {"v1.0.0": 1, "v1.1.0": 2}
    return Seen(numbers, {n: {"mainline.version": n} for n in numbers}, aliases or {}, marks or {})


BOTH = ("v1.0.0", "v1.1.0")
BEHIND = Step("alias", "staging", "v1.1.0", "v1.0.0")
RIGHT = Step("mark", "staging", "v1.1.0")


@pytest.mark.parametrize(
    ("stages", "there", "expected"),
    [
        ({}, seen(), []),
        ({"staging": "v1.0.0"}, seen(), [Step("alias", "staging", "v1.0.0")]),
        ({"staging": "v1.0.0"}, seen({"staging": 1}, {"staging": "1"}), []),
        # Git moved on, nobody touched it
        ({"staging": "v1.1.0"}, seen({"staging": 1}, {"staging": "1"}), [BEHIND]),
        # stopped between the two writes of an earlier sync
        ({"staging": "v1.1.0"}, seen({"staging": 1}, {"staging": "1 2"}), [BEHIND]),
        ({"staging": "v1.1.0"}, seen({"staging": 2}, {"staging": "1 2"}), [RIGHT]),
        # somebody else
        ({"staging": "v1.0.0"}, seen({"staging": 2}, {"staging": "1"}),
         [Step("alias", "staging", "v1.0.0", "v1.1.0", True)]),
        ({"staging": "v1.0.0"}, seen({}, {"staging": "1"}), [Step("alias", "staging", "v1.0.0", "", True)]),
        ({"staging": "v1.0.0"}, seen({"staging": 9}), [Step("alias", "staging", "v1.0.0",
                                                           "number 9, which is none of ours", True)]),
        ({}, seen({"production": 2}), [Step("alias", "production", "", "v1.1.0", True)]),
        ({}, seen({"champion": 2}), []),
    ],
)  # fmt: skip
def test_aliases(stages: dict[str, str | None], there: Seen, expected: list[Step]) -> None:
    assert plan(git(stages, *BOTH), there) == expected


def test_changed_tags_of_a_version_are_told() -> None:
    there = seen()
    there.tags["v1.0.0"] |= {"mainline.bento.sha256": "forged", "owner": "somebody"}
    assert plan(git({}, *BOTH), there) == [
        Step("tags", "v1.0.0", "v1.0.0", "changed: mainline.bento.sha256", True)
    ]


class Model:
    """A registry as MLflow keeps it."""

    def __init__(self, there: Seen) -> None:
        self.seen = there

    def do(self, step: Step, wanted: View, *, stop: int = 9) -> None:
        """`stop`: after that many writes of an alias's three."""
        numbers, aliases, marks = self.seen.numbers, self.seen.aliases, self.seen.marks
        tags = {one.name: one.tags for one in wanted.versions}
        number = numbers.get(step.wanted)
        match step.kind:
            case "register":
                numbers[step.subject] = max(numbers.values(), default=0) + 10
                self.seen.tags[step.subject] = dict(tags[step.subject])
            case "tags":
                self.seen.tags[step.subject] = dict(tags[step.subject])
            case "mark":
                self._put(marks, step.subject, str(number) if number else None)
            case "alias":
                old = aliases.get(step.subject)
                both = " ".join(str(one) for one in (old, number) if one is not None)
                self._put(marks, step.subject, both or None)
                if stop > 1:
                    self._put(aliases, step.subject, number)
                if stop > 2:
                    self._put(marks, step.subject, str(number) if number else None)

    @staticmethod
    def _put(where: dict[str, Any], key: str, value: Any) -> None:
        if value is None:
            where.pop(key, None)
        else:
            where[key] = value


names = st.lists(st.sampled_from(["v1.0.0", "v1.1.0", "v2.0.0"]), unique=True).map(sorted)
stage = st.sampled_from(["staging", "production"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[View, Seen]:
    there = draw(names)
    listed = draw(names)
    stages = draw(st.dictionaries(stage, st.sampled_from(listed))) if listed else {}
    numbers = {name: place + 1 for place, name in enumerate(there)}
    marks = st.sampled_from(["1", "2", "3", "1 2", "9", "x"])
    # MLflow has no alias of a version that does not exist; 9 is somebody else's.
    aliases = draw(st.dictionaries(stage, st.sampled_from([*numbers.values(), 9])))
    tags = {
        name: {"mainline.version": name, **draw(st.dictionaries(st.just("mainline.x"), st.just("y")))}
        for name in there
    }
    return git(stages, *listed), Seen(numbers, tags, aliases, draw(st.dictionaries(stage, marks)))


@given(worlds())
def test_healed_once_nothing_is_left_to_do(world: tuple[View, Seen]) -> None:
    wanted, there = world
    registry = Model(there)
    for step in plan(wanted, there):
        registry.do(step, wanted)
    assert plan(wanted, registry.seen) == []
    for name, number in registry.seen.aliases.items():
        assert registry.seen.numbers[wanted.stages[name] or ""] == number


@given(worlds())
def test_without_healing_what_others_did_stays_and_stays_told(world: tuple[View, Seen]) -> None:
    wanted, there = world
    registry, first = Model(there), plan(wanted, there)
    for step in first:
        if not step.out_of_band:
            registry.do(step, wanted)
    again = plan(wanted, registry.seen)
    assert all(step.out_of_band for step in again)
    assert {(one.kind, one.subject) for one in again} == {
        (one.kind, one.subject) for one in first if one.out_of_band
    }


@given(st.permutations(BOTH), st.integers(1, 3), st.booleans())
def test_a_sync_that_was_stopped_is_nobody_elses_change(order: list[str], stop: int, again: bool) -> None:
    """Git moved, and may move back before the next sync."""
    old, new = order
    registry = Model(seen())
    for step in plan(git({"staging": old}, *BOTH), registry.seen):
        registry.do(step, git({}, *BOTH))
    for step in plan(git({"staging": new}, *BOTH), registry.seen):
        registry.do(step, git({}, *BOTH), stop=stop)
    steps = plan(git({"staging": old if again else new}, *BOTH), registry.seen)
    assert not any(step.out_of_band for step in steps)
