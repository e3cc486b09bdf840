"""The command line: parse, call, print.

Exit codes: 0 done; 2 wrong use or study file; 3 some steps failed; 4 this machine is not ready; 130 interrupted.
"""

import os
import sys

import typer

from codedose.cli import arms, files, labels, power, recommended, studies, upkeep
from codedose.cli.show import plain, plain_lines
from codedose.errors import CodedoseError
from codedose.runner.secrets import redact, secret_values

INTERRUPTED = 130

app = typer.Typer(
    name="codedose",
    help="How does the share of code in the instruction-tuning mix change a model's reasoning?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

STUDIES = (
    *studies.COMMANDS[:2],
    *power.COMMANDS,
    *studies.COMMANDS[2:4],
    *upkeep.COMMANDS,
    *recommended.COMMANDS,
    *studies.COMMANDS[4:],
)
STAGES = (
    *arms.COMMANDS[:1],
    *labels.COMMANDS,
    *arms.COMMANDS[1:],
    *files.COMMANDS,
    *recommended.STAGES,
)  # in the order of the story
for panel, commands in (("A study from its file", STUDIES), ("One stage on plain files", STAGES)):
    for command in commands:
        app.command(rich_help_panel=panel)(command)


def main() -> None:
    """Run the command line; what a person can mend is one sentence and an exit code, never a traceback."""
    try:
        app()
    except CodedoseError as problem:
        print(f"codedose: {plain_lines(redact(str(problem), secret_values(os.environ)))}", file=sys.stderr)
        sys.exit(problem.exit_code)
    except SystemExit as end:
        if end.code == INTERRUPTED:  # typer hears Ctrl-C first, and says nothing
            print("codedose: interrupted; the same command goes on", file=sys.stderr)
        raise
    except OSError as problem:
        where = plain(problem.filename or "this machine")
        why = redact(str(problem.strerror or problem), secret_values(os.environ))
        print(f"codedose: {where}: {plain(why)}", file=sys.stderr)
        sys.exit(4)
