"""Pure: the bot's plan. Whatever the state, following it leads to one pull request at most, and then to rest.

The adapter does the first step, reads everything again and plans again, so each step is taken on a fresh
state, and a run that was stopped anywhere is finished by the next one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mainline.errors import ConfigError
from mainline.policy import MonitorPolicy
from mainline.retraining import limits, markers, texts
from mainline.retraining.evidence import Wish, month_of, newest_month, spoken
from mainline.retraining.markers import Marker
from mainline.retraining.state import (
    LABEL,
    OVERRIDE,
    Close,
    CloseIssue,
    Dashboard,
    Drop,
    Edit,
    Issue,
    Label,
    Note,
    NoteKind,
    Open,
    Outcome,
    Plan,
    Pull,
    Push,
    State,
    Step,
)
from mainline.settings import Month

SHOWN: tuple[Outcome, ...] = ("current", "stopped", "rejected", "waiting", "limited", "abandoned")


def plan(state: State, wish: Wish, policy: MonitorPolicy) -> Plan:
    """What to do now. Raises ConfigError when the wished month lies before main's."""
    return _Planner(state, wish, policy).plan()


def to_read(state: State, wish: Wish) -> list[int]:
    """Those whose comments a plan needs: the open ones, and the last that was rejected for this evidence."""
    found = [pull.number for pull in state.open]
    same = _rejected(state, wish)
    return [*found, *(pull.number for pull in same[-1:])]


def dashboards(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Of the account's issues with the label: those with the marker; where none has it, the oldest.

    So one is found wherever there is an issue that keeps the forge from making another.
    """
    found = sorted(issues, key=lambda issue: (not issue.open, issue.number))
    return tuple(issue for issue in found if markers.ISSUE in issue.body) or tuple(found[:1])


def _rejected(state: State, wish: Wish) -> list[Pull]:
    return [
        pull for pull in limits.rejections(state)
        if (marker := limits.marker_of(pull)) and marker.fingerprint == wish.watch.evidence
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Planner:
    state: State
    wish: Wish
    policy: MonitorPolicy

    def plan(self) -> Plan:
        found = self._pull_request()
        labels = self._labels() if found.outcome in ("current", "limited") else []
        steps = (*self._duplicates(), *found.steps, *labels)
        if not steps:
            steps = self._dashboards(found)
        return Plan(found.outcome, found.reason, found.as_of, steps)

    @property
    def pull(self) -> Pull | None:
        return next(iter(self.state.open), None)

    @property
    def marker(self) -> Marker | None:
        return limits.marker_of(self.pull) if self.pull else None

    @property
    def ticked(self) -> bool:
        return any(markers.is_ticked(issue.body, "ask") for issue in self.state.dashboards if issue.open)

    @property
    def asked(self) -> bool:
        return self.wish.force or self.ticked

    def _pull_request(self) -> Plan:
        watch, target = self.wish.watch, self._target()
        if watch.verdict != "retrain" and not self.asked:
            return self._unwanted()
        if target is None:
            reason = "no month is over whose labels are complete; --as-of names one"
            return Plan("kept" if self.pull else "nothing", reason)
        if target <= Month.parse(self.state.base_as_of):
            reason = f"{self.state.base} has data to {self.state.base_as_of} already"
            return self._withdraw(self.pull, reason) if self.pull else Plan("nothing", reason)
        if self.pull:
            return self._update(self.pull, str(target))
        return self._open(str(target))

    def _target(self) -> Month | None:
        """The month to move to: the wished, else the newest; never back from what a person asked for."""
        if self.wish.as_of is not None and self.wish.as_of < Month.parse(self.state.base_as_of):
            raise ConfigError(
                f"data.as_of of {self.state.base} is {self.state.base_as_of}, after {self.wish.as_of}",
                remedy="a retraining takes newer data; for older, `mainline rollback` or a pull request",
            )
        window = newest_month(self.wish.drift, self.policy)
        found = self.wish.as_of or (month_of(window) if window else None)
        if self.marker is not None and self.marker.asked and self.wish.as_of is None:
            kept = Month.parse(self.marker.as_of)
            found = max(found, kept) if found else kept
        return found

    # -- nobody asks for one

    def _unwanted(self) -> Plan:
        verdict = self.wish.watch.verdict
        reason = f"the watch says {verdict}"
        if self.pull is None:
            return Plan("nothing", reason, steps=self._leftover())
        if self.marker is not None and self.marker.asked:
            return Plan("kept", f"{reason}, but a person asked for it", self.marker.as_of)
        if verdict != "quiet":
            return Plan("kept", f"{reason}, which takes nothing back")
        return self._withdraw(self.pull, "what the watch saw is gone")

    def _leftover(self) -> tuple[Step, ...]:
        """The branch of a pull request that the bot closed, where a run was stopped in between."""
        branch, last = self.state.branch, next(reversed(self.state.mine), None)
        marker = limits.marker_of(last) if last else None
        if branch is None or branch.others or marker is None or not marker.withdrawn:
            return ()
        return (Drop(branch.tip),)

    def _withdraw(self, pull: Pull, why: str) -> Plan:
        branch = self.state.branch
        if branch is not None and branch.others:
            title = pull.title if pull.title.endswith(texts.ABANDONED) else f"{pull.title}{texts.ABANDONED}"
            steps = self._changed(pull, title, pull.body) + self._once(pull, "abandoned", why)
            return Plan("abandoned", f"{why}; it has commits of others", steps=steps)
        drop = (Drop(branch.tip),) if branch else ()
        return Plan("withdrawn", why, steps=(*self._taken_back(pull, "withdrawn", why), *drop))

    def _taken_back(self, pull: Pull, kind: NoteKind, why: str) -> tuple[Step, ...]:
        """Marked before it is closed, or the end would count as somebody's rejection."""
        marker = limits.marker_of(pull) or self._new_marker(pull, self.state.base_as_of)
        rest = markers.LINE.sub("", pull.body.replace("\r\n", "\n")).strip()
        body = f"{rest}\n\n{markers.write(marker.model_copy(update={'withdrawn': True}))}"
        return (
            *self._changed(pull, pull.title, body), *self._once(pull, kind, why), Close(pull.number)
        )  # fmt: skip

    def _duplicates(self) -> tuple[Step, ...]:
        steps: tuple[Step, ...] = ()
        for pull in self.state.open[1:]:
            steps += self._taken_back(pull, "duplicate", f"#{self.state.open[0].number} is the same")
        return steps

    # -- one is open

    def _update(self, pull: Pull, target: str) -> Plan:
        branch = self.state.branch
        override = OVERRIDE in pull.labels or markers.is_ticked(pull.body, "override")
        if branch is not None and branch.others and not override:
            why = texts.commits(branch.others)
            return Plan("stopped", why.replace("`", ""), target, self._once(pull, "stopped", why))
        if held := limits.uncountable(self.state):
            return Plan("limited", held, target)
        edit = self._described(pull, target)
        if self._is_done(target):
            return Plan("current", "it is brought up to date" if edit else "it is up to date", target, edit)
        if held := limits.too_many(self.state, self.policy):
            return Plan("limited", held, target, edit)
        unrecorded = branch is not None and branch.made not in (None, *self._recorded(pull))
        before = edit if unrecorded else ()
        if branch is not None and branch.others:
            before += self._once(pull, "overwritten", texts.commits(branch.others))
        return Plan("updated", self._why_moved(target), target, (*before, self._push(target)))

    def _described(self, pull: Pull, target: str) -> tuple[Step, ...]:
        branch = self.state.branch
        now = branch.as_of if branch is not None and branch.as_of and not branch.others else target
        marker = self._new_marker(pull, now)
        title = texts.title(self.state.model, now)
        # A tick stays until it was obeyed.
        ticked = bool(branch and branch.others) and markers.is_ticked(pull.body, "override")
        body = texts.body(self.state, self.wish, self.policy, marker, override=ticked)
        return self._changed(pull, title, body)

    def _is_done(self, target: str) -> bool:
        branch = self.state.branch
        if branch is None or branch.others:
            return False
        trained = branch.trained or self.policy.retrain.where == "ci"
        return branch.base == self.state.base_tip and branch.as_of == target and trained

    def _why_moved(self, target: str) -> str:
        branch = self.state.branch
        if branch is None:
            return "its branch is gone"
        if branch.others:
            return "the commits of others are overwritten, as asked"
        if branch.as_of != target:
            return f"data to {target} instead of {branch.as_of}"
        return (
            f"{self.state.base} moved on" if branch.base != self.state.base_tip else "it is not trained yet"
        )

    # -- none is open

    def _open(self, target: str) -> Plan:
        state, branch = self.state, self.state.branch
        if not self.asked:
            if same := _rejected(state, self.wish):
                reason = f"#{same[-1].number} was closed: this evidence was rejected"
                return Plan("rejected", reason, target, self._once(same[-1], "rejected"))
            if held := limits.not_now(state, self.policy):
                return Plan("waiting", held, target)
        if branch is not None and branch.others and not self._merged_before():
            reason = f"{texts.commits(branch.others).replace('`', '')}; delete {state.name} if it may go"
            return Plan("stopped", reason, target)
        if held := limits.too_many_open(state, self.policy) or limits.uncountable(state):
            return Plan("limited", held, target)
        if self._is_done(target):
            return self._opened(target)
        if branch is not None and self._unrecorded():
            return self._opened(str(branch.as_of))
        if held := limits.too_many(state, self.policy):
            return Plan("limited", held, target)
        opened = self._opened(target)
        return Plan("opened", opened.reason, target, (self._push(target), *opened.steps))

    def _opened(self, as_of: str) -> Plan:
        marker = self._new_marker(None, as_of)
        body = texts.body(self.state, self.wish, self.policy, marker)
        reason = "the watch asks for it" if not self.asked else "a person asked for it"
        return Plan("opened", reason, as_of, (Open(texts.title(self.state.model, as_of), body),))

    def _unrecorded(self) -> bool:
        """A run was stopped between its push and its pull request: that training is recorded first."""
        branch = self.state.branch
        if branch is None or branch.made is None or branch.others or branch.as_of is None:
            return False
        known = {name for pull in self.state.mine for name in self._recorded(pull)}
        return branch.made not in known and branch.as_of > self.state.base_as_of

    def _merged_before(self) -> bool:
        """All that others committed went into the merged pull request."""
        branch, last = self.state.branch, next(reversed(self.state.mine), None)
        if branch is None or last is None or last.state != "merged" or last.closed is None:
            return False
        return branch.newest is not None and branch.newest <= last.closed

    # -- parts

    def _recorded(self, pull: Pull) -> list[str]:
        marker = limits.marker_of(pull)
        return [one.commit for one in marker.trainings] if marker else []

    def _push(self, target: str) -> Push:
        branch, state = self.state.branch, self.state
        return Push(
            as_of=target,
            base_tip=state.base_tip,
            expected=branch.tip if branch else None,
            subject=texts.title(state.model, target),
            text=spoken(self.wish.watch.reason),
        )

    def _new_marker(self, pull: Pull | None, as_of: str) -> Marker:
        old = limits.marker_of(pull) if pull else None
        watch = self.wish.watch
        return Marker(
            fingerprint=watch.evidence,
            as_of=as_of,
            release=watch.release,
            asked=self.asked or self.wish.as_of is not None or bool(old and old.asked),
            trainings=limits.recorded(
                old.trainings if old else [], self.state.branch, self.state.expected_hours
            ),
        )

    def _changed(self, pull: Pull, title: str, body: str) -> tuple[Step, ...]:
        same = pull.title == title and pull.body.replace("\r\n", "\n").strip() == body.strip()
        return () if same else (Edit(pull.number, title, body),)

    def _once(self, pull: Pull, kind: NoteKind, why: str = "") -> tuple[Step, ...]:
        return () if kind in pull.notes else (Note(pull.number, kind, texts.note(kind, why)),)

    def _labels(self) -> list[Step]:
        if self.pull is None:
            return []
        found: list[Step] = []
        if LABEL not in self.pull.labels:
            found.append(Label(self.pull.number, LABEL, on=True))
        branch = self.state.branch
        if OVERRIDE in self.pull.labels and not (branch and branch.others):
            found.append(Label(self.pull.number, OVERRIDE, on=False))
        return found

    def _dashboards(self, found: Plan) -> tuple[Step, ...]:
        """The one issue, the oldest of ours; a closed one stays closed, and is kept up to date."""
        issues = sorted(self.state.dashboards, key=lambda issue: (not issue.open, issue.number))
        doubles = tuple(CloseIssue(issue.number) for issue in issues[1:] if issue.open)
        if not issues and found.outcome not in SHOWN:
            return ()
        keep = self.ticked and found.outcome == "limited"
        body = texts.dashboard(
            self.state, self.wish, found, self.pull, limits.rejections(self.state), asked=keep
        )
        if issues and issues[0].body.replace("\r\n", "\n").strip() == body:
            return doubles
        return (Dashboard(issues[0].number if issues else None, body), *doubles)
