"""The page of the commands, from the command line itself: `python docs/commands.py` writes docs/commands.md."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import typer.main

from codedose.cli import app

PAGE = Path(__file__).with_name("commands.md")
HEAD = """# Every command

This page is written by `docs/commands.py` from the command line itself, and a test compares the two. The same stands in
`codedose COMMAND --help`.

Exit codes: 0 done; 2 wrong use or study file; 3 some steps failed; 4 this machine is not ready; 130 interrupted.
"""


def page() -> str:
    """The whole page as Markdown: the commands under their panels, in the order of the command line."""
    commands = typer.main.get_command(app).commands.values()  # type: ignore[attr-defined]
    panels = groupby(commands, key=lambda command: command.rich_help_panel)
    parts = [part for title, under in panels for part in (f"## {title}", *map(described, under))]
    return "\n\n".join([HEAD.strip(), *parts]) + "\n"


def described(command: Any) -> str:
    """One command: what it does, how it is called, what it takes."""
    context = command.context_class(command, info_name=f"codedose {command.name}")
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    called = " ".join(["codedose", command.name, *(placed(each, context) for each in arguments), "[OPTIONS]"])
    paragraphs = [" ".join(each.split()).replace("<", "&lt;") for each in command.help.split("\n\n")]
    rows = tabled(each.get_help_record(context) for each in command.params)
    return "\n\n".join([f"### codedose {command.name}", *paragraphs, f"```text\n{called}\n```", rows])


def placed(argument: Any, context: Any) -> str:
    """An argument as it stands in the line that calls the command."""
    name: str = argument.get_help_record(context)[0].split()[0].strip("[]")
    return name if argument.required else f"[{name}]"


def tabled(records: Iterable[tuple[str, str] | None]) -> str:
    """Names and what they mean, as a Markdown table."""
    cells = [
        (f"`{name}`".replace("|", r"\|"), text.replace("|", r"\|").replace("<", "&lt;"))
        for name, text in filter(None, records)
    ]
    rows = [f"| {name} | {text} |" for name, text in cells]
    return "\n".join(["| argument or option | meaning |", "|---|---|", *rows])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
