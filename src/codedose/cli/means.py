"""The options that say how trainings are done on this machine; what is trained stands in the study file."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codedose.errors import StudyError

if TYPE_CHECKING:
    from codedose.tune.means import Means

PANEL = "How trainings are done (what is trained stands in the study file)"
Checkpointing = Annotated[
    bool, typer.Option("--checkpointing", help="compute layers twice instead of keeping them", rich_help_panel=PANEL)
]
States = Annotated[
    str, typer.Option("--states", help="the optimiser's states: whole, or 8bit (bitsandbytes)", rich_help_panel=PANEL)
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option("--report-to", help="tensorboard, wandb, mlflow or trackio (repeatable)", rich_help_panel=PANEL),
]


def means_of(checkpointing: bool, states: str, report_to: list[str] | None, *, project: str, folder: Path) -> "Means":
    """The options as tune.means has them; StudyError names one that is wrong.

    A tracker that is not installed is told now: later it can only be silent.
    """
    from codedose.tune.means import TRACKERS, Means

    if states not in ("whole", "8bit"):
        raise StudyError(f"--states {states}: must be whole or 8bit")
    if states == "8bit" and find_spec("bitsandbytes") is None:
        raise StudyError("--states 8bit: bitsandbytes is not installed: pip install 'codedose[8bit]'")
    for name in report_to or ():
        if name not in TRACKERS:
            raise StudyError(f"--report-to {name}: must be one of {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            print(f"{name} is not installed and will hear nothing: pip install 'codedose[{name}]'", file=sys.stderr)
    return Means(checkpointing, states, tuple(report_to or ()), project, str(folder.absolute()))  # type: ignore[arg-type]
