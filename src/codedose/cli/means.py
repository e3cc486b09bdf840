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
Processes = Annotated[
    int,
    typer.Option("--processes", min=1, help="that share one training, on GPUs or CPUs", rich_help_panel=PANEL),
]
Sharded = Annotated[
    bool, typer.Option("--sharded", help="each of them holds a part of every tensor (FSDP2)", rich_help_panel=PANEL)
]
Together = Annotated[
    str,
    typer.Option(
        "--together",
        help="adapters of one backbone in the same passes: measured (where faster, on a GPU), never or always",
        rich_help_panel=PANEL,
    ),
]
ReportTo = Annotated[
    list[str] | None,
    typer.Option("--report-to", help="tensorboard, wandb, mlflow or trackio (repeatable)", rich_help_panel=PANEL),
]


def means_of(
    checkpointing: bool,
    states: str,
    report_to: list[str] | None,
    *,
    project: str,
    folder: Path,
    processes: int = 1,
    sharded: bool = False,
    together: str = "never",
) -> "Means":
    """The options as tune.means has them; StudyError names one that is wrong.

    A tracker that is not installed is told now: later it can only be silent.
    """
    from codedose.tune.means import TRACKERS, Means

    for option, value, known in (
        ("--states", states, ("whole", "8bit")),
        ("--together", together, ("measured", "never", "always")),
        *(("--report-to", name, TRACKERS) for name in report_to or ()),
    ):
        if value not in known:
            raise StudyError(f"{option} {value}: must be one of {', '.join(known)}")
    if states == "8bit" and find_spec("bitsandbytes") is None:
        raise StudyError("--states 8bit: bitsandbytes is not installed: pip install 'codedose[8bit]'")
    if sharded and (processes == 1 or states == "8bit"):
        raise StudyError("--sharded: needs --processes 2 or more, and the optimiser's states whole")
    for name in report_to or ():
        if find_spec(name) is None:
            print(f"{name} is not installed and will hear nothing: pip install 'codedose[{name}]'", file=sys.stderr)
    return Means(
        checkpointing=checkpointing,
        states=states,  # type: ignore[arg-type]
        processes=processes,
        sharded=sharded,
        together=together,  # type: ignore[arg-type]
        report_to=tuple(report_to or ()),
        project=project,
        folder=str(folder.absolute()),
    )
