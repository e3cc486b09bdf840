"""With one draw: checkpoints are compared over the items that all of them answered. Nothing follows about the data.

Scores of one draw flow in; one p value per contrast, view and group flows out.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import CONTRAST
from codedose.analyse.views import GROUP, by_group
from codedose.keys import seed_for

Floats = NDArray[np.float64]
MCNEMAR = "exact McNemar over items"
SIGN_FLIP = "sign-flip permutation over items"
FLIPS = 4999
COLUMN = ["reading", *GROUP, "contrast"]


def over_items(scores: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """CONTRAST, p, method for the differences between two arms.

    Exact McNemar where each item is one yes or no in each arm (one task, backbone, seed and sample,
    no clusters); elsewhere the sign-flip permutation test, which flips whole clusters.
    """
    gaps = cluster_gaps(scores, parts.filter(pl.col("kind") != "trend"))
    flipped = sign_flip(gaps)
    exact = pairs(gaps)
    return pl.concat([flipped.join(exact, on=CONTRAST, how="anti", nulls_equal=True), exact])


def cluster_gaps(scores: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """What each cluster adds to the difference of its task: COLUMN, task, domain, cluster, gap, replies per arm."""
    rows = scores.select("reading", *GROUP, "arm", "task", "domain", "cluster", right=pl.col("outcome") == "right")
    arm = ["reading", *GROUP, "arm", "task", "domain"]
    sums = by_group(rows.group_by(*arm, "cluster").agg(pl.col("right").sum(), n=pl.len()), families=True)
    sums = sums.group_by(*arm, "cluster").agg(pl.col("right", "n").sum().cast(pl.Int64))
    sums = sums.with_columns(share=pl.col("right") / pl.col("n").sum().over(arm))
    keys = ["task", "domain", *COLUMN, "cluster"]
    weighted = sums.join(parts, on="arm").with_columns(gap=pl.col("share") * pl.col("weight"))
    return (
        weighted.sort(*keys, "arm")
        .group_by(keys, maintain_order=True)
        .agg(pl.col("gap").sum(), replies=pl.col("n").max())
    )


def sign_flip(gaps: pl.DataFrame) -> pl.DataFrame:
    """The share of random sign patterns, the observed one among them, that give as large a mean difference.

    The patterns of a task are shared by all columns, and tasks flip independently.
    """
    columns = gaps.select(COLUMN).unique().sort(COLUMN)
    tasks = gaps.select("task", "domain").unique().sort("task")
    found, thrown = {}, {}
    for task in tasks["task"]:
        matrix = gaps.filter(pl.col("task") == task)["gap"].to_numpy().reshape(columns.height, -1)
        rng = np.random.default_rng(seed_for("sign flips", task))
        signs = rng.integers(0, 2, size=(FLIPS, matrix.shape[1])) * 2.0 - 1
        found[task], thrown[task] = matrix.sum(axis=1), signs @ matrix.T
    views = [("overall", "all", list(found))]
    views += [("domain", str(name), list(part["task"])) for (name,), part in tasks.group_by("domain")]
    views += [("task", task, [task]) for task in found]
    return pl.concat(
        columns.with_columns(
            view=pl.lit(view),
            of=pl.lit(of),
            p=as_extreme(sum(found[task] for task in members), sum(thrown[task] for task in members)),
            method=pl.lit(SIGN_FLIP),
        ).select(*CONTRAST, "p", "method")
        for view, of, members in views
    )


def as_extreme(found: Floats, thrown: Floats) -> pl.Series:
    """p of each column: `found` holds one value a column, `thrown` is (patterns, columns)."""
    beyond = np.abs(thrown) >= np.abs(found) - 1e-12
    return pl.Series((1 + beyond.sum(axis=0)) / (1 + len(thrown)))


def pairs(gaps: pl.DataFrame) -> pl.DataFrame:
    """CONTRAST, p, method where every cluster holds one reply per arm: exact McNemar, 1 when no pair differs."""
    counts = gaps.group_by("task", *COLUMN).agg(
        replies=pl.col("replies").max(), gained=(pl.col("gap") > 0).sum(), lost=(pl.col("gap") < 0).sum()
    )
    counts = counts.filter(pl.col("replies") == 1).with_columns(view=pl.lit("task"), of="task")
    p = mcnemar(counts["gained"].to_numpy(), counts["lost"].to_numpy())
    return counts.select(*CONTRAST, p=pl.Series(p, dtype=pl.Float64), method=pl.lit(MCNEMAR))


def mcnemar(gained: NDArray[np.int64], lost: NDArray[np.int64]) -> Floats:
    """Two-sided p of the exact test on the pairs that differ; 1 where none does (McNemar 1947)."""
    fewer, both = np.minimum(gained, lost).astype(np.int64), (gained + lost).astype(np.int64)
    return np.asarray(np.minimum(1, 2 * stats.binom.cdf(fewer, both, 0.5)), dtype=np.float64)
