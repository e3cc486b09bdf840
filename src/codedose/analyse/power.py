"""Before running: which difference would a design show, and which design shows a wanted difference?

The model. In draw d, seed s, backbone b an arm scores (in percentage points, mean over tasks)

    arm + draw effect[arm, d] + run effect[arm, d, s, b] + item noise[arm, d, s, b]

with draw effects of standard deviation `draw_sd` (what all arms of a draw share cancels and is not
counted), run effects of `run_sd`, and item noise of a binomial share, accuracy x (1 - accuracy) over
all items: an upper bound, since items of unequal difficulty vary less. All are independent. The
difference between two arms, averaged over seeds and backbones, is tested by Student's t over draws.
"""

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.grid import complete
from codedose.analyse.student import noncentrality
from codedose.analyse.views import averaged
from codedose.errors import DataError
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]

FEWEST_DRAWS = 3  # with two, an interval is only indicative


def smallest_effect(
    *,
    tasks: int,
    items_per_task: int,
    draws: int,
    seeds: int,
    backbones: int,
    accuracy: float,
    draw_sd: float,
    run_sd: float,
    power: float = 0.8,
    confidence: float = 0.95,
) -> float:
    """The true difference between two arms, in percentage points, that the primary test finds with chance `power`.

    `accuracy` is 0 to 1; `draw_sd` and `run_sd` are in percentage points, of one arm (the model stands
    at the top of this file). Infinite with fewer than two draws: no design with one draw shows anything
    about the data.
    """
    if draws < 2:
        return math.inf
    runs = seeds * backbones
    variance = 2 * (draw_sd**2 + (run_sd**2 + item_variance(accuracy, tasks * items_per_task)) / runs)
    return detectable(math.sqrt(variance / draws), draws=draws, power=power, confidence=confidence)


def detectable(error: float, *, draws: int, power: float, confidence: float) -> float:
    """The true difference found with chance `power` when its standard error over `draws` draws is `error`."""
    return math.inf if draws < 2 else error * noncentrality(draws - 1, power, confidence)


def item_variance(accuracy: float, items: int) -> float:
    """Variance of a binomial share of `items`, in squared percentage points."""
    return 100**2 * accuracy * (1 - accuracy) / items


def cheapest_design(
    wanted_points: float,
    *,
    tasks: int,
    seeds: int,
    backbones: int,
    accuracy: float,
    draw_sd: float,
    run_sd: float,
    cost_per_run: float,
    cost_per_reply: float,
    power: float = 0.8,
    confidence: float = 0.95,
    most_draws: int = 50,
    fewest_items: int = 20,
    most_items: int = 2000,
) -> tuple[int, int] | None:
    """(draws, items per task) of the cheapest design of at least three draws that shows `wanted_points`.

    Costs are in any one unit, for training one run and for one reply. Model and units as in
    `smallest_effect`. None where no design up to `most_draws` and `most_items` shows it.
    """
    runs, designs = seeds * backbones, []
    for draws in range(FEWEST_DRAWS, most_draws + 1):
        allowed = draws * (wanted_points / noncentrality(draws - 1, power, confidence)) ** 2 / 2
        for_items = (allowed - draw_sd**2) * runs - run_sd**2
        if for_items <= 0:
            continue
        items = max(fewest_items, math.ceil(item_variance(accuracy, tasks) / for_items))
        if items <= most_items:
            cost = draws * runs * (cost_per_run + cost_per_reply * tasks * items)
            designs.append((cost, draws, items))
    if not designs:
        return None
    _, draws, items = min(designs)
    return draws, items


def calibrate(scores: pl.DataFrame, *, reading: str, partial: bool = False) -> dict[str, float]:
    """accuracy (0 to 1), draw_sd and run_sd (percentage points) of an earlier study, for `smallest_effect`.

    Moments of the tuned cells' overall accuracy, from what is left after arms and draws (each
    backbone's own) are taken out; a negative variance is 0. Item noise is taken off, since the model
    adds it. With one run per arm and draw the two cannot be told apart and `draw_sd` holds both.
    With one draw or one arm neither is there: nothing tells them. Raises DataError for an
    incomplete grid unless `partial`, which keeps the whole draws.
    """
    scores, _ = complete(scores, partial=partial)
    tuned = scores.filter((pl.col("arm") != UNTUNED) & (pl.col("reading") == reading))
    if tuned.is_empty():
        raise DataError(f"the scores hold no tuned cell under the reading {reading!r}")
    cube, items = run_points(tuned)
    accuracy = float(cube.mean()) / 100
    if min(cube.shape[:2]) < 2:
        return {"accuracy": accuracy}
    of_draws, of_runs = variances(cube, item_variance(accuracy, items))
    return {"accuracy": accuracy, "draw_sd": of_draws**0.5, "run_sd": of_runs**0.5}


def variances(cube: Floats, noise: float) -> tuple[float, float]:
    """Of draws and of runs, in squared points, of (arms, draws, backbones, seeds); `noise` of items is taken off runs.

    At least two arms and two draws; a negative variance is 0. With one backbone and one seed nothing tells runs from
    draws: runs then have none, and draws have both.
    """
    backbones, seeds = cube.shape[2:]
    pooled, single = left_over(cube.mean(axis=(2, 3))[:, :, None]), left_over(cube.mean(axis=3))
    if backbones > 1:
        per_run = seeds * max(single - pooled, 0) * backbones / (backbones - 1)
    else:
        per_run = float(cube.var(axis=3, ddof=1).mean()) if seeds > 1 else noise
    return max(pooled - per_run / (seeds * backbones), 0), max(per_run - noise, 0)


def run_points(tuned: pl.DataFrame) -> tuple[Floats, int]:
    """Overall accuracy in percentage points of every run, (arms, draws, backbones, seeds), and the number of items."""
    run = ["arm", "draw", "backbone", "seed"]
    per_task = tuned.group_by(*run, "task").agg(points=(pl.col("outcome") == "right").mean() * 100)
    points = averaged(per_task, run, ["points"])
    shape = [points[name].n_unique() for name in run]
    return points["points"].to_numpy().reshape(shape), tuned.select("task", "item_id").unique().height


def left_over(cube: Floats) -> float:
    """Mean square of (arms, draws, backbones) after each backbone's arms and draws are taken out."""
    arms, draws, backbones = cube.shape
    rest = cube - cube.mean(axis=0) - cube.mean(axis=1, keepdims=True) + cube.mean(axis=(0, 1))
    return float(np.sum(rest**2) / ((arms - 1) * (draws - 1) * backbones))
