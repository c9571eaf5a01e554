"""The bot at work: reads Git and the forge, plans, does one step, and begins again until nothing is left.

So every write rests on a state that was read just before it; what cannot be undone blindly, the branch,
moves with a lease. A run that dies anywhere is finished by the next one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from mainline.bot.clone import Clone
from mainline.bot.known import of_git
from mainline.bot.training import Trainer
from mainline.errors import ForgeError, SupersededError
from mainline.forge_pulls import Desk
from mainline.policy import MonitorPolicy
from mainline.retraining import markers
from mainline.retraining import plan as planning
from mainline.retraining.evidence import Wish
from mainline.retraining.state import (
    DASHBOARD,
    PREFIX,
    Close,
    CloseIssue,
    Dashboard,
    Drop,
    Edit,
    Label,
    Note,
    Open,
    Plan,
    Pull,
    Push,
    State,
    Step,
)

MOST = 40  # steps of one run; a plan needs ten
TITLE = "Retraining"  # of the dashboard
ACTIONS = "github-actions[bot]"  # the account of the token that every workflow has


@dataclass(frozen=True, slots=True)
class Done:
    """The first plan, for its words; what was done, in order; and the pull request, if one is open."""

    plan: Plan
    steps: tuple[Step, ...]
    pull: Pull | None


@dataclass
class Keeper:
    """Keeps the one pull request. `say` hears each step before it is done; `now` is the clock (UTC)."""

    desk: Desk
    clone: Clone
    policy: MonitorPolicy
    wish: Wish
    trainer: Trainer
    say: Callable[[str], None] = print
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def check_token(self, *, accept: bool) -> None:
        """Raises ForgeError for the token of Actions, whose pull requests start no checks."""
        if self.desk.login == ACTIONS and not accept:
            raise ForgeError(
                f"the token is that of {ACTIONS}",
                why="GitHub starts no checks for a pull request that it opens, so it could never be merged",
                remedy="a GitHub App's token; or --accept-github-token, and close and reopen it by hand",
            )

    def plan(self) -> tuple[Plan, State]:
        """What would be done now, on a state that was read for it."""
        state = self.read()
        return planning.plan(state, self.wish, self.policy), state

    def keep(self) -> Done:
        """Do it. Raises SupersededError when another was faster, ForgeError, GitError."""
        first: Plan | None = None
        done: list[Step] = []
        for _ in range(MOST):
            plan, state = self.plan()
            first = first or plan
            if not plan.steps:
                return Done(first, tuple(done), next(iter(state.open), None))
            step = plan.steps[0]
            self.say(words(step, state))
            self._do(step)
            done.append(step)
            self._consume(step)
        raise ForgeError(
            f"{MOST} steps did not lead to rest",
            why="somebody else changes the same things, or the forge forgets what it is told",
            remedy="look at the pull request and the dashboard, then run it again",
        )

    def read(self) -> State:
        """Git and the forge as they are. Raises SupersededError, GitError, ForgeError, ConfigError."""
        known = of_git(self.clone, self.wish, self.now())
        pulls = {pull.number: pull for pull in self.desk.pulls(self.clone.name)}
        pulls |= {pull.number: pull for pull in self.desk.open_pulls(PREFIX)}
        dashboards = planning.dashboards(self.desk.issues(DASHBOARD))
        state = dataclasses.replace(known, pulls=tuple(pulls.values()), dashboards=dashboards)
        noted = {number: self._notes(number) for number in planning.to_read(state, self.wish)}
        found = (dataclasses.replace(pull, notes=noted.get(pull.number, frozenset())) for pull in state.pulls)
        return dataclasses.replace(state, pulls=tuple(found))

    def _notes(self, number: int) -> frozenset[str]:
        ours = (one.body for one in self.desk.comments(number) if one.author == self.desk.login)
        return frozenset(kind for body in ours if (kind := markers.kind_of(body)))

    def _do(self, step: Step) -> None:
        match step:
            case Push():
                self._push(step)
            case Drop(expected):
                self.clone.push(None, expected)
            case Dashboard() | CloseIssue():
                self._do_dashboard(step)
            case Open(title, body):
                self.desk.open_pull(self.clone.name, self.clone.base, title, body)
            case Edit(number, title, body):
                self.desk.edit_pull(number, title, body)
            case Label(number, name, on):
                (self.desk.label if on else self.desk.unlabel)(number, name)
            case Note(number, kind, text):
                self.desk.upsert_comment(number, text, lambda body: markers.kind_of(body) == kind)
            case Close(number):
                self.desk.close_pull(number)

    def _do_dashboard(self, step: Dashboard | CloseIssue) -> None:
        match step:
            case Dashboard(None, body):
                self.desk.open_issue(TITLE, body, DASHBOARD)
            case Dashboard(int(number), body):
                self.desk.edit_issue(number, body)
            case CloseIssue(number):
                self.desk.close_issue(number)

    def _push(self, step: Push) -> None:
        commit = self.clone.commit(step)
        if self.policy.retrain.where == "here":
            self.trainer.run(self.clone.git)
            self._still(step)
        self.clone.push(commit, step.expected)
        if self.policy.retrain.where == "here":
            self.trainer.push(self.clone.git, self.clone.name)

    def _still(self, step: Push) -> None:
        """After hours of training. Raises SupersededError when the same push is not wanted any more."""
        plan, _ = self.plan()
        wanted = [one for one in plan.steps if isinstance(one, Push)]
        if wanted != [step]:
            raise SupersededError(
                "things changed while the bot trained",
                why=f"now: {plan.outcome}, {plan.reason}; nothing was pushed",
                remedy="run it again; DVC's cache keeps the training",
            )

    def _consume(self, step: Step) -> None:
        """`--force` asks for one pull request, and not for another when that is closed while we look."""
        if isinstance(step, Open):
            self.wish = dataclasses.replace(self.wish, force=False)


def words(step: Step, state: State) -> str:
    """A step as a person reads it."""
    match step:
        case Push(data, tip, expected):
            how = "move" if expected else "make"
            same = data.train_months == state.base_data.train_months
            months = "" if same else f", data.train_months {data.train_months},"
            return f"{how} the branch {state.name}: data to {data.as_of}{months} on {state.base} at {tip[:9]}"
        case Drop():
            return f"delete the branch {state.name}"
        case Open(title, _):
            return f"open a pull request: {title}"
        case Edit(number, _, _):
            return f"edit pull request {number}"
        case Label(number, name, on):
            return f"{'give' if on else 'take'} pull request {number} the label {name}"
        case Note(number, kind, _):
            return f"comment on pull request {number}: {kind}"
        case Close(number):
            return f"close pull request {number}"
        case Dashboard(number, _):
            return f"edit the dashboard, issue {number}" if number else "open the dashboard issue"
        case CloseIssue(number):
            return f"close issue {number}, a second dashboard"
