"""Accuracies per draw flow in; differences in per cent of what they are compared with flow out."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import CONTRAST, ONE_DRAW, TWO_DRAWS
from codedose.tables import RELATIVE, THESE_ITEMS

Floats = NDArray[np.float64]
NEAR_ZERO = 5.0  # points; below, a relative gain says more about the baseline than about the arm
TOO_LOW = f"undefined: what it is compared with is near zero (below {NEAR_ZERO:g} points)"
NOT_CLEAR = "no interval: what it is compared with is not clearly above zero"
FIELLER = "Fieller over draws"


def relative_gains(points: pl.DataFrame, parts: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """CONTRAST, kind, estimand, estimate, low, high (per cent), method, n_draws, note; one row a difference.

    The ratio of means over draws, with the limits of Fieller (1954) for draws that pair the two arms. Null, with the
    reason, where the accuracy below the line is near zero.
    """
    pairs = parts.filter(pl.col("kind") != "trend")
    sides = {sign: pairs.filter(pl.col("weight") == sign).select("contrast", "arm") for sign in (1.0, -1.0)}
    over, under = (points.join(sides[sign], on="arm").drop("arm", "share") for sign in (1.0, -1.0))
    rows = over.join(under, on=[*CONTRAST, "draw"], suffix="_under", nulls_equal=True).sort(*CONTRAST, "draw")
    told = rows.group_by(CONTRAST, maintain_order=True).agg(
        x=pl.col("points").mean(), y=pl.col("points_under").mean(), n_draws=pl.len().cast(pl.Int64),
        xx=pl.col("points").var(), yy=pl.col("points_under").var(), xy=pl.cov("points", "points_under"),
    )  # fmt: skip
    x, y, xx, yy, xy = (told[name].fill_null(0).to_numpy() for name in ("x", "y", "xx", "yy", "xy"))
    n = told["n_draws"].to_numpy()
    low, high = fieller(x, y, xx / n, yy / n, xy / n, n - 1, confidence)
    near, known = y < NEAR_ZERO, np.isfinite(low) & (n > 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate = np.where(near, np.nan, 100 * (x / y - 1))
    why = np.select([near, n == 1, ~known, n == 2], [TOO_LOW, ONE_DRAW, NOT_CLEAR, TWO_DRAWS], default="")
    return told.select(
        *CONTRAST, "n_draws", kind=pl.lit(RELATIVE), estimand=pl.lit(THESE_ITEMS),
        estimate=pl.Series(estimate, nan_to_null=True),
        low=pl.Series(np.where(near | ~known, np.nan, 100 * (low - 1)), nan_to_null=True),
        high=pl.Series(np.where(near | ~known, np.nan, 100 * (high - 1)), nan_to_null=True),
        method=pl.lit(FIELLER), note=pl.Series(why).replace("", None),
    )  # fmt: skip


def fieller(
    x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats, df: NDArray[np.int64], confidence: float
) -> tuple[Floats, Floats]:
    """Limits of x / y for means with variances xx, yy and covariance xy; nan where they are not bounded."""
    edge = stats.t.isf((1 - confidence) / 2, np.maximum(df, 1)) ** 2
    a, b, c = y**2 - edge * yy, x * y - edge * xy, x**2 - edge * xx
    with np.errstate(invalid="ignore", divide="ignore"):
        half = np.sqrt(np.maximum(b**2 - a * c, 0))
        bounded = a > 0
        return np.where(bounded, (b - half) / a, np.nan), np.where(bounded, (b + half) / a, np.nan)
