"""Pure: what a plan rests on, and the parts that its cases have in common."""

from __future__ import annotations

from dataclasses import dataclass

from mainline.errors import ConfigError
from mainline.policy import MonitorPolicy
from mainline.retraining import limits, markers, texts
from mainline.retraining.evidence import Wish, month_of, newest_month, spoken
from mainline.retraining.markers import Marker
from mainline.retraining.parameters import Data
from mainline.retraining.state import Close, Edit, Note, NoteKind, Pull, Push, State, Step
from mainline.settings import Month


@dataclass(frozen=True, slots=True)
class Basis:
    """The state of the world, what is wished for, and what is allowed."""

    state: State
    wish: Wish
    policy: MonitorPolicy

    @property
    def pull(self) -> Pull | None:
        """The open one; the oldest, where two bots raced."""
        return next(iter(self.state.open), None)

    @property
    def marker(self) -> Marker | None:
        """Of the open one, where it can be read."""
        return limits.marker_of(self.pull) if self.pull else None

    @property
    def ticked(self) -> bool:
        """Whether a person asks for a retraining on the dashboard."""
        return any(markers.is_ticked(issue.body, "ask") for issue in self.state.dashboards if issue.open)

    @property
    def asked(self) -> bool:
        """Whether a person asks for one, there or here."""
        return self.wish.force or self.ticked

    def target(self) -> Month | None:
        """The month to move to: the wished, else the newest; never back from what a person asked for.

        Raises ConfigError when it lies before main's.
        """
        before = self.state.base_data.as_of
        if self.wish.as_of is not None and self.wish.as_of < before:
            raise ConfigError(
                f"data.as_of of {self.state.base} is {before}, after {self.wish.as_of}",
                remedy="a retraining takes newer data; for older, `mainline rollback` or a pull request",
            )
        window = newest_month(self.wish.drift, self.policy)
        found = self.wish.as_of or (month_of(window) if window else None)
        if self.marker is not None and self.marker.asked and self.wish.as_of is None:
            kept = Month.parse(self.marker.as_of)
            found = max(found, kept) if found else kept
        return found

    def is_done(self, target: Data) -> bool:
        """Whether the branch holds that data on top of main, trained where the bot trains."""
        branch = self.state.branch
        if branch is None or branch.others:
            return False
        trained = branch.trained or self.policy.retrain.where == "ci"
        return branch.base == self.state.base_tip and branch.data == target and trained

    def recorded(self, pull: Pull) -> list[str]:
        """Short names of the commits whose training a pull request has on record."""
        marker = limits.marker_of(pull)
        return [one.commit for one in marker.trainings] if marker else []

    def push(self, target: Data) -> Push:
        """The step that makes the branch, or moves it from where it is now."""
        branch, state = self.state.branch, self.state
        return Push(
            data=target,
            base_tip=state.base_tip,
            expected=branch.tip if branch else None,
            subject=texts.title(state.model, target.as_of),
            text=spoken(self.wish.watch.reason),
        )

    def new_marker(self, pull: Pull | None, as_of: Month) -> Marker:
        """For a pull request, with what its old one had on record."""
        old = limits.marker_of(pull) if pull else None
        watch = self.wish.watch
        return Marker(
            fingerprint=watch.evidence,
            as_of=str(as_of),
            release=watch.release,
            asked=self.asked or self.wish.as_of is not None or bool(old and old.asked),
            trainings=limits.recorded(old.trainings if old else [], self.state),
        )

    def taken_back(self, pull: Pull, kind: NoteKind, why: str) -> tuple[Step, ...]:
        """Marked before it is closed, or the end would count as somebody's rejection."""
        marker = limits.marker_of(pull) or self.new_marker(pull, self.state.base_data.as_of)
        rest = markers.LINE.sub("", pull.body.replace("\r\n", "\n")).strip()
        kept = limits.recorded(marker.trainings, self.state)
        line = markers.write(marker.model_copy(update={"withdrawn": True, "trainings": kept}))
        body = f"{rest}\n\n{line}"
        return (
            *changed(pull, pull.title, body), *once(pull, kind, why), Close(pull.number)
        )  # fmt: skip


def changed(pull: Pull, title: str, body: str) -> tuple[Step, ...]:
    """An edit, unless it has that title and body."""
    same = pull.title == title and pull.body.replace("\r\n", "\n").strip() == body.strip()
    return () if same else (Edit(pull.number, title, body),)


def once(pull: Pull, kind: NoteKind, why: str = "") -> tuple[Step, ...]:
    """A comment of that kind, unless it has one."""
    return () if kind in pull.notes else (Note(pull.number, kind, texts.note(kind, why)),)
