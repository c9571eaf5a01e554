"""What stands beside the workflows: rulesets, owners, Dependabot, and the page that explains the settings."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatch
from typing import Any

import yaml

from mainline.tags import Assignment
from tests.imports import ROOT
from tests.workflows import verbs
from tests.workflows.verbs import ACTIONS, GITHUB, WORKFLOWS


def _ruleset(name: str) -> dict[str, Any]:
    content = json.loads((GITHUB / f"rulesets/{name}.json").read_text())
    assert content["enforcement"] == "active" and content["bypass_actors"] == []
    return content | {"rules": {rule["type"]: rule.get("parameters", {}) for rule in content["rules"]}}


def test_main_takes_only_what_passed_and_was_approved() -> None:
    rules = _ruleset("main")["rules"]
    assert {"deletion", "non_fast_forward", "required_linear_history"} <= set(rules)
    checks = rules["required_status_checks"]
    assert [check["context"] for check in checks["required_status_checks"]] == ["required"]
    assert checks["strict_required_status_checks_policy"], "the branch's own commit is what was tested"
    review = rules["pull_request"]
    assert review["require_code_owner_review"] and review["dismiss_stale_reviews_on_push"]
    assert review["required_approving_review_count"] >= 1


def test_the_tags_of_the_registry_never_move() -> None:
    content = _ruleset("tags")
    assert {"deletion", "update", "non_fast_forward"} <= set(content["rules"])
    patterns = [
        pattern.removeprefix("refs/tags/") for pattern in content["conditions"]["ref_name"]["include"]
    ]
    for tag in (str(Assignment("flight-delay", "production", 7)), "flight-delay@v1.3.0"):
        assert any(fnmatch(tag, pattern) for pattern in patterns), tag


def test_owners_own_paths_that_exist() -> None:
    lines = [line.split() for line in (GITHUB / "CODEOWNERS").read_text().splitlines()]
    owned = [words for words in lines if words and not words[0].startswith("#")]
    assert owned[0][0] == "*"
    for path, *owners in owned[1:]:
        assert (ROOT / path.lstrip("/")).exists(), path
        assert owners and all(owner.startswith("@") for owner in owners)


def test_dependabot_waits_and_looks_everywhere() -> None:
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    assert {update["package-ecosystem"] for update in updates} == {"github-actions", "uv", "npm"}
    assert all(update["cooldown"]["default-days"] >= 7 for update in updates)


def test_the_page_names_every_setting() -> None:
    page = (GITHUB / "README.md").read_text()
    text = "".join(file.read_text() for file in (*WORKFLOWS, *ACTIONS))
    for name in set(re.findall(r"(?:vars|secrets)\.(\w+)", text)):
        assert f"`{name}`" in page, name
    for _, job, content in verbs.jobs():
        assert f"`{job}`" in page or job == "provision"
        assert "environment" not in content or f"`{content['environment']}`" in page
