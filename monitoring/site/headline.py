"""Pure: the one sentence on top: what is in production since when, what the watch says, what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mainline.state import Pull, State

COLOURS: dict[str, Literal["good", "unsure", "bad"]] = {
    "quiet": "good", "watch": "unsure", "insufficient": "unsure", "retrain": "bad",
}  # fmt: skip
WORDS = {
    "quiet": "Quiet", "watch": "Look closer", "insufficient": "Too little data", "retrain": "Retrain",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Headline:
    """`pull`: the open pull request that `action` speaks of."""

    word: str
    colour: Literal["good", "unsure", "bad"]
    sentence: str
    action: str
    pull: Pull | None = None


def headline(state: State) -> Headline:
    """All of it from the state; a watch of another version than the one in production is not believed."""
    production = state.now.get("production")
    if production is None:
        return _unreleased(state)
    since = f" since {production.when[:10]}" if production.when else ""
    back = f", after a rollback from {production.left}" if production.left else ""
    sentence = f"{production.version or 'A commit without a version'} is in production{since}{back}"
    watch = state.watch
    if watch is None:
        return Headline(
            "Not watched", "unsure", f"{sentence}; nobody has watched it yet.", "Run mainline monitor."
        )
    if watch.release != production.version:
        told = f"{sentence}; the newest watch looked at {watch.release}."
        return Headline("Not watched", "unsure", told, "Run mainline monitor.")
    reason = watch.reason.strip().rstrip(".") or "the watch gave no reason"
    action, pull = _action(state)
    return Headline(
        WORDS[watch.verdict],
        COLOURS[watch.verdict],
        f"{sentence}. Up to {watch.until[:10]}: {reason}.",
        action,
        pull,
    )


def _unreleased(state: State) -> Headline:
    if state.now.get("staging"):
        version = state.now["staging"].version or "a commit without a version"
        told = f"Nothing is in production yet; {version} is in staging."
        return Headline("No release", "unsure", told, "Bring it to production: mainline release.")
    told = f"{state.model} has no release yet."
    return Headline("No release", "unsure", told, "Merge a model to main; mainline promote makes a version.")


def _action(state: State) -> tuple[str, Pull | None]:
    assert state.watch is not None  # noqa: S101 - asked for with a watch only
    verdict = state.watch.verdict
    if any(one.kind == "fault" and one.outcome in ("watch", "retrain") for one in state.watch.findings):
        return "Mend the input that the findings name; a retraining would only learn the fault.", None
    if verdict == "quiet":
        return "Nothing to do.", None
    if verdict == "watch":
        return "Read the findings; there is nothing to merge.", None
    if verdict == "insufficient":
        return "Wait for rows and labels; the watch does not take silence for health.", None
    pull = next((one for one in state.pulls or [] if one.state == "open"), None)
    if pull:
        return f"Decide on pull request {pull.number}.", pull
    return "mainline retrain opens the pull request.", None
