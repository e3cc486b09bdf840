"""Scores of an earlier study flow in; what a new study may be taken to be like flows out: moments, by task.

What items add is told by pairs of runs: in two runs of one arm an item's own difficulty comes twice, the luck of its
reply does not, so that the covariance over items is the variance of the true chances. In runs of two arms it is the
variance without item x arm. Everything is of one reading, and of the tuned cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.grid import complete
from codedose.analyse.power import run_points, variances
from codedose.analyse.simulate import chance_of, moved
from codedose.errors import DataError
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]
RUN = ["backbone", "arm", "draw", "seed"]
QUANTILES = 64  # of items, by which the variance of their chances is found from that of their log odds
MOST = 6.0  # log odds: items so unequal are all right or all wrong


@dataclass(frozen=True)
class Likeness:
    """What a study that has not run is taken to be like."""

    accuracy: tuple[float, ...]  # of each task, 0 to 1; a study with more tasks goes through them again
    item: float  # standard deviation of the log odds of a task's items
    item_arm: float  # of what an arm adds to them, item by item
    draw: float  # of one arm over draws, in percentage points, overall
    run: float  # of one run beside it


# Taken where nothing is known, and printed with what rests on it. Items alike: the most that item noise can be.
ASSUMED = Likeness(accuracy=(0.5,), item=0.0, item_arm=0.0, draw=1.0, run=1.0)


def like(scores: pl.DataFrame, *, reading: str, partial: bool = False) -> tuple[Likeness, list[str]]:
    """The likeness of an earlier study, and in words what it does not tell: that is as in ASSUMED.

    Raises DataError for an incomplete grid unless `partial`, and where no tuned cell has this reading.
    """
    whole, _ = complete(scores, partial=partial)
    tuned = whole.filter((pl.col("arm") != UNTUNED) & (pl.col("reading") == reading))
    if tuned.is_empty():
        raise DataError(f"the scores hold no tuned cell under the reading {reading!r}")
    rights = [right_of(tuned.filter(pl.col("task") == name)) for name in sorted(tuned["task"].unique())]
    pairs = np.array([item_variances(right) for right in rights]).T
    items, of_items = told_of_items(rights, *pairs)
    runs, of_runs = told_of_runs(run_points(tuned)[0], item_noise(rights, *pairs))
    accuracy = tuple(float(right.mean()) for right in rights)
    return replace(ASSUMED, accuracy=accuracy, **items, **runs), [*of_items, *of_runs]


def told_of_items(rights: Sequence[Floats], within: Floats, between: Floats) -> tuple[dict[str, float], list[str]]:
    """`item` and `item_arm` of a Likeness as far as pairs of runs tell them (nan where not), and what they do not."""
    if np.isnan(within).all() and np.isnan(between).all():
        return {}, ["one run of one arm tells no variance of items: all are taken to be equally hard"]
    unknown = np.isnan(within).any() or np.isnan(between).any()
    of_items = np.where(np.isnan(within), between, within)
    shared = of_items if unknown else between
    said = ["item x arm variance needs two runs of each of two arms: none is taken in"] if unknown else []
    return of_logits([float(right.mean()) for right in rights], of_items, shared), said


def told_of_runs(cube: Floats, noise: float) -> tuple[dict[str, float], list[str]]:
    """`draw` and `run` of a Likeness as far as (arms, draws, backbones, seeds) tells them, and what it does not."""
    if min(cube.shape[:2]) < 2:
        return {}, [
            f"one draw or one arm tells no spread: {ASSUMED.draw:g} point between draws and {ASSUMED.run:g} between "
            "runs are assumed"
        ]
    of_draws, of_runs = (variance**0.5 for variance in variances(cube, noise))
    if cube.shape[2] == cube.shape[3] == 1:
        return {"draw": of_draws, "run": of_runs}, ["one backbone with one seed: draws have the spread of runs, too"]
    return {"draw": of_draws, "run": of_runs}, []


def item_noise(rights: Sequence[Floats], within: Floats, between: Floats) -> float:
    """What the luck of its replies adds to the variance of one run's overall accuracy, in squared points."""
    of_items = np.nan_to_num(np.where(np.isnan(within), between, within))
    means = [right.mean(axis=-1) for right in rights]
    binomial = np.array([float((mean * (1 - mean)).mean()) for mean in means])
    sizes = np.array([right.shape[-1] for right in rights])
    return float((np.maximum(binomial - of_items, 0) / sizes).mean()) * 100**2 / len(rights)


def right_of(task: pl.DataFrame) -> Floats:
    """Share of right replies of one task: (backbone, arm, run, item)."""
    means = task.group_by(*RUN, "item_id").agg(right=(pl.col("outcome") == "right").mean()).sort(*RUN, "item_id")
    sizes = [means["backbone"].n_unique(), means["arm"].n_unique(), -1, means["item_id"].n_unique()]
    return means["right"].to_numpy().reshape(sizes)


def item_variances(right: Floats) -> tuple[float, float]:
    """Variance over items of the true chance in an arm, and the part that arms share; nan where no pair tells it."""
    arms, items = right.shape[1], right.shape[-1]
    if items < 2:
        return np.nan, np.nan
    return pairs_of(right), pairs_of(right.mean(axis=2)[:, None]) if arms > 1 else np.nan


def pairs_of(values: Floats) -> float:
    """Mean covariance over items (last axis) between two different ones of the axis before; nan with one."""
    n = values.shape[-2]
    if n < 2:
        return float("nan")
    whole, each = values.sum(axis=-2).var(axis=-1, ddof=1), values.var(axis=-1, ddof=1).sum(axis=-1)
    return float(((whole - each) / (n * (n - 1))).mean())


def of_logits(means: Sequence[float], of_items: Floats, shared: Floats) -> dict[str, float]:
    """`item` and `item_arm` in log odds from variances of chances, over tasks that tell them: off floor and ceiling."""
    off = [place for place, mean in enumerate(means) if 0 < mean < 1 and np.isfinite(of_items[place])]
    squared = [logit_sd(means[place], of_items[place]) ** 2 for place in off]
    if not squared or of_items[off].sum() <= 0:  # on the floor, items differ in nothing that is seen
        return {"item": 0.0, "item_arm": 0.0}
    part = float(np.clip(shared[off].sum() / of_items[off].sum(), 0, 1))
    whole = float(np.mean(squared))
    return {"item": (whole * part) ** 0.5, "item_arm": (whole * (1 - part)) ** 0.5}


def difficulties(count: int) -> Floats:
    """`count` values that stand for a standard normal distribution, each for an equal part of it."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((n + 0.5) / count) for n in range(count)])


def logit_sd(mean: float, variance: float) -> float:
    """The standard deviation of normal log odds whose chances have this mean and variance; 0 for a variance below 0."""
    places, low, high = difficulties(QUANTILES), 0.0, MOST

    def too_small(sd: float) -> bool:
        logits = sd * places
        chances = chance_of(logits + moved(logits[None], 0.0, np.array([mean])))
        return bool(chances.var() < variance)

    if variance <= 0:
        return 0.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if too_small(middle) else (low, middle)
    return (low + high) / 2
