"""The judgement of a lock as a table, DVC's name of a folder inside a folder, and the trailer."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainline import remote
from mainline.locks import Item, Stage, Survey, judge, member, of_a_run
from mainline.review import MissingObject

COMMIT = "c" * 40


def item(path: str, md5: str | None = "1", seen: str = "", *, cached: bool = False) -> Item:
    return Item(path=path, md5=md5, seen=seen, cached=cached)


def out(path: str, md5: str | None = "1", seen: str = "deleted") -> Item:
    return item(path, md5, seen, cached=True)


def pair(dep: Item, of: Item, **listings: dict[str, str]) -> Survey:
    """`first` makes `of`, `second` reads `dep`."""
    return Survey(
        stages=(
            Stage(name="first", deps=(item("first.py"),), outs=(of,)),
            Stage(name="second", deps=(item("second.py"), dep), outs=(out("result"),)),
        ),
        listings=listings,
    )


@pytest.mark.parametrize(
    ("seen", "stale", "unproven"),
    [
        (pair(item("x", "1", "deleted"), out("x", "1")), {}, []),
        (pair(item("x", "1"), out("x", "1", "")), {}, []),
        (
            pair(item("x", "1", "deleted"), out("x", "2")),
            {"second": ["dvc.lock has x as 1, but first made 2"]},
            [],
        ),
        (pair(item("x", "1", "modified"), out("x", "1")), {"second": ["x changed"]}, []),
        (pair(item("y", "1", "deleted"), out("x", "1")), {"second": ["y is gone"]}, []),
        (pair(item("x", None, "deleted"), out("x", "1")), {"second": ["x is not in dvc.lock"]}, []),
        (
            pair(item("x", "1", "deleted"), item("x", "1", "deleted")),
            {"first": ["output x is gone"], "second": ["x is gone"]},
            [],
        ),
        (pair(item("x/a", "1", "deleted"), out("x", "D"), D={"a": "1"}), {}, []),
        (pair(item("x/a", "1", "deleted"), out("x", "D")), {}, ["second: x/a"]),
        (
            pair(item("x/b", "1", "deleted"), out("x", "D"), D={"a": "1"}),
            {"second": ["dvc.lock has x/b as 1, but first made no such file"]},
            [],
        ),
        (pair(item("xa", "1", "deleted"), out("x", "1")), {"second": ["xa is gone"]}, []),
        (
            pair(item("x", "1"), out("x", "1", "update available")),
            {"first": ["output x is update available"]},
            [],
        ),
    ],
)
def test_what_makes_a_stage_stale(seen: Survey, stale: dict[str, list[str]], unproven: list[str]) -> None:
    found = judge(seen, COMMIT)
    assert {stage.stage: stage.reasons for stage in found.stale} == stale
    assert found.unproven == unproven
    assert found.state == ("stale" if stale else "current")


def test_reasons_of_a_stage_itself() -> None:
    params = {"params.yaml": {"train.lr": "modified", "train.new": "new"}, "other.yaml": "deleted"}
    stage = Stage(name="s", always=True, command_changed=True, deps=(item("d"),), params=params)
    assert judge(Survey(stages=(stage,)), COMMIT).stale[0].reasons == [
        "it always runs", "its command changed", "params.yaml: train.lr changed",
        "params.yaml: train.new is not in dvc.lock", "other.yaml is gone",
    ]  # fmt: skip
    frozen = Stage(name="s", frozen=True, deps=(item("d", "1", "modified"),), params=params)
    assert judge(Survey(stages=(frozen,)), COMMIT).state == "current"


def chain(*stale: str) -> Survey:
    """a makes x, b makes y of x, c makes z of y."""
    stages = tuple(
        Stage(name=name, command_changed=name in stale, deps=(item(dep, seen=seen),), outs=(out(made),))
        for name, dep, made, seen in (
            ("a", "a.py", "x", ""),
            ("b", "x", "y", "deleted"),
            ("c", "y", "z", "deleted"),
        )
    )
    return Survey(stages=stages)


@pytest.mark.parametrize(
    ("stale", "missing", "state"),
    [
        ("", "", "current"), ("", "x", "broken"),
        ("b", "", "stale"), ("b", "y", "stale"), ("b", "yz", "stale"),
        ("b", "x", "broken"), ("b", "xy", "broken"), ("c", "y", "broken"),
        ("a", "xyz", "stale"),
    ],
)  # fmt: skip
def test_missing_objects_matter_unless_they_are_made_again(stale: str, missing: str, state: str) -> None:
    gone = tuple(MissingObject(path=path, md5="1") for path in missing)
    found = judge(chain(*stale).model_copy(update={"missing": gone}), COMMIT)
    assert found.state == state
    assert len(found.missing) == len(missing), "named in any case"


def test_a_problem_is_broken_whatever_else() -> None:
    for stale in ("", "a"):
        assert judge(chain(*stale).model_copy(update={"problem": "why"}), COMMIT).state == "broken"


def test_what_a_run_may_change_for_git() -> None:
    seen = Survey(stages=(Stage(name="s", outs=(item("kept"), item("folder"), out("data"))),))
    assert [
        path
        for path in ("dvc.lock", "kept", "folder/a", "data", "data/a", "kept2", "other")
        if of_a_run(path, seen)
    ] == ["dvc.lock", "kept", "folder/a"]


NAMES = st.text("ab é/", min_size=1, max_size=3).filter(lambda n: "/" not in n)


@given(st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.just("ab" * 16), min_size=1))
def test_a_folder_inside_a_folder_has_the_name_that_dvc_gives_it(listing: dict[str, str]) -> None:
    from dvc_data.hashfile.tree import Tree

    files = {p: m for p, m in listing.items() if not any(q.startswith(f"{p}/") for q in listing)}
    tree = Tree.from_list([{"md5": md5, "relpath": path} for path, md5 in files.items()], hash_name="md5")
    for path in files:
        assert member(files, path) == files[path]
        for depth in range(1, len(path.split("/"))):
            prefix = path.split("/")[:depth]
            assert member(files, "/".join(prefix)) == tree.get_obj(None, tuple(prefix)).oid
    assert member(files, "none such") is None


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"lr": 0.1, "same": 1}, {"lr": 0.2, "same": 1}, {"two.lr": "0.2, was 0.1"}),
        ({"since": date(2013, 10, 1)}, {"since": "2013-10-01"}, {"two": "modified"}),
        ({"a": {"b": 1}}, {"a.b": 1}, {"two": "modified"}),
        ({"a": 1}, {"b": 1}, {"two.a": "deleted", "two.b": "new"}),
        (
            {"data": ["numpy==2.3.1", "pandas==3.0.6", "polars==1.35.1"]},
            {"data": ["numpy==2.3.1", "pandas==3.0.6", "polars==1.36.0", {"group": "x"}]},
            {"two.data": 'another list: added polars==1.36.0, {"group": "x"}; removed polars==1.35.1'},
        ),
        ({"a": [1, 2]}, {"a": [2, 1]}, {"two.a": "another list: the order"}),
        ({"a": [1]}, {"a": [1, 1]}, {"two.a": "[1, 1], was [1]"}),
        ({"a": []}, {"a": [*range(10)]}, {"two.a": "another list: added 0, 1, 2, 3, 4, 5, 6, 7, and 2 more"}),
        (
            {"a": "x" * 60 + "old" + "y" * 60},
            {"a": "x" * 60 + "new" + "y" * 60},
            {"two.a": f"…{'x' * 20}new{'y' * 17}…, was …{'x' * 20}old{'y' * 17}…"},
        ),
        ({"a": 1}, 3, {"two.a": "deleted", "two": "new"}),
    ],
)
def test_what_dvc_calls_changed_is_never_called_the_same(before: object, after: object, told: object) -> None:
    """Each key that changed; the section where both sides read alike."""
    dep = SimpleNamespace(
        hash_info=SimpleNamespace(value={"two": before}), read_params=lambda: {"two": after}
    )
    assert remote._leaves(dep, {"two": "modified"}) == told
    assert remote._leaves(dep, {"other": "new"}) == {"other": "new"}
