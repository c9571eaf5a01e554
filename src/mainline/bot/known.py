"""What the bot knows without the forge: the state of Git, and the plan that would follow from it alone."""

from __future__ import annotations

from datetime import UTC, datetime

from mainline.bot.clone import Clone
from mainline.errors import SupersededError
from mainline.policy import MonitorPolicy
from mainline.retraining import parameters
from mainline.retraining import plan as planning
from mainline.retraining.evidence import Wish
from mainline.retraining.state import Plan, State

ASSUMED_HOURS = 1.0  # of a training, until a commit of the lock tells how long one took


def foreseen(clone: Clone, policy: MonitorPolicy, wish: Wish) -> tuple[Plan, State]:
    """What would be done if the forge had no pull request yet. Raises as `of_git` does."""
    state = of_git(clone, wish, datetime.now(UTC))
    return planning.plan(state, wish, policy), state


def of_git(clone: Clone, wish: Wish, now: datetime) -> State:
    """What Git knows of the state. Raises SupersededError, GitError, ConfigError."""
    clone.refresh()
    _check_release(clone, wish)
    tip, hours = clone.tip(), clone.last_training()
    return State(
        now=now,
        model=clone.model,
        base=clone.base,
        base_tip=tip,
        base_data=parameters.read(clone.parameters(tip)),
        branch=clone.branch(),
        pulls=(),
        dashboards=(),
        expected_hours=ASSUMED_HOURS if hours is None else hours,
    )


def _check_release(clone: Clone, wish: Wish) -> None:
    """Raises SupersededError where another release is in production than the one that was watched."""
    now, watched = clone.production(), wish.watch.release
    if now != watched:
        raise SupersededError(
            f"the watch is about {watched[:40]!r}, and {now or 'nothing'} is in production",
            why="its evidence is of another time",
            remedy="mainline monitor",
        )
