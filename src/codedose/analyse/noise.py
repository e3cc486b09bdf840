"""Scores flow in; how much of a difference's uncertainty is items and how much is draws flows out.

Three rows beside each difference between two arms: the hierarchical bootstrap over draws and item clusters, the
standard error from items alone, and the one from draws alone. Draws and items are crossed, since every run answers
the same items: a resample draws both, each once for all.
"""

import math
from functools import cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.contrasts import ONE_DRAW
from codedose.analyse.gaps import cluster_gaps, members
from codedose.keys import seed_for
from codedose.named import DRAW_NOISE, ITEM_NOISE
from codedose.tables import BOOTSTRAP, NEW_ITEMS, NOISE, THESE_ITEMS

Floats = NDArray[np.float64]
RESAMPLES = 2000
HIERARCHICAL = "hierarchical bootstrap over draws and item clusters"
OVER_ITEMS = "bootstrap over item clusters"
ONE_CLUSTER = "undefined: some task has one cluster of items"


def beside_differences(scores: pl.DataFrame, parts: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """view, of, COLUMN, kind, estimand, estimate, low, high, method, n_draws, note: three rows a difference, in points.

    `parts` is what `contrasts.weights` gives. The limits are percentiles of 2,000 resamples (Efron 1979; clusters
    resampled whole); the note says how often such an interval covers with so few draws.
    """
    columns, tasks = cluster_gaps(scores, parts.filter(pl.col("kind") != "trend"))
    draws = tasks[0].gaps.shape[1]
    mixed = weights_of_draws(draws)
    per_draw = np.stack([100 * task.gaps.sum(axis=2) for task in tasks])
    variances = np.stack([item_variance(100 * task.gaps.mean(axis=1), task.part) for task in tasks])
    thrown = np.stack([resampled(100 * task.gaps, task.part, mixed, task.task) for task in tasks])
    told = []
    for view, of, at in members(tasks):
        mean, variance, again = (each[at].sum(axis=0) for each in (per_draw, variances, thrown))
        n = len(at)
        told.append(rows_of(view, of, columns, draws, confidence, mean / n, variance / n**2, again / n))
    return pl.concat(told)


def rows_of(
    view: str, of: str, columns: pl.DataFrame, draws: int, confidence: float, per_draw: Floats, variance: Floats,
    thrown: Floats,
) -> pl.DataFrame:  # fmt: skip
    """The three rows of every column in one view."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(thrown, [tail, 1 - tail], axis=0)
    draw_noise = per_draw.std(axis=1, ddof=1) / math.sqrt(draws) if draws > 1 else np.full(len(per_draw), np.nan)
    base = columns.with_columns(view=pl.lit(view), of=pl.lit(of), n_draws=pl.lit(draws, pl.Int64))
    resampled_rows = base.with_columns(
        estimate=per_draw.mean(axis=1), low=low, high=high, kind=pl.lit(BOOTSTRAP), estimand=pl.lit(NEW_ITEMS),
        method=pl.lit(HIERARCHICAL if draws > 1 else OVER_ITEMS), note=pl.lit(caution(draws, confidence)),
    )  # fmt: skip
    return pl.concat(
        [
            resampled_rows,
            noise_rows(base, np.sqrt(variance), ITEM_NOISE, NEW_ITEMS, ONE_CLUSTER),
            noise_rows(base, draw_noise, DRAW_NOISE, THESE_ITEMS, ONE_DRAW),
        ],
        how="diagonal_relaxed",
    )


def noise_rows(base: pl.DataFrame, error: Floats, method: str, estimand: str, lacking: str) -> pl.DataFrame:
    known = pl.Series(error, nan_to_null=True)
    said = pl.lit(f"standard error of the difference from {'items' if method == ITEM_NOISE else 'draws'} alone, points")
    return base.with_columns(
        estimate=known, kind=pl.lit(NOISE), estimand=pl.lit(estimand), method=pl.lit(method),
        note=pl.when(known.is_null()).then(pl.lit(lacking)).otherwise(said),
    )  # fmt: skip


def weights_of_draws(draws: int) -> Floats:
    """(resamples, draws): how much each draw weighs in each resample; the same for all tasks and columns."""
    rng = np.random.default_rng(seed_for("resampled draws"))
    return rng.multinomial(draws, np.full(draws, 1 / draws), size=RESAMPLES) / draws


def resampled(cube: Floats, part: Floats, mixed: Floats, task: str) -> Floats:
    """(resamples, columns) of one task: `cube` is (columns, draws, clusters), `part` a cluster's share of replies."""
    columns, draws, clusters = cube.shape
    rng = np.random.default_rng(seed_for("resampled clusters", task))
    picked = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).astype(np.float64)
    values = (picked @ cube.reshape(-1, clusters).T) / (picked @ part)[:, None]
    averaged: Floats = np.einsum("rkd,rd->rk", values.reshape(-1, columns, draws), mixed)
    return averaged


def item_variance(gaps: Floats, part: Floats) -> Floats:
    """Variance of the sum of each row of `gaps` (columns, clusters) over samples of clusters, linearised."""
    clusters = len(part)
    if clusters < 2:
        return np.full(len(gaps), np.nan)
    apart = gaps - gaps.sum(axis=1, keepdims=True) * part
    variance: Floats = clusters / (clusters - 1) * (apart**2).sum(axis=1)
    return variance


def caution(draws: int, confidence: float) -> str:
    if draws < 2:
        return ONE_DRAW
    return (
        f"covers {100 * covers(draws, confidence):.0f} % instead of {100 * confidence:g} % with {draws} draws, where "
        "draws decide (simulated)"
    )


@cache
def covers(draws: int, confidence: float, studies: int = 4000) -> float:
    """How often the percentile bootstrap over `draws` normal values covers their true mean, by simulation."""
    rng = np.random.default_rng(seed_for("coverage of the bootstrap", draws))
    values = rng.standard_normal((studies, draws))
    tail = (1 - confidence) / 2
    low, high = np.quantile(values @ weights_of_draws(draws).T, [tail, 1 - tail], axis=1)
    return float(np.mean((low <= 0) & (high >= 0)))
