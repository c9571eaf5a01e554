"""Pure: which workflows an event starts, by the rules that GitHub documents and act leaves out.

Filters by branch, tag, path and type; what starts on which branch's files; and that what GITHUB_TOKEN did
starts nothing. Not modelled: `[skip ci]`, limits on the number of files and tags, approvals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Without `types` these; other events start at every type.
TYPES = {"pull_request": ("opened", "synchronize", "reopened"), "workflow_run": ("requested", "completed")}
BY_HAND = ("workflow_dispatch", "repository_dispatch")  # these alone start, whoever asks
CLASS = re.compile(r"\[([A-Za-z0-9-]+)\]")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `ref` is that of a push, or the base branch of a pull request.

    `workflow`: the name of the workflow that a `workflow_run` tells of. `by_token`: GITHUB_TOKEN did it.
    """

    name: str
    ref: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    type: str = ""
    paths: tuple[str, ...] = ()
    workflow: str = ""
    by_token: bool = False


def matches(pattern: str, text: str) -> bool:
    """One pattern without its `!`, against a whole branch, tag or path."""
    return re.fullmatch(_regex(pattern), text) is not None


def _regex(pattern: str) -> str:
    """`*` stops at a slash, `**` does not, `**/` may be nothing, `?` and `+` count what is before them."""
    found, at = "", 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**/") and (at == 0 or pattern[at - 1] == "/"):
            found, at = f"{found}(?:.*/)?", at + 3
        elif rest.startswith("**"):
            found, at = f"{found}.*", at + 2
        elif rest[0] == "*":
            found, at = f"{found}[^/]*", at + 1
        elif rest[0] in "?+" and at:
            found, at = found + rest[0], at + 1
        elif rest[0] == "\\" and len(rest) > 1:
            found, at = found + re.escape(rest[1]), at + 2
        elif one := CLASS.match(rest):
            found, at = f"{found}[{one[1]}]", at + one.end()
        else:
            found, at = found + re.escape(rest[0]), at + 1
    return found


def passes(patterns: Sequence[str], text: str) -> bool:
    """The last pattern that matches decides; `!` takes back what an earlier one let in."""
    verdict = False
    for pattern in patterns:
        if matches(pattern.removeprefix("!"), text):
            verdict = not pattern.startswith("!")
    return verdict


def _let(filters: Mapping[str, Any], name: str, text: str) -> bool:
    """`name` or `name`-ignore, of which GitHub takes one."""
    if name in filters:
        return passes(_list(filters[name]), text)
    ignored = _list(filters.get(f"{name}-ignore"))
    return not ignored or not passes(ignored, text)


def _paths(filters: Mapping[str, Any], paths: Sequence[str]) -> bool:
    if "paths" in filters:
        return any(passes(_list(filters["paths"]), path) for path in paths)
    ignored = _list(filters.get("paths-ignore"))
    return not ignored or not all(passes(ignored, path) for path in paths)


def _push(filters: Mapping[str, Any], event: Event) -> bool:
    """A filter of branches alone lets no tag in, and the other way round."""
    _, kind, name = event.ref.split("/", 2)
    ours, other = ("tags", "branches") if kind == "tags" else ("branches", "tags")
    if not _has(filters, ours) and _has(filters, other):
        return False
    return _let(filters, ours, name) and (kind == "tags" or _paths(filters, event.paths))


def _has(filters: Mapping[str, Any], name: str) -> bool:
    return name in filters or f"{name}-ignore" in filters


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _typed(filters: Mapping[str, Any], event: Event) -> bool:
    wanted = _list(filters.get("types")) or list(TYPES.get(event.name, ()))
    return not wanted or event.type in wanted


def started(on: Any, event: Event) -> bool:
    """Whether a workflow whose key `on` is this one starts."""
    if event.by_token and event.name not in BY_HAND:
        return False
    triggers = on if isinstance(on, Mapping) else dict.fromkeys(_list(on))
    if event.name not in triggers:
        return False
    filters = triggers[event.name]
    if not isinstance(filters, Mapping):  # nothing, or the list of a schedule
        filters = {}
    if event.name == "push":
        return _push(filters, event)
    if event.name == "pull_request":
        return (
            _typed(filters, event) and _let(filters, "branches", event.ref) and _paths(filters, event.paths)
        )
    if event.name == "workflow_run":
        return (
            _typed(filters, event)
            and event.workflow in _list(filters.get("workflows"))
            and _let(filters, "branches", event.ref)
        )
    return True


def first_jobs(workflow: Mapping[str, Any]) -> set[str]:
    """Jobs that nothing may keep from running: neither a condition nor another job."""
    return {name for name, job in workflow["jobs"].items() if not job.get("if") and not job.get("needs")}


def unrun(workflow: Mapping[str, Any], ran: Iterable[str]) -> list[str]:
    """Of those the ones that did not: act skips a label that it does not know, and ends green."""
    return sorted(first_jobs(workflow) - set(ran))
