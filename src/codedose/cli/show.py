"""How things look in a terminal: tables, progress with time left, or plain lines where it is no terminal."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from codedose.errors import StudyError
from codedose.runner.failures import NAMES
from codedose.runner.schedule import Teller
from codedose.runner.step import Step
from codedose.runner.tries import Failure

AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of text")]
Out = Annotated[Path, typer.Option("--out", metavar="PATH", help="where to write")]
WHY = 200  # signs of a reason in a line of progress
ENOUGH = 0.03  # of the expected work, before the time left is told


def as_json(value: object) -> None:
    """Print `value` as one JSON document, in which what a terminal would obey is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    print("\n".join(line if line.isprintable() else "".join(map(escaped, line)) for line in text.split("\n")))


def escaped(sign: str) -> str:
    """One sign of a JSON text, as \\uXXXX where it does not print."""
    if sign.isprintable():
        return sign
    return json.dumps(sign)[1:-1] if sign > "\x7f" else f"\\u{ord(sign):04x}"


def plain(text: object) -> str:
    """Text from strangers without the control characters that a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in str(text))


def plain_lines(text: object) -> str:
    """Several lines from strangers, each plain."""
    return "\n".join(map(plain, str(text).split("\n")))


def as_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under headings; numbers stand to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(plain(title)) if title else None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], int | float) for row in rows)
        table.add_column(Text(plain(name)), justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(short(cell)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def say(value: object, json: bool, rows: Sequence[Sequence[Any]], columns: Sequence[str] = ("", "count")) -> None:
    """Print a result as JSON or as a table."""
    if json:
        as_json(value)
    else:
        as_table("", columns, rows)


def named(known: Sequence[Any], name: str, option: str) -> Any:
    """The one of a study's backbones or arms that has this name; StudyError that lists them."""
    for each in known:
        if each.name == name:
            return each
    raise StudyError(f"{option} {name}: the study knows {', '.join(each.name for each in known)}")


def say_progress(done: int, of: int, note: str) -> None:
    """One line a step on standard error, so that standard output stays clean."""
    print(f"{done}/{of} {plain(note)}", file=sys.stderr, flush=True)


def short(cell: object) -> str:
    return f"{cell:,.4g}" if isinstance(cell, float) else plain("" if cell is None else cell)


def span(seconds: float) -> str:
    """A duration in the largest units that matter."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


class Lines(Teller):
    """Tells a run in plain lines, one an event, for logs and pipes."""

    def __init__(self) -> None:
        self.total = self.done = 0
        self.left = self.all = 0.0
        self.begun: dict[str, float] = {}
        self.began = time.monotonic()

    def planned(self, steps: Sequence[Step]) -> None:
        self.total, self.done, self.all = len(steps), 0, sum(step.weight for step in steps)
        self.left, self.began = self.all, time.monotonic()
        self.say(f"{self.total} steps to run" if steps else "every step is done already")

    def started(self, step: Step) -> None:
        self.begun[step.key] = time.monotonic()

    def again(self, step: Step, failure: Failure) -> None:
        begun = self.begun.pop(step.key, time.monotonic())
        took = span(time.monotonic() - begun)
        why = plain(failure.reason)[:WHY]
        self.say(f"{step.kind} {plain(step.label)} failed in {took} ({NAMES[failure.kind]}: {why}); it is tried again")

    def ended(self, step: Step, failure: Failure | None) -> None:
        self.done += 1
        self.left -= step.weight
        took = span(time.monotonic() - self.begun.pop(step.key, time.monotonic()))
        word = "failed" if failure else "done"
        ahead = f", about {span(self.ahead)} left" if self.ahead else ""
        self.say(f"[{self.done}/{self.total}] {word} {step.kind} {plain(step.label)} in {took}{ahead}")

    @property
    def ahead(self) -> float:
        """Expected seconds left, from the work done so far; 0 while too little is done to tell."""
        worked = self.all - self.left
        told = worked > ENOUGH * self.all and self.left > 0
        return (time.monotonic() - self.began) * self.left / worked if told else 0.0

    def say(self, line: str) -> None:
        print(line, flush=True)


class Bars(Lines):
    """Tells a run in a terminal: one bar for the study and one for each running step."""

    def __init__(self) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        super().__init__()
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        self.progress = Progress(*columns, transient=True)
        self.bars: dict[str, Any] = {}

    def planned(self, steps: Sequence[Step]) -> None:
        super().planned(steps)
        if steps:
            self.progress.start()
            self.whole = self.progress.add_task(f"{len(steps)} steps", total=self.all, note="")

    def started(self, step: Step) -> None:
        super().started(step)
        if step.key in self.bars:  # it was put off after it had begun
            self.progress.remove_task(self.bars.pop(step.key))
        name = f"  {step.kind} {plain(step.label)}"
        self.bars[step.key] = self.progress.add_task(name, total=None, note="")

    def moved(self, step: Step, done: int, of: int, note: str) -> None:
        if step.key in self.bars:
            self.progress.update(self.bars[step.key], completed=done, total=of, note=f"{done}/{of} {plain(note)}")

    def again(self, step: Step, failure: Failure) -> None:
        self.progress.remove_task(self.bars.pop(step.key))
        super().again(step, failure)

    def ended(self, step: Step, failure: Failure | None) -> None:
        self.progress.remove_task(self.bars.pop(step.key))
        super().ended(step, failure)
        self.progress.update(
            self.whole, completed=self.all - self.left, note=f"about {span(self.ahead)} left" if self.ahead else ""
        )
        if self.done == self.total:
            self.close()

    def say(self, line: str) -> None:
        self.progress.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Give the terminal back."""
        self.progress.stop()
