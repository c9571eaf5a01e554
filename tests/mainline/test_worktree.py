"""Which outputs are brought, by what DVC says of the work tree; never those of a stage that must run."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mainline import worktree
from mainline.locks import DELETED, Item, Stage, Survey

SEEN = st.sampled_from(["", DELETED, "modified"])
STATES = st.tuples(SEEN, SEEN, SEEN, st.booleans(), st.booleans())


def survey(raw: str, data: str, model: str, code: bool, disagrees: bool) -> Survey:
    """raw.dvc -> one -> two; `code`: of one changed; `disagrees`: two records other data than one made."""

    def out(path: str, md5: str, seen: str) -> Item:
        return Item(path=path, md5=md5, seen=seen, cached=True)

    here = Item(path="data/a", md5="9" if disagrees else "2", seen=data)
    source = Item(path="one.py", md5="5", seen="modified" if code else "")
    one = Stage(name="one", deps=(source,), outs=(out("data", "2.dir", data),))
    two = Stage(name="two", deps=(here,), outs=(out("model", "3", model),))
    added = Stage(name="raw.dvc", frozen=True, outs=(out("raw", "1", raw),))
    return Survey(stages=(added, one, two), listings={"2.dir": {"a": "2"}})


@given(STATES)
def test_every_output_is_brought_absent_the_locks_or_its_stage_runs(state: tuple) -> None:
    raw, data, model, code, disagrees = state
    seen = survey(*state)
    must = worktree.reasons(seen)
    assert ("one" in must, "two" in must) == (code, disagrees)
    expected = {"raw": raw, "data": "" if code else data, "model": "" if disagrees else model}
    assert worktree.other(seen) == [path for path, word in expected.items() if word == "modified"]
    assert worktree.absent(seen) == [path for path, word in expected.items() if word == DELETED]
    assert worktree.unseen(seen) == (["two"] if disagrees else [])


@given(STATES)
def test_a_clone_sees_the_same_wherever_the_data_is(state: tuple) -> None:
    seen = survey(*state)
    once = worktree.elsewhere(seen)
    assert worktree.elsewhere(once) == once
    assert worktree.reasons(once) == worktree.reasons(seen)


def test_targets_and_what_they_rest_on() -> None:
    seen = survey("", "modified", "modified", False, False)
    assert worktree.other(seen, ["one"]) == ["data"] and worktree.other(seen, ["two"]) == ["data", "model"]
    assert worktree.makers(seen, ["model", "raw"]) == ["raw.dvc", "two"]
    assert worktree.sources(seen) == {"raw"} and not worktree.unproven(seen)
    assert worktree.unproven(seen.model_copy(update={"listings": {}}), ["two"])
    assert not worktree.unproven(seen.model_copy(update={"listings": {}}), ["one"])
