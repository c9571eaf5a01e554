"""`mainline gate` in small real repositories: what it says before there is anything to compare."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mainline import cli
from mainline.errors import Answer
from mainline.exported import LOCK
from mainline.review import Comparison, Gate
from mainline.verbs.gate import NOTE
from tests import clones
from tests.mainline.test_champion import repository, template  # noqa: F401  (fixtures)

PARAMS = {
    "gate": {
        "resamples": 100, "confidence": 0.95, "margins": {"log_loss": 0.003}, "floors": {}, "ceilings": {},
        "slice_margin": 0.03, "slice_rows": 300, "model_bytes": 10**6, "latency_ms": 10.0,
    },
    "release": {"model": "flight-delay"},
}  # fmt: skip


@pytest.fixture
def branch(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A branch of main with the same model, without any data."""
    (repository / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    clones.commit(repository, "a gate")
    root = repository.parent / "clone"
    clones.git(repository.parent, "clone", "--quiet", str(repository), str(root))
    clones.git(root, "switch", "--quiet", "--create", "feature")
    monkeypatch.chdir(root)
    return root


def judged() -> tuple[str, str]:
    found = Gate.read(Gate.location)
    assert found.basis == "nothing" and found.comparison is None and len(found.rules) == 1
    return found.rules[0].name, found.reason


def test_data_that_is_not_here_makes_nothing_stale(branch: Path) -> None:
    NOTE.parent.mkdir(parents=True)
    NOTE.write_text('{"exit_code": 17}')
    cli.main(["gate"])
    assert Gate.read(Gate.location).basis == "same model"
    assert not NOTE.exists(), "an old failure does not outlive a verdict"


@pytest.mark.parametrize("flags", [[], ["--accept-hold"]])
def test_a_stale_lock_blocks_and_says_which_stage(branch: Path, flags: list[str]) -> None:
    with (branch / "make.py").open("a") as file:
        file.write("\n# better\n")
    clones.commit(branch, "code that was not trained")
    assert cli.main(["gate", *flags]) == Answer.BLOCK
    assert judged() == ("lock", "dvc.lock is stale: make would run: make.py changed")
    assert not (branch / ".dvc/cache/files").exists(), "nothing was fetched for it"
    assert not (branch / Comparison.location).exists()


def test_a_lock_edited_by_hand_blocks(branch: Path) -> None:
    content = yaml.safe_load((branch / LOCK).read_text())
    content["stages"]["rows"]["deps"][0]["md5"] = "ab" * 16
    (branch / LOCK).write_text(yaml.safe_dump(content))
    clones.commit(branch, "by hand")
    assert cli.main(["gate"]) == Answer.BLOCK
    assert judged() == ("lock", "dvc.lock is stale: rows would run: rows.py changed")


def test_many_stale_stages_are_told_in_a_line(branch: Path) -> None:
    text = "stages:\n" + "".join(f"  s{i}: {{cmd: ls, deps: [make.py]}}\n" for i in range(9))
    (branch / "dvc.yaml").write_text((branch / "dvc.yaml").read_text() + text.partition("\n")[2])
    assert cli.main(["gate"]) == Answer.BLOCK
    assert judged()[1].endswith("s2 would run: it is not in dvc.lock; and 6 more stages")
