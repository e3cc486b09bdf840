"""Trends against the dose that was given: the measured share of code, and the share behind wrong labels.

Nominal shares are what labels say. Beside their trend stands the one over the measured share of code characters; or,
where labels were checked by hand, the nominal one corrected for their errors. Never both corrections at once.
"""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import CONTRAST, trend
from codedose.named import CORRECTED, LINEAR, MEASURED
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]
UNKNOWN = "undefined: some arm has no measured share of code"


@dataclass(frozen=True)
class Labels:
    """How good the labels are, from a hand-labelled sample weighted to the pool: value, low, high, each 0 to 1.

    `ppv` is the share of examples labelled coding that are coding, `npv` the share of the others that are not.
    """

    ppv: tuple[float, float, float]
    npv: tuple[float, float, float]
    confidence: float

    @property
    def kept(self) -> float:
        """How much of a difference in labelled shares is a difference in true shares (non-differential errors)."""
        return self.ppv[0] + self.npv[0] - 1

    @property
    def error(self) -> float:
        """Standard error of `kept`, from the half widths of the two intervals."""
        z = float(stats.norm.isf((1 - self.confidence) / 2))
        return math.hypot(*((high - low) / 2 / z for _, low, high in (self.ppv, self.npv)))


def measured_trend(points: pl.DataFrame, doses: pl.DataFrame) -> pl.DataFrame:
    """The linear trend over measured shares, draw by draw, as `contrasts.over_draws` takes it.

    `doses` holds arm, draw and dose (0 to 1). Points per 100 % of code characters, by least squares in each draw.
    """
    known = doses.drop_nulls()
    tuned = points.filter(pl.col("arm") != UNTUNED)
    lacking = tuned.select("arm", "draw").unique().join(known, on=["arm", "draw"], how="anti").height > 0
    slopes = [weighted(rows) for _, rows in known.sort("draw", "arm").group_by("draw", maintain_order=True)]
    flat = not slopes or any(rows["slope"].is_nan().any() for rows in slopes)
    reason = UNKNOWN if lacking else "undefined: 2 different measured shares are needed" if flat else None
    keys = [*[name for name in CONTRAST if name != "contrast"], "draw"]
    if reason:
        rows = tuned.select(keys).unique().with_columns(value=pl.lit(0.0))
    else:
        rows = tuned.join(pl.concat(slopes), on=["arm", "draw"]).sort(*keys, "arm")
        rows = rows.group_by(keys, maintain_order=True).agg(value=(pl.col("points") * pl.col("slope")).sum())
    return rows.sort(keys).with_columns(
        contrast=pl.lit(MEASURED), kind=pl.lit("dose"), reason=pl.lit(reason, pl.String)
    )


def weighted(rows: pl.DataFrame) -> pl.DataFrame:
    """arm, draw, slope: the weights of one draw's arms; nan where all doses are the same."""
    slopes, reason = trend(rows["dose"].to_numpy(), 1)
    return rows.select("arm", "draw", slope=pl.Series([float("nan")] * rows.height if reason else slopes))


def corrected_trend(tested: pl.DataFrame, labels: Labels, confidence: float) -> pl.DataFrame:
    """The rows of the linear trend in `tested`, divided by PPV + NPV - 1 with its error propagated (delta method).

    Errors of labels are taken to have nothing to do with what examples do to a model. p is that of the trend: under
    no effect there is nothing to correct. Null where labels are no better than chance, with the reason.
    """
    rows = tested.filter(pl.col("contrast") == LINEAR)
    kept, error = labels.kept, labels.error
    edge = stats.t.isf((1 - confidence) / 2, np.maximum(rows["n_draws"].to_numpy() - 1, 1))
    slope, half = (rows[name].to_numpy() for name in ("estimate", "high"))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = (half - slope) / edge
        wider = edge * np.sqrt((spread / kept) ** 2 + (slope * error / kept**2) ** 2)
    better = kept - float(stats.norm.isf((1 - labels.confidence) / 2)) * error > 0
    value = slope / kept if better else np.full(len(slope), np.nan)
    said = f"slope over {kept:.2f} (PPV {labels.ppv[0]:.2f}, NPV {labels.npv[0]:.2f})"
    why = said if better else "undefined: the labels are not shown to be better than chance"
    return rows.with_columns(
        contrast=pl.lit(CORRECTED),
        kind=pl.lit("dose"),
        estimate=pl.Series(value, nan_to_null=True),
        low=pl.Series(value - wider, nan_to_null=True),
        high=pl.Series(value + wider, nan_to_null=True),
        p=pl.col("p") if better else pl.lit(None, pl.Float64),
        why=pl.concat_str(pl.col("why"), pl.lit(why), separator="; ", ignore_nulls=True),
    )
