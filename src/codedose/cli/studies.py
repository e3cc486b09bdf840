"""The commands on a study file: new, plan, run, report, and what there is to choose from."""

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.engines import HERE, Address, Asked, Engine, Patience, asked_for, engine_of, offered
from codedose.cli.means import Checkpointing, Processes, ReportTo, Sharded, States, Together, means_of
from codedose.cli.power import Like, likeness_of, read
from codedose.cli.published import As, PaperOut
from codedose.cli.show import AsJson
from codedose.errors import CodedoseError, StudyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from codedose.plan import Planner
    from codedose.runner.schedule import Outcome, Teller
    from codedose.runner.store import Store
    from codedose.tune.means import Means

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="the study file (YAML)")]
StorePath = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|URL",
        help="the store: a folder, or s3://bucket/folder and such; default: beside the study",
    ),
]
Cores = Annotated[int | None, typer.Option(min=1, help="CPU cores to use; default: all")]
Gpus = Annotated[int | None, typer.Option(min=0, help="GPUs to use; default: all")]


def new(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="the study file to write")],
    json: AsJson = False,
) -> None:
    """Write a study file to start from: the quickstart, with comments."""
    from codedose.cli.show import as_json
    from codedose.study import parse

    text = (Path(__file__).parents[1] / "start.yaml").read_text(encoding="utf-8")
    text = text.replace("name: quickstart\n", f"name: {path.stem}\n", 1)
    parse(text, str(path))  # the file's name becomes the study's: refuse one that cannot
    text = text.replace("item_set: quickstart", f"item_set: {path.stem}")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise StudyError(f"{path}: is there already; choose another name") from None
    if json:
        as_json({"study": str(path)})
    else:
        print(f"wrote {path}; change what you like, then: codedose plan {path}")


def plan(
    study: StudyFile,
    store: StorePath = None,
    cores: Cores = None,
    gpus: Gpus = None,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="try each backbone for some seconds: asking it and a few training steps")
    ] = False,
    like: Like = None,
    checkpointing: Checkpointing = False,
    states: States = "whole",
    json: AsJson = False,
) -> None:
    """The dry run: cells, steps and why they would run, cost, power, and what is missing here."""
    from codedose.cli.planned import describe, proposals, tell, trainings

    opened = store_of(study, store)
    planner = planner_of(study, opened, cores, gpus)
    means = means_of(checkpointing, states, None, project=planner.study.name, folder=opened.root)
    tried = {
        "trainings": trainings(planner, opened, means) if calibrate else {},
        "batches": proposals(planner) if calibrate else {},
    }
    earlier = likeness_of(read(like), planner.study.analyse.reading) if like else None
    tell({**describe(planner, opened, earlier), **tried}, as_json=json)


def run(
    study: StudyFile,
    store: StorePath = None,
    cores: Cores = None,
    gpus: Gpus = None,
    checkpointing: Checkpointing = False,
    states: States = "whole",
    processes: Processes = 1,
    sharded: Sharded = False,
    together: Together = "measured",
    report_to: ReportTo = None,
    engine: Engine = HERE.engine,
    address: Address = None,
    wait_for_nodes: Patience = HERE.patience,
    json: AsJson = False,
) -> None:
    """Run a study, or go on with it: what is done is never done again."""
    from functools import partial

    from codedose.cli.ran import conclude, make_ready
    from codedose.cli.show import Bars, Lines
    from codedose.runner.place import is_url

    asked = asked_for(engine, address, wait_for_nodes, gpus)
    opened = store_of(study, store)
    refuse_memory(opened)
    means = partial(
        means_of,
        checkpointing,
        states,
        report_to,
        folder=opened.root / "trackers",
        processes=processes,
        sharded=sharded,
        together="never" if together == "measured" and is_url(opened.url) else together,  # they share a disk
    )
    planner = planner_of(study, opened, *offered(asked, cores, gpus), means)
    make_ready(planner, study)
    teller = Bars() if sys.stdout.isatty() and not json else Lines()
    if json:
        teller.say = lambda line: print(line, file=sys.stderr, flush=True)  # type: ignore[method-assign]
    try:
        planner, outcome = performed(planner, opened, teller, asked)
    finally:
        if isinstance(teller, Bars):
            teller.close()
    raise typer.Exit(conclude(planner, opened, outcome, as_json=json))


def performed(planner: "Planner", store: "Store", teller: "Teller", asked: Asked = HERE) -> tuple["Planner", "Outcome"]:
    """Run all of a plan that can be run, by the engine asked for: the plan in the end, and what was done of it.

    First the leak search, then what rests on it, then a report without what failed.
    """
    from dataclasses import replace
    from functools import partial

    from codedose.cli.lost import each_alone, without_failed
    from codedose.plan import settled
    from codedose.runner.schedule import Outcome
    from codedose.runner.schedule import run as perform

    store.prepare()
    store.remember(planner.study.name, planner.steps)
    with engine_of(asked, planner) as (submit, slots):
        do = partial(perform, store, slots=slots, submit=submit, tell=teller)
        outcome = do(planner.search) if planner.is_pending else Outcome()
        planner = settled(planner, store)
        if not planner.is_pending:
            store.remember(planner.study.name, planner.steps)
            outcome.add(do(planner.steps))
        if alone := each_alone(planner, outcome):
            outcome.blocked.clear()
            outcome.add(do(alone.steps))
            planner = replace(alone, without=planner.without, unmeasured=planner.unmeasured)
        whole, planner = planner.steps, without_failed(planner, outcome)
        if (planner.without or planner.unmeasured) and planner.has_cells:
            store.remember(planner.study.name, [*whole, *planner.steps])
            outcome.add(do(planner.steps))
    return planner, outcome


def report(
    study: StudyFile, store: StorePath = None, as_: As = "html", out: PaperOut = None, json: AsJson = False
) -> None:
    """The report of a finished study: built from the store, without training or asking anything."""
    from codedose.cli.published import publish
    from codedose.cli.ran import conclude
    from codedose.runner.schedule import Slots, Teller, inline, to_run
    from codedose.runner.schedule import run as perform

    if out and as_ == "html":
        raise StudyError("--out goes with --as; the HTML file lies in the store, and its path is printed")
    opened = store_of(study, store)
    planner = planner_of(study, opened)
    left = [step for step in to_run(opened, planner.steps) if step.kind not in ("analyse", "report")]
    if left:
        raise StudyError(
            f"{study}: {len(left)} steps are not done yet (codedose plan {study} lists them): codedose run {study}"
        )
    opened.prepare()
    outcome = perform(opened, planner.steps, slots=Slots(1), submit=inline, tell=Teller())
    place = out or study.parent / f"{planner.study.name}-{as_}"
    written = [] if outcome.failed else publish(planner, opened, as_, place)
    raise typer.Exit(conclude(planner, opened, outcome, as_json=json, written=written))


def tasks(
    name: Annotated[
        str | None, typer.Argument(help="show this task's (or task file's) instruction and example items")
    ] = None,
    level: Annotated[int, typer.Option(min=1, max=4, help="of the example items")] = 1,
    json: AsJson = False,
) -> None:
    """The twelve tasks, or one of them or of your own with example items."""
    from codedose.cli.lists import show_task, show_tasks

    if name:
        show_task(name, level, as_json_=json)
    else:
        show_tasks(as_json_=json)


def backbones(json: AsJson = False) -> None:
    """The backbones on this machine, and the four ways to name one in a study."""
    from codedose.cli.lists import show_backbones

    show_backbones(as_json_=json)


def schema(json: AsJson = False) -> None:
    """The JSON schema of a study file, for editors that check YAML as it is typed."""
    from codedose.cli.show import as_json
    from codedose.study import json_schema

    as_json(json_schema())


def doctor(json: AsJson = False) -> None:
    """Whether this machine is ready: packages, cores, memory, disk, GPUs, the built-in backbone."""
    from codedose.cli.lists import examine

    raise typer.Exit(examine(as_json_=json))


def planner_of(
    study: Path,
    store: "Store",
    cores: int | None = None,
    gpus: int | None = None,
    means: "Callable[..., Means] | None" = None,
) -> "Planner":
    """The plan of a study file for this machine, as far as the store lets it be known.

    `means` are made for the study's name, as the project of what they tell.
    """
    from codedose.plan import Planner, settled
    from codedose.study import load
    from codedose.tune.means import Means

    gpus = count_gpus() if gpus is None else gpus
    told = load(study)
    how = means(project=told.name) if means else Means()
    planner = Planner(told, study.parent, cores=cores or available_cores(), gpus=gpus, means=how)
    try:
        planner.inputs.identities, planner.leaks  # noqa: B018 - what cannot be is told before a store is asked
        planner = settled(planner, store)
        planner.steps  # noqa: B018
    except CodedoseError as problem:
        raise type(problem)(f"{study}: {problem}") from None
    return planner


def store_of(study: Path, store: str | None) -> "Store":
    from codedose.runner.place import open_store

    return open_store(store if store is not None else study.parent / "store")


def refuse_memory(store: "Store") -> None:
    """StudyError for a store that ends with this process, while steps run in others."""
    if store.url.startswith("memory://"):
        raise StudyError(f"{store}: lives in one process only; name a folder, or a URL such as s3://bucket/folder")


def available_cores() -> int:
    """The CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_gpus() -> int:
    """The GPUs that NVIDIA's driver lists and CUDA_VISIBLE_DEVICES leaves; 0 without the driver."""
    import subprocess

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([part for part in visible.split(",") if part.strip() not in ("", "-1")])
    if shutil.which("nvidia-smi") is None:
        return 0
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


COMMANDS: tuple[Any, ...] = (new, plan, run, report, tasks, backbones, schema, doctor)
