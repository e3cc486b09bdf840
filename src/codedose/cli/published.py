"""What `codedose report --as` writes: a finished study for a paper, for a program, or for the Hub."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from codedose.plan import Planner
    from codedose.runner.store import Store

Form = Literal["html", "markdown", "latex", "json", "cards"]
As = Annotated[
    Form,
    typer.Option(
        "--as",
        help="besides the HTML file: tables and figures to paste (markdown, latex), all numbers (json), or a dataset "
        "card with the draws and a model card for each checkpoint (cards)",
    ),
]
PaperOut = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="where --as writes; default: NAME-FORM beside the study")
]


def publish(planner: "Planner", store: "Store", form: Form, out: Path) -> list[Path]:
    """The files that were written, the first to read first; none for html, whose file lies in the store."""
    from codedose.stages.papers import write_paper

    if form == "html":
        return []
    told = planner.steps[-1]
    inputs = store.all_here([need.folder for need in told.needs])
    settings: dict[str, Any] = dict(told.settings)
    if form == "cards":
        from codedose.stages.cards import write_cards

        mixes = store.all_here([step.folder for step in planner.draws.values()])
        return write_cards(out, inputs, mixes, **settings)
    return write_paper(form, out, inputs, **settings)
