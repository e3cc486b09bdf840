"""Scores flow in; accuracies with their intervals flow out: per run, per backbone and arm, pooled.

The interval of one checkpoint is about its items: Wilson's where every reply stands for itself, the
bootstrap over clusters where items share one. The interval of an arm is about the data: Student's t
over the means of its draws, for these items.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.grid import complete
from codedose.analyse.views import VIEW, averaged, by_group, by_view, in_order, item_counts
from codedose.keys import seed_for
from codedose.named import T_OVER_DRAWS
from codedose.tables import ACCURACIES, UNTUNED, check

Floats = NDArray[np.float64]
RUN = ["family", "backbone", "arm", "share", "draw", "seed"]
MEASURES = ["accuracy", "answered", "truncated", "in_code"]
RESAMPLES = 2000

WILSON = "Wilson"
CLUSTERS = "bootstrap over item clusters"
ALIKE_CLUSTERS = "Wilson over item clusters: all clusters alike"
MOVER = "MOVER over tasks"
ONE_DRAW = "no interval: one draw"
ALIKE_DRAWS = "no interval: all draws gave the same value"


def accuracies(scores: pl.DataFrame, *, confidence: float, partial: bool = False) -> pl.DataFrame:
    """The table of accuracies (0 to 1) per task, per domain and overall; each task weighs the same.

    Rows per run; per backbone and arm over draws (draw and seed null); per arm over all backbones
    (backbone null). The untuned backbone has no draws: its intervals are about its items.
    Raises DataError as `grid.complete` does.
    """
    scores, _ = complete(scores, partial=partial)
    if scores.is_empty():
        return ACCURACIES.frame([])
    untuned = scores.filter(pl.col("arm") == UNTUNED).with_columns(
        family=pl.lit(None, pl.String), backbone=pl.lit(None, pl.String)
    )
    runs = pl.concat([item_level(part, confidence) for part in (scores, untuned) if part.height])
    tuned = runs.filter(pl.col("arm") != UNTUNED)
    rows = pl.concat([runs, over_draws(tuned, confidence)], how="diagonal_relaxed")
    rows = rows.join(item_counts(scores), on=VIEW, how="left")
    return check(in_order(rows, ["arm", "draw", "seed"]), ACCURACIES)


def per_task(scores: pl.DataFrame) -> pl.DataFrame:
    """One row per run, task and reading: RUN, task, domain, reading, the MEASURES as shares of replies, right, n."""
    outcome = pl.col("outcome")
    return scores.group_by("reading", "task", "domain", *RUN).agg(
        accuracy=(outcome == "right").mean(),
        answered=outcome.is_in(["right", "wrong"]).mean(),
        truncated=(outcome == "truncated").mean(),
        in_code=pl.col("in_code").mean(),
        right=(outcome == "right").sum().cast(pl.Int64),
        n=pl.len().cast(pl.Int64),
        clusters=pl.col("cluster").n_unique(),
    )


def item_level(scores: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """Accuracies of each run with intervals over its items, in the three views.

    The limits of a mean over tasks are recovered from the tasks' own limits (MOVER: Zou and Donner
    2008), which keeps them sensible where a task is all right or all wrong.
    """
    measured = per_task(scores)
    alone = measured.filter(pl.col("n") == pl.col("clusters"))
    low, high = wilson(alone["right"].to_numpy(), alone["n"].to_numpy(), confidence)
    tasks = [alone.with_columns(low=low, high=high, method=pl.lit(WILSON))]
    clustered = measured.filter(pl.col("n") > pl.col("clusters"))
    for task in sorted(clustered["task"].unique()):
        limits = clustered_limits(scores.filter(pl.col("task") == task), task, confidence)
        rows = clustered.filter(pl.col("task") == task)
        tasks.append(rows.join(limits, on=["reading", *RUN], how="left", nulls_equal=True))
    rows = by_view(pl.concat(tasks)).with_columns(
        below=(pl.col("accuracy") - pl.col("low")) ** 2, above=(pl.col("high") - pl.col("accuracy")) ** 2
    )
    keys = ["reading", *VIEW, *RUN]
    together = rows.sort(*keys, "task").group_by(keys, maintain_order=True)
    return together.agg(
        pl.col(MEASURES).mean(),
        below=pl.col("below").sum().sqrt() / pl.len(),
        above=pl.col("above").sum().sqrt() / pl.len(),
        method=pl.col("method").first(),
        n_draws=pl.col("draw").first().is_not_null().cast(pl.Int64),
    ).select(
        *keys,
        *MEASURES,
        low=(pl.col("accuracy") - pl.col("below")).clip(0, 1),
        high=(pl.col("accuracy") + pl.col("above")).clip(0, 1),
        method=pl.when(pl.col("view") == "task").then("method").otherwise(pl.lit(MOVER)),
        n_draws="n_draws",
    )


def wilson(right: NDArray[np.int64], n: NDArray[np.int64], confidence: float) -> tuple[Floats, Floats]:
    """Lower and upper limits (0 to 1) of `right` successes in `n` > 0 trials (Wilson 1927)."""
    z = stats.norm.isf((1 - confidence) / 2)
    share = right / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)


def clustered_limits(scores: pl.DataFrame, task: str, confidence: float) -> pl.DataFrame:
    """Limits for each run of one task whose replies come in clusters: reading, RUN, low, high, method.

    Clusters are resampled whole. Where all clusters are alike no resample differs, and the interval
    would shrink to a point; Wilson's over the number of clusters stands there instead.
    """
    keys = ["reading", *RUN]
    sums = scores.group_by(*keys, "cluster").agg(right=(pl.col("outcome") == "right").sum(), n=pl.len())
    sums = sums.sort(*keys, "cluster")
    clusters = scores["cluster"].n_unique()
    right, n = (sums[name].cast(pl.Float64).to_numpy().reshape(-1, clusters) for name in ("right", "n"))
    low, high = bootstrap(right, n, np.random.default_rng(seed_for("cluster bootstrap", task)), confidence)
    flat = high - low < 1e-12
    share = right.sum(axis=1) / n.sum(axis=1)
    flat_low, flat_high = wilson(share * clusters, np.full(len(share), clusters), confidence)
    return (
        sums.select(keys)
        .unique(maintain_order=True)
        .with_columns(
            low=np.where(flat, flat_low, low),
            high=np.where(flat, flat_high, high),
            method=pl.Series(np.where(flat, ALIKE_CLUSTERS, CLUSTERS)),
        )
    )


def bootstrap(right: Floats, n: Floats, rng: np.random.Generator, confidence: float) -> tuple[Floats, Floats]:
    """Percentile limits of sum(right) / sum(n) per row, resampling columns: both arrays are (runs, clusters)."""
    clusters = right.shape[1]
    weights = rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).astype(np.float64)
    shares = (weights @ right.T) / (weights @ n.T)
    tail = (1 - confidence) / 2
    low, high = np.quantile(shares, [tail, 1 - tail], axis=0)
    return low, high


def over_draws(runs: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """Accuracies per backbone and arm, and per arm over all backbones, with t intervals over draws."""
    keys = ["reading", *VIEW, "family", "backbone", "arm", "share"]
    draws = averaged(runs, [*keys, "draw"], MEASURES)
    draws = averaged(by_group(draws, families=False), [*keys, "draw"], MEASURES)
    rows = draws.group_by(keys, maintain_order=True).agg(
        pl.col(MEASURES).mean(), sd=pl.col("accuracy").std(), n_draws=pl.len().cast(pl.Int64)
    )
    n = rows["n_draws"].to_numpy()
    half = stats.t.isf((1 - confidence) / 2, np.maximum(n - 1, 1)) * rows["sd"].to_numpy() / np.sqrt(n)
    rows = rows.with_columns(half=pl.Series(half, nan_to_null=True), several=pl.col("n_draws") > 1)
    alike = pl.col("several") & (pl.col("sd") <= 1e-11)
    rows = rows.with_columns(half=pl.when(~alike).then("half"), alike=alike)
    return rows.with_columns(
        low=(pl.col("accuracy") - pl.col("half")).clip(0, 1),
        high=(pl.col("accuracy") + pl.col("half")).clip(0, 1),
        method=pl.when("alike")
        .then(pl.lit(ALIKE_DRAWS))
        .when("several")
        .then(pl.lit(T_OVER_DRAWS))
        .otherwise(pl.lit(ONE_DRAW)),
    ).drop("sd", "half", "several", "alike")
