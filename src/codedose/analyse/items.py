"""With one draw: checkpoints are compared over the items that all of them answered. Nothing follows about the data.

Scores of one draw flow in; one p value per contrast, view and group flows out.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import CONTRAST
from codedose.analyse.gaps import TaskGaps, cluster_gaps, members
from codedose.keys import seed_for

Floats = NDArray[np.float64]
MCNEMAR = "exact McNemar over items"
SIGN_FLIP = "sign-flip permutation over items"
FLIPS = 4999
NO_GAP = 1e-12  # less is rounding


def over_items(scores: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """CONTRAST, p, method for the differences between two arms.

    Exact McNemar where each item is one yes or no in each arm (one task, backbone, seed and sample,
    no clusters); elsewhere the sign-flip permutation test, which flips whole clusters.
    """
    columns, tasks = cluster_gaps(scores, parts.filter(pl.col("kind") != "trend"))
    flipped = sign_flip(columns, tasks)
    exact = pl.concat(pairs(columns, task) for task in tasks)
    return pl.concat([flipped.join(exact, on=CONTRAST, how="anti", nulls_equal=True), exact])


def sign_flip(columns: pl.DataFrame, tasks: Sequence[TaskGaps]) -> pl.DataFrame:
    """The share of random sign patterns, the observed one among them, that give as large a mean difference.

    The patterns of a task are shared by all columns, and tasks flip independently.
    """
    found, thrown = [], []
    for task in tasks:
        matrix = task.gaps[:, 0]
        rng = np.random.default_rng(seed_for("sign flips", task.task))
        signs = rng.integers(0, 2, size=(FLIPS, matrix.shape[1])) * 2.0 - 1
        found.append(matrix.sum(axis=1))
        thrown.append(signs @ matrix.T)
    return pl.concat(
        columns.with_columns(
            view=pl.lit(view),
            of=pl.lit(of),
            p=as_extreme(np.sum([found[n] for n in at], axis=0), np.sum([thrown[n] for n in at], axis=0)),
            method=pl.lit(SIGN_FLIP),
        ).select(*CONTRAST, "p", "method")
        for view, of, at in members(tasks)
    )


def as_extreme(found: Floats, thrown: Floats) -> pl.Series:
    """p of each column: `found` holds one value a column, `thrown` is (patterns, columns)."""
    beyond = np.abs(thrown) >= np.abs(found) - 1e-12
    return pl.Series((1 + beyond.sum(axis=0)) / (1 + len(thrown)))


def pairs(columns: pl.DataFrame, task: TaskGaps) -> pl.DataFrame:
    """CONTRAST, p, method where every cluster holds one reply per arm: exact McNemar, 1 when no pair differs."""
    gaps = task.gaps[:, 0]
    p = mcnemar((gaps > NO_GAP).sum(axis=1), (gaps < -NO_GAP).sum(axis=1))
    rows = columns.with_columns(p=pl.Series(p), view=pl.lit("task"), of=pl.lit(task.task), method=pl.lit(MCNEMAR))
    return rows.filter(pl.Series(task.replies == 1)).select(*CONTRAST, "p", "method")


def mcnemar(gained: NDArray[np.int64], lost: NDArray[np.int64]) -> Floats:
    """Two-sided p of the exact test on the pairs that differ; 1 where none does (McNemar 1947)."""
    fewer, both = np.minimum(gained, lost).astype(np.int64), (gained + lost).astype(np.int64)
    return np.asarray(np.minimum(1, 2 * stats.binom.cdf(fewer, both, 0.5)), dtype=np.float64)
