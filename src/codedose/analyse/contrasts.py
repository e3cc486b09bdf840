"""Accuracies per draw flow in; contrasts between arms flow out, each tested over draws.

Every contrast is a set of weights over arms: +1 and -1 for a difference, least-squares weights for
a trend over shares. One number per draw remains, so that draws are what is counted.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.views import GROUP, VIEW, averaged, by_group, by_view
from codedose.named import CUBIC, LINEAR, QUADRATIC, T_OVER_DRAWS
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]
CONTRAST = ["reading", *VIEW, *GROUP, "contrast"]

NO_TEST = "not tested"
ONE_DRAW = "one draw: no claim about the data"
TWO_DRAWS = "indicative: two draws"
NO_VARIANCE = "undefined: all draws gave the same value, so there is no variance to test with"
NO_SPREAD = 1e-9  # percentage points; less than this is rounding, not a difference between draws


def arm_points(scores: pl.DataFrame) -> pl.DataFrame:
    """Accuracy in percentage points of each arm in each draw: reading, view, of, family, backbone, arm, share, draw.

    Averaged over samples, tasks, seeds, then backbones. The untuned arm stands in every draw with
    the same value: it has none of its own, and its items are those of the others.
    """
    run = ["reading", "task", "domain", *GROUP, "arm", "share", "draw", "seed"]
    runs = scores.group_by(run).agg(points=(pl.col("outcome") == "right").mean() * 100)
    draws = runs.filter(pl.col("draw").is_not_null()).select("draw").unique()
    untuned = runs.filter(pl.col("arm") == UNTUNED).drop("draw").join(draws, how="cross").select(runs.columns)
    runs = pl.concat([runs.filter(pl.col("arm") != UNTUNED), untuned])
    keys = ["reading", *VIEW, *GROUP, "arm", "share", "draw"]
    per_backbone = averaged(averaged(by_view(runs), [*keys, "seed"], ["points"]), keys, ["points"])
    return averaged(by_group(per_backbone, families=True), keys, ["points"])


def weights(arms: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """What each contrast is made of: contrast, kind (baseline, untuned or trend), arm, weight, reason.

    `arms` holds arm and share. Where the shares do not identify a trend, `reason` says so.
    """
    tuned = arms.filter(pl.col("arm") != UNTUNED).sort("arm")
    against = [(baseline, "baseline"), *([(UNTUNED, "untuned")] if tuned.height < arms.height else [])]
    rows: list[tuple[str, str, str, float, str | None]] = []
    for other, kind in against:
        for arm in tuned.filter(pl.col("arm") != other)["arm"]:
            name = f"{arm} - {other}"
            rows += [(name, kind, arm, 1.0, None), (name, kind, other, -1.0, None)]
    placed = tuned.drop_nulls("share")
    for degree, name in enumerate((LINEAR, QUADRATIC, CUBIC), 1):
        slopes, reason = trend(placed["share"].to_numpy(), degree)
        rows += [(name, "trend", arm, slope, reason) for arm, slope in zip(placed["arm"], slopes, strict=True)]
    schema = {"contrast": pl.String, "kind": pl.String, "arm": pl.String, "weight": pl.Float64, "reason": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def trend(shares: Floats, degree: int) -> tuple[list[float], str | None]:
    """Weights that turn accuracies at `shares` (0 to 1) into the highest coefficient of a least-squares polynomial.

    The linear one is in points per 100 % of code; the quadratic one is half the curve's bend; the cubic one tests
    whether a quadratic curve fits. With too few different shares the weights are 0 and the second value says why.
    """
    if len(np.unique(shares)) <= degree:
        return [0.0] * len(shares), f"undefined: {degree + 1} different shares are needed"
    return [float(weight) for weight in np.linalg.pinv(np.vander(shares, degree + 1))[0]], None


def contrasted(points: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """One row per contrast and draw: CONTRAST, kind, reason, draw, value in percentage points."""
    keys = [*CONTRAST, "kind", "reason", "draw"]
    rows = points.join(parts, on="arm").with_columns(value=pl.col("points") * pl.col("weight"))
    return rows.sort(*keys, "arm").group_by(keys, maintain_order=True).agg(pl.col("value").sum())


def over_draws(values: pl.DataFrame, confidence: float, margin: float | None) -> pl.DataFrame:
    """One row per contrast: estimate, low, high, p (Student's t over draws), within (margin), n_draws, why.

    `within` says whether the interval at 2 x confidence - 1 lies inside the margin (two one-sided
    tests, Schuirmann 1987); null with fewer than three draws or no margin. What is not defined is
    null, and `why` gives the reason.
    """
    from scipy import stats

    rows = values.group_by([*CONTRAST, "kind", "reason"], maintain_order=True).agg(
        estimate=pl.col("value").mean(), sd=pl.col("value").std(), n_draws=pl.len().cast(pl.Int64)
    )
    n, sd, mean = (rows[name].fill_null(0).to_numpy() for name in ("n_draws", "sd", "estimate"))
    tested = (n > 1) & (sd > NO_SPREAD) & rows["reason"].is_null().to_numpy()
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(tested, sd / np.sqrt(n), np.nan)
        df = np.maximum(n - 1, 1)
        half, narrow = (stats.t.isf(tail, df) * error for tail in ((1 - confidence) / 2, 1 - confidence))
        p = 2 * stats.t.sf(np.abs(mean / error), df)
    judged = tested & (n > 2) & (margin is not None)
    within = np.abs(mean) + narrow < (margin or 0)
    return rows.with_columns(
        estimate=pl.when(pl.col("reason").is_null()).then("estimate"),
        low=pl.Series(mean - half, nan_to_null=True),
        high=pl.Series(mean + half, nan_to_null=True),
        p=pl.Series(p, nan_to_null=True),
        within=pl.when(pl.Series(judged)).then(pl.Series(within)),
        method=pl.Series(np.where(tested, T_OVER_DRAWS, NO_TEST)),
        why=why(),
    ).drop("reason", "sd")


def why() -> pl.Expr:
    """The reason why a contrast has no interval, or what limits it."""
    n, flat = pl.col("n_draws"), pl.col("sd") <= NO_SPREAD
    return (
        pl.when(pl.col("reason").is_not_null())
        .then("reason")
        .when(n == 1)
        .then(pl.lit(ONE_DRAW))
        .when(flat & (n == 2))
        .then(pl.lit(f"{TWO_DRAWS}; {NO_VARIANCE}"))
        .when(flat)
        .then(pl.lit(NO_VARIANCE))
        .when(n == 2)
        .then(pl.lit(TWO_DRAWS))
    )
