"""What a planned study would show, from an earlier study's scores where they are given, else from what is assumed."""

from typing import Any

from codedose.analyse.chances import DIFFERENCE, Ask, Size, formula, smallest
from codedose.analyse.designs import Bounds, by_formula
from codedose.analyse.moments import ASSUMED, Likeness
from codedose.cli.power import ITEMS, MOST_DRAWS, MOST_SEEDS
from codedose.cost import seconds_to_ask, seconds_to_tune
from codedose.study import Study

Like = tuple[Likeness, list[str]]  # what a study is taken to be like, and what that does not tell
POWER, STUDIES = 0.8, 1000


def detectable(study: Study, like: Like | None) -> float | None:
    """The smallest difference of the primary contrast that this design shows with 80 % power; None with one draw, or
    where no difference is as large.

    By formula under what is assumed, by simulation where an earlier study says what to expect.
    """
    if study.mix.draws < 2:
        return None
    if like is None:
        return formula(size_of(study), ASSUMED, ask_of(study))
    found = smallest(size_of(study), like[0], ask_of(study), name="plan")
    return None if found is None else found.value


def size_of(study: Study) -> Size:
    return Size(
        tasks=len(study.tasks),
        items=sum(task.count for task in study.tasks) // len(study.tasks),
        draws=study.mix.draws,
        seeds=study.tune.seeds,
        backbones=len(study.backbones),
        shares=max(2, len(study.mix.arms)),
    )


def ask_of(study: Study) -> Ask:
    return Ask(DIFFERENCE, POWER, study.analyse.confidence, STUDIES)


def for_margin(study: Study, like: Like | None) -> dict[str, int] | None:
    """draws, seeds and items per task of the cheapest design that shows the study's margin, by formula; or None."""
    likeness = like[0] if like else ASSUMED
    bounds = Bounds(MOST_DRAWS, MOST_SEEDS, ITEMS, training_in_replies(study))
    found = by_formula(size_of(study), likeness, study.analyse.margin, ask_of(study), bounds)
    return None if found is None else {"draws": found.draws, "seeds": found.seeds, "items": found.items}


def training_in_replies(study: Study) -> float:
    """What a training costs, in replies, on a GPU and over all backbones (the model of `codedose.cost`)."""
    tuning = sum(seconds_to_tune(study, backbone, gpu=True) for backbone in study.backbones)
    asking = sum(seconds_to_ask(study, each, task, gpu=True) for each in study.backbones for task in study.tasks)
    return tuning * sum(task.count for task in study.tasks) * study.generate.samples / asking


def assumed(like: Like | None) -> dict[str, Any]:
    """What the power rests on: accuracy (0 to 1) and the spread of one arm in percentage points."""
    likeness, unknown = like or (ASSUMED, [])
    accuracy = sum(likeness.accuracy) / len(likeness.accuracy)
    noise = {"accuracy": accuracy, "draw_sd": likeness.draw, "run_sd": likeness.run}
    return {**noise, "measured": like is not None, "unknown": unknown}
