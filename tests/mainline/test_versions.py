"""The next version, from the change."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from mainline.tags import Version, version, version_of
from mainline.versions import FIRST, Contents, decide, parameters_of

NUMBERS = st.integers(0, 10**6)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS)
SMALL = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"))
CONTENTS = st.builds(Contents, SMALL, st.sampled_from("xy"), SMALL, SMALL)
NOW = Contents({"model": "1"}, "schema", {"data/raw": "1"}, {"train": "1"})


def changed(**parts) -> Contents:
    return dataclasses.replace(NOW, package={"model": "2"}, **parts)


def test_each_kind() -> None:
    made = {Version(1, 3, 2): NOW}
    assert decide(NOW, {}).version == FIRST
    assert decide(NOW, made) == decide(dataclasses.replace(NOW, data={}), made), (
        "the same package is the same"
    )
    for parts, kind, expected in (
        ({"schema": "other", "data": {}}, "major", "v2.0.0"),
        ({"data": {"data/raw": "2"}}, "minor", "v1.4.0"),
        ({"parameters": {"train": "2"}}, "minor", "v1.4.0"),
        ({}, "patch", "v1.3.3"),
    ):
        found = decide(changed(**parts), made)
        assert (found.kind, str(found.version)) == (kind, expected)


@given(CONTENTS, st.dictionaries(VERSIONS, CONTENTS, max_size=5), st.frozensets(VERSIONS, max_size=5))
def test_a_version_is_new_and_above_all_names_or_holds_this_very_package(now, made, taken) -> None:
    found = decide(now, made, taken)
    if found.kind == "same":
        assert made[found.version].package == now.package
    else:
        assert all(found.version > other for other in {*made, *taken})
        assert not any(one.package == now.package for one in made.values())
    assert decide(now, {**made, found.version: now}, taken).version >= found.version
    assert decide(now, {**made, found.version: now}, taken).kind == "same"


@given(VERSIONS)
def test_written_and_read(one: Version) -> None:
    assert version(str(one)) == (one if max(one.major, one.minor, one.patch) < 10**9 else None)
    assert version_of(one.tag("m"), "m") == one
    assert version_of(one.tag("m"), "n") is None


@given(st.text())
def test_any_text_is_a_version_or_none(text: str) -> None:
    found = version(text)
    assert found is None or str(found) == text


def test_odd_names_are_no_versions() -> None:
    for text in (
        "v1.0",
        "1.0.0",
        "v01.0.0",
        "v1.0.0!",
        "v1.0.0-rc1",
        "v1.0.0\n",
        "v١.0.0",
        f"v{'9' * 5000}.0.0",
        "",
    ):
        assert version(text) is None


def test_parameters_of_the_control_plane_do_not_count() -> None:
    assert parameters_of({"train": {"lr": 1}, "gate": {}, "release": {}, "monitor": 1}) == {
        "train": '{"lr": 1}'
    }
