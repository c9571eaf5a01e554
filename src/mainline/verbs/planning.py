"""What a release or a rollback would do, and what it did, as people and programs are told it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from mainline.deploying import Deployed
from mainline.forge_releases import Published
from mainline.promotion import PRODUCTION
from mainline.releases import Release
from mainline.tags import Assignment, Version


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. `tag` is None when production has this version already, by `standing`.

    `steps`: of the deployment; `pages`: of the page on the forge.
    """

    version: Version
    record: Release
    now: Version | None
    tag: Assignment | None
    given: Assignment | None = None
    standing: Assignment | None = None
    steps: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`curl`: a request that the service which was deployed answers."""

    deployed: Deployed | None = None
    published: Published | None = None
    curl: str = ""


def planned(plan: Plan, *, as_json: bool) -> str:
    """What would be done."""
    if as_json:
        return json.dumps({**_told(plan), "steps": plan.steps, "publish": plan.pages, "dry_run": True})
    bento = f"sha256 {plan.record.artifacts['bento'].sha256}, as tested in staging; nothing is built"
    lines = [
        f"{plan.record.model}: {plan.now or 'nothing'} → {plan.version} in {PRODUCTION}",
        f"  tag      {plan.tag or 'none: it is there already'}",
        f"  bento    {bento}",
        *(f"  deploy   {step}" for step in plan.steps),
        *(f"  publish  {step}" for step in plan.pages),
    ]
    return "\n".join(lines)


def done(plan: Plan, outcome: Outcome, *, as_json: bool) -> str:
    """What was done."""
    deployed, published = outcome.deployed, outcome.published
    if as_json:
        found = {"deployed": asdict(deployed) if deployed else None}
        found |= {"published": asdict(published) if published else None}
        return json.dumps({**_told(plan), **found, "dry_run": False})
    tag = plan.tag or plan.given
    lines = [f"{plan.record.model} {plan.version} is in {PRODUCTION}{f': {tag}' if tag else ' already'}"]
    if deployed:
        lines += [f"  {'served' if deployed.changed else 'was served already'} at {deployed.place}"]
    if published:
        lines += [f"  {published.result}: {published.url}"]
    return "\n".join([*lines, *([outcome.curl] if outcome.curl else [])])


def _told(plan: Plan) -> dict[str, object]:
    tag = plan.tag or plan.given
    return {
        "model": plan.record.model,
        "version": str(plan.version),
        "before": str(plan.now) if plan.now else None,
        "tag": str(tag) if tag else None,
        "bento_sha256": plan.record.artifacts["bento"].sha256,
    }
