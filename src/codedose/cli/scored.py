"""Replies -> verdicts, from wherever the replies come: plain files, completions tables, other harnesses' logs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from codedose.cli.show import AsJson, Out, named, say
from codedose.errors import StudyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from codedose.tasks.task import Task


def score(
    replies: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSONL or Parquet: task, question, answer, text, ...; or logs"),
    ],
    out: Out,
    harness: Annotated[str, typer.Option("--from", help="FILE... are logs of this harness: lm-eval, inspect")] = "",
    task: Annotated[str, typer.Option(help="the task of the logs, where they call it otherwise")] = "",
    items: Annotated[Path | None, typer.Option(help="the items, where FILE is a completions table")] = None,
    study: Annotated[Path | None, typer.Option(help="the study that knows the backbone and the arm")] = None,
    backbone: Annotated[str, typer.Option(help="the backbone; with it, a scores table for analyse")] = "",
    family: Annotated[str, typer.Option(help="its family, where no study says it")] = "",
    scale: Annotated[float | None, typer.Option(min=0, help="its billions of parameters, where no study does")] = None,
    arm: Annotated[str, typer.Option(help="the arm; left out: the untuned backbone")] = "",
    share: Annotated[float | None, typer.Option(min=0, max=1, help="the arm's share of code, without a study")] = None,
    draw: Annotated[int, typer.Option(min=0, help="the draw")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="the seed")] = 0,
    own: Annotated[list[Path] | None, typer.Option(metavar="TASK", help="your own task file; again for more")] = None,
    json: AsJson = False,
) -> None:
    """Replies from anywhere -> verdicts; with --backbone, a scores table for analyse.

    FILE is plain replies, or a completions table (with --items, --study and --backbone), or logs of another harness
    (with --from). All three readings are judged where the replies allow it, and no model is run.
    """
    from codedose import tables

    tasks = tasks_of(study, own or [])
    cell = (
        cell_of(study, backbone, arm, draw, seed)
        if study
        else cell_said(backbone, family, scale, arm, share, draw, seed)
    )
    if items is not None:
        frame, repeated = scores_of(replies, items, cell, tasks), 0
    else:
        frame, repeated = verdicts(replies, harness, task, cell, tasks)
    if cell:
        tables.write(frame, out, tables.SCORES)
    else:
        frame.write_parquet(out)
    counts = frame.group_by("reading", "outcome").len().sort("reading", "outcome").rows()
    told = [("left out", "asks the same as an earlier item", repeated)] if repeated else []
    say(
        [dict(zip(("reading", "outcome", "count"), row, strict=True)) for row in [*counts, *told]],
        json,
        [*counts, *told],
    )


def tasks_of(study: Path | None, files: list[Path]) -> "Sequence[Task]":
    """The built-in tasks, those of these files, and a study's own."""
    from codedose.plan import Planner
    from codedose.study import load
    from codedose.tasks import TASKS
    from codedose.tasks.own import read_task

    found = Planner(load(study), study.parent).tasks.values() if study else ()
    return (*TASKS, *map(read_task, files), *(task for task in found if task not in TASKS))


def verdicts(
    replies: list[Path], harness: str, task: str, cell: dict[str, object] | None, tasks: "Sequence[Task]"
) -> tuple["pl.DataFrame", int]:
    """The scored table of replies or logs, and how many replies were left out for asking what an earlier one asks."""
    import polars as pl

    from codedose import logs
    from codedose.score import read_replies, score_in_cell, score_replies

    if task and not harness:
        raise StudyError("--task names the task of logs; plain replies have a column for it")
    if harness:
        frame = logs.replies_of(replies, harness, task or None, tasks)
    else:
        frame = pl.concat([read_replies(path) for path in replies], how="diagonal_relaxed")
    return score_in_cell(frame, cell=cell, tasks=tasks) if cell else (score_replies(frame, tasks=tasks), 0)


def cell_of(study: Path, backbone: str, arm: str, draw: int, seed: int) -> dict[str, object]:
    """The columns of a study's cell; StudyError that lists its backbones or arms."""
    from codedose.cells import Cell, arms_of
    from codedose.study import load

    loaded = load(study)
    model = named(loaded.backbones, backbone, "--backbone")
    folders = {each.place: each.checkpoint for each in loaded.joined or ()}
    checkpoint = folders.get((backbone, arm, draw, seed))
    cell = Cell(model, named(arms_of(loaded), arm, "--arm"), draw, seed, checkpoint) if arm else Cell(model)
    return {**cell.columns, "measured_dose": None}


def cell_said(
    backbone: str, family: str, scale: float | None, arm: str, share: float | None, draw: int, seed: int
) -> dict[str, object] | None:
    """The columns of a cell that no study knows; None where nothing is said of it."""
    if not (backbone or family or arm or scale is not None or share is not None):
        return None
    if not backbone or not family or scale is None:
        raise StudyError("a scores table needs --backbone, --family and --scale, or a --study that knows the backbone")
    if share is not None and not arm:
        raise StudyError("--share is an arm's; say --arm NAME, or leave both out for the untuned backbone")
    from codedose.tables import UNTUNED

    name = f"{backbone}/{arm}/d{draw}/s{seed}" if arm else f"{backbone}/{UNTUNED}"
    told = {"cell": name, "backbone": backbone, "family": family, "scale": scale, "arm": arm or UNTUNED}
    which = {"draw": draw if arm else None, "seed": seed if arm else None}
    return {**told, "share": share, "measured_dose": None, **which}


def scores_of(
    completions: list[Path], items: Path, cell: dict[str, object] | None, tasks: "Sequence[Task]"
) -> "pl.DataFrame":
    """The scores table of a completions table, whose cell's name becomes the given one."""
    import polars as pl

    from codedose import tables
    from codedose.score import score as judged

    if cell is None or len(completions) != 1:
        raise StudyError("--items goes with one completions table, a --study and a --backbone of it")
    named = tables.read(completions[0], tables.COMPLETIONS).with_columns(cell=pl.lit(cell["cell"]))
    return judged(named, tables.read(items, tables.ITEMS), cell=cell, tasks=tasks)
