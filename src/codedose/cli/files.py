"""The later stages one by one, on plain files: items, tune, generate, analyse; score has a file of its own.

Training and asking take their settings from a study file. What the other stages need is said on the
command line; where an option has a default, the help says it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from codedose.cli import analysed, scored
from codedose.cli.means import Checkpointing, Processes, ReportTo, Sharded, States, means_of
from codedose.cli.show import AsJson, Out, named, say, say_progress
from codedose.errors import DataError, StudyError

if TYPE_CHECKING:
    import polars as pl

    from codedose.tasks.task import Task

ForStudy = Annotated[Path, typer.Option("--study", metavar="STUDY", help="the study file with the settings")]


def items(
    task: Annotated[str, typer.Argument(help="a task's name ('codedose tasks' lists them), or your own task file")],
    count: Annotated[int, typer.Option(min=1, help="how many items")],
    out: Out,
    seed_name: Annotated[str, typer.Option("--name", help="the set's name: another name gives other items")],
    level: Annotated[int | None, typer.Option(min=1, max=4, help="difficulty of generated items")] = None,
    official: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="official items instead: a file, a folder, or owner/name#path of a hub dataset"
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="of a hub dataset its 40-digit commit")] = None,
    apart_from: Annotated[
        list[Path] | None, typer.Option(metavar="ITEMS", help="earlier items.parquet that share no question with it")
    ] = None,
    as_: Annotated[
        Literal["items", "lm-eval"], typer.Option("--as", help="lm-eval: OUT is a folder with a task for it")
    ] = "items",
    limit: Annotated[int, typer.Option(min=1, help="for lm-eval: the most tokens of a reply")] = 256,
    template: Annotated[
        Literal["chatml", "vicuna", "alpaca"] | None,
        typer.Option(help="for lm-eval: write prompts in it; left out: for --apply_chat_template"),
    ] = None,
    json: AsJson = False,
) -> None:
    """A task -> items.parquet: generated ones of a level, official ones, or your own; or a task for lm-eval."""
    from codedose import tables
    from codedose.cli.lists import is_task_file
    from codedose.tasks import task_named
    from codedose.tasks.lm_eval import write_task
    from codedose.tasks.own import read_task

    own = is_task_file(task)
    if own + (level is not None) + (official is not None) != 1:
        raise StudyError("say either --level (generated items) or --official FILE, and neither with your own task file")
    if own and (as_ != "items" or apart_from):
        raise StudyError("--as lm-eval and --apart-from are for built-in tasks")
    known = read_task(Path(task)) if own else task_named(task)
    told: dict[str, Any] = {}
    if own:
        frame = items_of(known, count, seed_name)
    elif official is not None:
        frame, told = official_ones(known, at_commit(official, revision), count, seed_name, out, apart_from)
    else:
        frame, told = fresh_ones(known, int(level or 1), count, seed_name, apart_from or [])
    if as_ == "lm-eval":
        write_task(known, frame, out, limit=limit, template=template, ask=asking(template))
    else:
        tables.write(frame, out, tables.ITEMS)
    say({"items": len(frame), **told, "out": str(out)}, json, [("items", len(frame)), *told.items()])


def asking(template: str | None) -> Callable[[str], str]:
    """What writes a prompt in a template, up to where the reply begins; without one it stays as it is."""
    from codedose.prompt import request

    return (lambda text: request(text, template)) if template else (lambda text: text)


def at_commit(path: str, revision: str | None) -> str:
    """A hub dataset's name with its commit: owner/name@COMMIT#path."""
    name, sign, inside = path.partition("#")
    return path if revision is None else f"{name}@{revision}{sign}{inside}"


def official_ones(
    task: "Task", path: str, count: int, seed_name: str, out: Path, apart_from: Sequence[Path] | None
) -> tuple["pl.DataFrame", dict[str, Any]]:
    """Official items, and how many left for which reason; each of those is listed beside OUT."""
    from codedose import tables
    from codedose.tasks.official import official

    if apart_from:
        raise StudyError("--apart-from is for generated items: official ones are what they are")
    frame, drops = official(task, path, count=count, seed_name=seed_name)
    listed = out.with_suffix(".drops.parquet")
    if len(drops):
        tables.write(drops, listed, tables.DROPS)
    kinds = drops.group_by(drops["reason"].str.split(":").list.first().alias("kind")).len().sort("kind").rows()
    return frame, {"dropped": dict(kinds), **({"drops": str(listed)} if len(drops) else {})}


def fresh_ones(
    task: "Task", level: int, count: int, seed_name: str, apart_from: Sequence[Path]
) -> tuple["pl.DataFrame", dict[str, Any]]:
    """Generated items, and what is known of their level: how many there are, and what a constant answer gets."""
    from codedose import tables
    from codedose.tasks.task import chance
    from codedose.tasks.twins import generated, space

    earlier = {question for path in apart_from for question in tables.read(path, tables.ITEMS)["question"]}
    frame = generated(task, seed_name=seed_name, level=level, count=count, apart=earlier)
    told: dict[str, Any] = {"different questions at this level": str(space(task, level))}
    told["chance"] = f"{chance(task, level):.1%} at most, by one constant answer"
    if apart_from:
        told["also in the earlier sets"] = int(frame["question"].is_in(sorted(earlier)).sum())
    return frame, told


def items_of(task: "Task", count: int, seed_name: str) -> "pl.DataFrame":
    """Items of a task of one's own, whose answers the task can read."""
    from codedose.tasks.own import own_items, refuse_unreadable

    frame = own_items(Path(str(task.items)), task=task.name, domain=task.domain, count=count, seed_name=seed_name)
    refuse_unreadable(task, frame, count=count)
    return frame


def tune(
    draws: Annotated[Path, typer.Argument(metavar="DRAWS", help="draws.parquet")],
    study: ForStudy,
    arm: Annotated[str, typer.Option(help="the arm")],
    draw: Annotated[int, typer.Option(min=0, help="the draw")],
    seed: Annotated[int, typer.Option(min=0, help="the seed")],
    backbone: Annotated[str, typer.Option(help="the backbone's name in the study")],
    out: Out,
    checkpointing: Checkpointing = False,
    states: States = "whole",
    processes: Processes = 1,
    sharded: Sharded = False,
    report_to: ReportTo = None,
    json: AsJson = False,
) -> None:
    """Draws and a backbone -> a folder with checkpoint/ and training.parquet, as the study says."""
    import tempfile
    from dataclasses import asdict

    import polars as pl

    from codedose import stages, tables
    from codedose.plan import Planner
    from codedose.study import load

    loaded = load(study)
    means = means_of(
        checkpointing,
        states,
        report_to,
        project=loaded.name,
        folder=out / "trackers",
        processes=processes,
        sharded=sharded,
    )
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
            how=planner.how(chosen),
            prompt=planner.prompt,
            backbone=planner.inputs.loadable(chosen),
            means=asdict(means),
        )
    losses = tables.read(out / "training.parquet", tables.TRAINING)["loss"]
    told = {"steps": len(losses), "first_loss": losses[0], "last_loss": losses[-1], "out": str(out)}
    say(told, json, list(told.items()))


def merge(
    adapter: Annotated[Path, typer.Argument(metavar="ADAPTER", help="the folder of a LoRA adapter, as PEFT keeps it")],
    onto: Annotated[
        str, typer.Option("--onto", metavar="BACKBONE", help="as a study names it: builtin:..., a folder, a hub id")
    ],
    out: Out,
    revision: Annotated[str | None, typer.Option(help="for a hub id the 40-digit commit")] = None,
    dtype: Annotated[str, typer.Option(help="of the merged weights: float32 or bfloat16")] = "float32",
    json: AsJson = False,
) -> None:
    """An adapter and its backbone -> one checkpoint that plain transformers loads. Merged in float32."""
    from codedose.joined import adapter_settings, keep_merged, located

    if dtype not in ("float32", "bfloat16"):
        raise StudyError(f"--dtype {dtype}: must be float32 or bfloat16")
    if out.exists() and any(out.iterdir()):
        raise StudyError(f"{out}: is not empty; choose another folder")
    base, found = located(str(adapter), {"model": onto, "revision": revision})
    if found is None:
        raise StudyError(f"{adapter}: is no adapter but a checkpoint already")
    out.mkdir(parents=True, exist_ok=True)
    keep_merged(found, base, adapter_settings(found), out, dtype)
    say({"out": str(out)}, json, [("out", str(out))])


def generate(
    model: Annotated[str, typer.Argument(help="a folder with a checkpoint or an adapter, or a backbone of the study")],
    items: Annotated[Path, typer.Argument(metavar="ITEMS", help="items.parquet of one task")],
    study: ForStudy,
    out: Out,
    backbone: Annotated[str, typer.Option(help="the study's backbone that an adapter was trained on")] = "",
    json: AsJson = False,
) -> None:
    """A checkpoint and items -> completions.parquet, asked as the study says."""
    import shutil
    import tempfile

    from codedose import stages, tables
    from codedose.plan import Planner
    from codedose.study import load
    from codedose.tasks.task import words_of

    loaded = load(study)
    planner = Planner(loaded, study.parent)
    known = next((each for each in loaded.backbones if each.name == model), None)
    base = named(loaded.backbones, backbone, "--backbone") if backbone else known
    asked = tables.read(items, tables.ITEMS)
    names = asked["task"].unique().to_list()
    task = next((task for task in planner.uses if [task.name] == names), None)
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
            words=words_of(planner.tasks[task.name]),
            max_new_tokens=task.limit,
            how=planner.asking,
            prompt=planner.prompt,
            backbone=planner.inputs.loadable(base) if base else {"model": model, "revision": None},
            checkpoint=model if backbone else None,
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(Path(folder) / "completions.parquet", out)
    written = len(asked) * loaded.generate.samples
    say({"completions": written, "out": str(out)}, json, [("completions", written)])


COMMANDS: tuple[Any, ...] = (items, tune, merge, generate, scored.score, analysed.analyse)
