"""What the demo says while it plays: titles, the commands of a person, results, seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass
class Narrator:
    """Prints to `console`; colours and the moving line are rich's, on a terminal alone."""

    console: Console
    steps: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A part of the play, timed; `steps` gets title, seconds and what `note` adds."""
        number, began = len(self.steps) + 1, time.monotonic()
        self.steps.append({"step": title})
        self.console.print()
        self.console.rule(f"[bold]{number}[/] {escape(title)}", align="left")
        yield
        seconds = time.monotonic() - began
        self.steps[-1]["seconds"] = round(seconds, 1)
        self.console.print(f"  [dim]{seconds:.0f} s, {self.passed():.0f} s since the start[/]")

    def passed(self) -> float:
        return time.monotonic() - self.began

    def say(self, text: str) -> None:
        self.console.print(f"  {escape(text)}", highlight=False, soft_wrap=True)

    def hand(self, *commands: str) -> None:
        """What a person types."""
        for command in commands:
            self.console.print(f"  [cyan]$ {escape(command)}[/]", highlight=False, soft_wrap=True)

    def result(self, text: str, *, good: bool = True) -> None:
        sign = "[green]✓[/]" if good else "[red]✗[/]"
        self.console.print(f"  {sign} {escape(text)}", highlight=False, soft_wrap=True)

    def note(self, **figures: Any) -> None:
        """Figures for --json."""
        self.steps[-1].update(figures)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        if self.console.is_terminal:
            with self.console.status(escape(text)):
                yield
        else:
            yield

    def summary(self, links: list[tuple[str, str]]) -> None:
        table = Table("step", "seconds", box=None, header_style="bold")
        table.columns[1].justify = "right"
        for step in self.steps:
            table.add_row(escape(step["step"]), f"{step['seconds']:.0f}")
        table.add_row("all", f"{self.passed():.0f}")
        self.console.print()
        self.console.print(table)
        for title, url in links:
            self.console.print(f"  {escape(title):<32} {url}", highlight=False, soft_wrap=True)
