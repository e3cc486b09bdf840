"""Which share: what a study's scores suggest to train next, and adapters interpolated between 0 % and 100 %."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.show import AsJson, Out, say
from codedose.cli.studies import Cores, Gpus, StorePath, StudyFile, planner_of, store_of
from codedose.errors import StudyError

if TYPE_CHECKING:
    import polars as pl

    from codedose.analyse.shortcut import Shortcut
    from codedose.plan import Planner
    from codedose.runner.store import Store

Share = Annotated[float, typer.Option(min=0, max=1, help="the share of code, from 0 to 1")]


def recommend(
    study: StudyFile,
    store: StorePath = None,
    scores: Annotated[
        list[Path] | None, typer.Option(metavar="SCORES", help="a scores.parquet in place of the store; again for more")
    ] = None,
    candidate: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help="an untrained share that may be trained; again for more; default: every 10 %"),
    ] = None,
    shortcut: Annotated[
        bool, typer.Option("--shortcut", help="also ask LoRA adapters interpolated between 0 % and 100 %")
    ] = False,
    at: Annotated[
        list[float] | None,
        typer.Option(min=0, max=1, help="for --shortcut: a share to interpolate; again for more; default: every 25 %"),
    ] = None,
    cores: Cores = None,
    gpus: Gpus = None,
    json: AsJson = False,
) -> None:
    """Exploratory: the share that looks best so far, and the next cell worth training.

    Reads a finished or partial study: the best share of each task and domain with the shares that may be it, a curve
    over shares with what it predicts for untrained ones, and what the next cells are worth an hour.
    """
    from codedose.analyse.recommend import CANDIDATES
    from codedose.analyse.recommend import recommend as advise
    from codedose.cli.advice import hours_of_store, scores_of_files, scores_of_store, tell, values
    from codedose.study import load

    if scores and shortcut:
        raise StudyError("--shortcut asks adapters of the store; leave out --scores")
    opened, loaded = store_of(study, store), load(study)
    planner = None if scores else planner_of(study, opened, cores, gpus)
    found, notes = scores_of_store(planner, opened, study) if planner else (scores_of_files(scores or []), [])
    asked: dict[str, Any] = {"reading": loaded.analyse.reading, "confidence": loaded.analyse.confidence}
    hours = hours_of_store(planner, opened) if planner else None
    advice = advise(found, candidates=candidate or CANDIDATES, hours=hours, **asked)
    between = interpolated(planner, opened, study, found, at or [], quiet=json) if planner and shortcut else None
    if json:
        from codedose.cli.show import as_json

        as_json(values(loaded.name, asked, advice, between, notes))
    else:
        tell(loaded.name, asked, advice, between, notes)


def interpolated(
    planner: "Planner", store: "Store", study: Path, trained: "pl.DataFrame", more: list[float], *, quiet: bool
) -> "Shortcut":
    """Ask what is interpolated at the trained shares and at `more`, and judge it by what was trained."""
    from codedose.analyse.shortcut import judge, shares_to_ask
    from codedose.cells import ends
    from codedose.cli.advice import refuse_freed

    pairs = ends(planner.study)
    refuse_freed(planner, store, study)
    arms = [arm.share for arm in planner.study.mix.arms if not arm.control]
    between = asked_between(planner, store, shares_to_ask(arms, more), quiet=quiet)
    named = (str(pairs[0][0].columns["arm"]), str(pairs[0][1].columns["arm"]))
    asked = planner.study.analyse
    return judge(trained, between, ends=named, reading=asked.reading, confidence=asked.confidence)


def asked_between(planner: "Planner", store: "Store", shares: list[float], *, quiet: bool) -> "pl.DataFrame":
    """The scores of interpolated adapters; what is done is never done again. Ends the program where a step fails."""
    from functools import partial

    from codedose import tables
    from codedose.cli.ran import SOME_FAILED, tell_failures
    from codedose.cli.show import Lines
    from codedose.plan import shortcut
    from codedose.runner.children import Children
    from codedose.runner.schedule import Slots
    from codedose.runner.schedule import run as perform
    from codedose.stages import take

    steps, teller = shortcut(planner, shares), Lines()
    if quiet:
        teller.say = partial(print, file=sys.stderr, flush=True)  # type: ignore[method-assign]
    store.prepare()
    store.remember(f"{planner.study.name}.shortcut", steps)
    with Children(planner.gpus) as engine:
        slots = Slots(planner.cores, planner.gpus)
        outcome = perform(store, steps, slots=slots, submit=engine.submit, tell=teller)
    if outcome.failed:
        tell_failures(store, outcome)
        raise typer.Exit(SOME_FAILED)
    return take(store.all_here([step.folder for step in steps if step.kind == "score"]), tables.SCORES)


def interpolate(
    zero: Annotated[Path, typer.Argument(metavar="ADAPTER0", help="the folder of the LoRA adapter at share 0")],
    one: Annotated[Path, typer.Argument(metavar="ADAPTER1", help="the folder of the LoRA adapter at share 1")],
    share: Share,
    out: Out,
    json: AsJson = False,
) -> None:
    """Two LoRA adapters of one backbone -> the one between them: (1 - share) of one change and share of the other."""
    from codedose.tune.between import interpolate as make

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StudyError(f"{out}: is not empty; choose another folder")
    rank = make(zero, one, share, out)
    told: dict[str, Any] = {"share": share, "rank": rank, "out": str(out)}
    say(told, json, list(told.items()))


COMMANDS: tuple[Any, ...] = (recommend,)
STAGES: tuple[Any, ...] = (interpolate,)
