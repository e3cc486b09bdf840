"""The later stages one by one, on plain files: items, tune, generate, analyse; score has a file of its own.

Training and asking take their settings from a study file. What the other stages need is said on the
command line; where an option has a default, the help says it.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from codedose.cli import scored
from codedose.cli.show import AsJson, Out, named, say, say_progress
from codedose.errors import DataError, StudyError

ForStudy = Annotated[Path, typer.Option("--study", metavar="STUDY", help="the study file with the settings")]


def items(
    task: Annotated[str, typer.Argument(help="a task's name; 'codedose tasks' lists them")],
    count: Annotated[int, typer.Option(min=1, help="how many items")],
    out: Out,
    seed_name: Annotated[str, typer.Option("--name", help="the set's name: another name gives other items")],
    level: Annotated[int | None, typer.Option(min=1, max=4, help="difficulty of generated items")] = None,
    official: Annotated[Path | None, typer.Option(help="a file of official items instead")] = None,
    json: AsJson = False,
) -> None:
    """A task -> items.parquet: generated ones of a level, or official ones from a file."""
    from codedose import tables
    from codedose.tasks import task_named
    from codedose.tasks.official import official as read_official
    from codedose.tasks.twins import generated

    if (level is None) == (official is None):
        raise StudyError("say either --level (generated items) or --official FILE")
    if official is not None:
        frame, drops = read_official(task_named(task), official, count=count, seed_name=seed_name)
        dropped = drops.group_by("reason").len().sort("reason").rows()
    else:
        frame, dropped = generated(task_named(task), seed_name=seed_name, level=int(level or 1), count=count), []
    tables.write(frame, out, tables.ITEMS)
    say({"items": len(frame), "dropped": dict(dropped), "out": str(out)}, json, [("items", len(frame)), *dropped])


def tune(
    draws: Annotated[Path, typer.Argument(metavar="DRAWS", help="draws.parquet")],
    study: ForStudy,
    arm: Annotated[str, typer.Option(help="the arm")],
    draw: Annotated[int, typer.Option(min=0, help="the draw")],
    seed: Annotated[int, typer.Option(min=0, help="the seed")],
    backbone: Annotated[str, typer.Option(help="the backbone's name in the study")],
    out: Out,
    json: AsJson = False,
) -> None:
    """Draws and a backbone -> a folder with checkpoint/ and training.parquet, as the study says."""
    import tempfile

    import polars as pl

    from codedose import stages, tables
    from codedose.plan import Planner
    from codedose.study import load

    loaded = load(study)
    chosen = named(loaded.backbones, backbone, "--backbone")
    frame = tables.read(draws, tables.DRAWS).filter((pl.col("arm") == arm) & (pl.col("draw") == draw))
    if frame.is_empty():
        raise DataError(f"{draws}: holds no arm {arm!r} with draw {draw}")
    out.mkdir(parents=True, exist_ok=True)
    planner = Planner(loaded, study.parent)
    with tempfile.TemporaryDirectory() as folder:
        tables.write(frame, Path(folder) / "draws.parquet", tables.DRAWS)
        stages.tune_step(
            [Path(folder)],
            out,
            progress=say_progress,
            cell=f"{backbone}/{arm}/d{draw}/s{seed}",
            seed=seed,
            how=planner.how,
            prompt=planner.prompt,
            backbone=planner.loadable(chosen),
        )
    losses = tables.read(out / "training.parquet", tables.TRAINING)["loss"]
    told = {"steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1], "out": str(out)}
    say(told, json, list(told.items()))


def generate(
    model: Annotated[str, typer.Argument(help="a checkpoint folder, or a backbone of the study")],
    items: Annotated[Path, typer.Argument(metavar="ITEMS", help="items.parquet of one task")],
    study: ForStudy,
    out: Out,
    json: AsJson = False,
) -> None:
    """A checkpoint and items -> completions.parquet, asked as the study says."""
    import shutil
    import tempfile

    from codedose import stages, tables
    from codedose.plan import Planner
    from codedose.study import load

    loaded = load(study)
    planner = Planner(loaded, study.parent)
    known = next((each for each in loaded.backbones if each.name == model), None)
    asked = tables.read(items, tables.ITEMS)
    names = asked["task"].unique().to_list()
    task = next((task for task in loaded.tasks if [task.name] == names), None)
    if task is None:
        raise DataError(f"{items}: must hold the items of one task of the study, not of {', '.join(names) or 'none'}")
    with tempfile.TemporaryDirectory() as folder:
        tables.write(asked, Path(folder) / "items.parquet", tables.ITEMS)
        stages.generate_step(
            [Path(folder)],
            Path(folder),
            progress=say_progress,
            cell=model,
            task=task.name,
            max_new_tokens=task.max_new_tokens,
            how=planner.asking,
            prompt=planner.prompt,
            backbone=planner.loadable(known) if known else {"model": model, "revision": None},
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / "completions.parquet", out)
    written = len(asked) * loaded.generate.samples
    say({"completions": written, "out": str(out)}, json, [("completions", written)])


def analyse(
    scores: Annotated[list[Path], typer.Argument(metavar="SCORES...", help="one scores.parquet or several")],
    out: Out,
    study: Annotated[Path | None, typer.Option(help="the study that named the primary contrast beforehand")] = None,
    confidence: Annotated[float, typer.Option(help="of the intervals, where no study says it")] = 0.95,
    partial: Annotated[bool, typer.Option("--partial", help="analyse what is complete of an incomplete grid")] = False,
    json: AsJson = False,
) -> None:
    """Scores -> effects.parquet: contrasts, trends, best share. Without a study everything is secondary."""
    import polars as pl

    from codedose import tables
    from codedose.analyse.effects import effects
    from codedose.study import load

    asked = load(study).analyse if study else None
    found = effects(
        pl.concat([tables.read(path, tables.SCORES) for path in scores]),
        primary=(asked.primary.arm, asked.primary.against) if asked else None,
        reading=asked.reading if asked else None,
        confidence=asked.confidence if asked else confidence,
        margin=asked.margin if asked else None,
        consistency=(asked.consistency.consistent, asked.consistency.opposite) if asked else None,
        partial=partial,
    )
    tables.write(found, out, tables.EFFECTS)
    shown = found.filter((pl.col("view") != "task") & pl.col("family").is_null())
    columns = ("of", "contrast", "reading", "estimate", "low", "high", "p_adjusted")
    say(found.to_dicts(), json, shown.select(columns).rows(), columns)


COMMANDS: tuple[Any, ...] = (items, tune, generate, scored.score, analyse)
