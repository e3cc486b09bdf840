"""Accuracies per draw flow in; two draws of the same arm against each other (A/A) flow out.

They differ in nothing that the study is about, so one in twenty lies outside its 95 % limits by design; more says
that the limits of everything else are too narrow, too.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import NO_SPREAD
from codedose.analyse.views import GROUP, VIEW
from codedose.named import OUTSIDE
from codedose.tables import CONTROL, THESE_ITEMS, UNTUNED

Floats = NDArray[np.float64]
AGAINST_OTHERS = "A/A: t of two draws against the spread of the other arms"
FLAT = "undefined: the other arms' draws all gave the same value"
WHERE = ["reading", *VIEW, *GROUP]


def same_arm(points: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """WHERE, contrast, kind, estimand, estimate, low, high, p, method, n_draws, note, in points.

    Each arm's draws are paired with the next one (the last with the first). The limits are what the other arms'
    spread over draws lets expect of such a pair around 0, so `low` and `high` enclose 0 and not the estimate. One
    more row per place tells how many lie outside, in per cent. By backbone overall and by domain, by task pooled
    only. No rows with fewer than two arms or two draws.
    """
    rows = points.filter(pl.col("arm") != UNTUNED, ~(pl.col("family").is_not_null() & pl.col("backbone").is_null()))
    rows = rows.filter((pl.col("view") != "task") | pl.col("backbone").is_null()).sort(*WHERE, "arm", "draw")
    arms, draws = rows["arm"].unique().sort(), rows["draw"].unique().sort()
    if len(arms) < 2 or len(draws) < 2:
        return rows.select(WHERE).clear()
    places = rows.select(WHERE).unique(maintain_order=True)
    cube = rows["points"].to_numpy().reshape(places.height, len(arms), len(draws))
    pairs = paired(len(draws))
    apart = np.stack([cube[:, :, one] - cube[:, :, other] for one, other in pairs], axis=2)
    spread = spread_of_others(cube)
    df = (len(arms) - 1) * (len(draws) - 1)
    reach = stats.t.isf((1 - confidence) / 2, df) * spread * np.sqrt(2)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * stats.t.sf(np.abs(apart) / (spread * np.sqrt(2))[:, :, None], df)
    flat = spread <= NO_SPREAD
    told = [
        places.with_columns(
            contrast=pl.lit(f"{arm}, draw {draws[one]} - draw {draws[other]}"),
            estimate=apart[:, a, at],
            low=pl.Series(np.where(flat[:, a], np.nan, -reach[:, a]), nan_to_null=True),
            high=pl.Series(np.where(flat[:, a], np.nan, reach[:, a]), nan_to_null=True),
            p=pl.Series(np.where(flat[:, a], np.nan, p[:, a, at]), nan_to_null=True),
            n_draws=pl.lit(2, pl.Int64),
            note=pl.when(pl.Series(flat[:, a])).then(pl.lit(FLAT)),
        )
        for a, arm in enumerate(arms)
        for at, (one, other) in enumerate(pairs)
    ]
    beyond = np.abs(apart) > reach[:, :, None]
    counted = outside(places, beyond & ~flat[:, :, None], (~flat).sum(axis=1) * len(pairs), confidence, len(draws))
    named = {"kind": pl.lit(CONTROL), "estimand": pl.lit(THESE_ITEMS), "method": pl.lit(AGAINST_OTHERS)}
    return pl.concat([*told, counted], how="diagonal_relaxed").with_columns(**named)


def paired(draws: int) -> list[tuple[int, int]]:
    """Each draw with the next; with two draws one pair."""
    return [(at, (at + 1) % draws) for at in range(draws if draws > 2 else 1)]


def spread_of_others(cube: Floats) -> Floats:
    """Standard deviation over draws, pooled over the arms other than each: (places, arms) of (places, arms, draws)."""
    variance = cube.var(axis=2, ddof=1)
    others: Floats = (variance.sum(axis=1, keepdims=True) - variance) / (cube.shape[1] - 1)
    return np.sqrt(np.maximum(others, 0))


def outside(
    places: pl.DataFrame, beyond: NDArray[np.bool_], counted: NDArray[np.int64], confidence: float, draws: int
) -> pl.DataFrame:
    found = beyond.sum(axis=(1, 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(counted > 0, 100 * found / counted, np.nan)
    said = [
        f"{hit} of {all_} outside; {100 * (1 - confidence):g} % by design" if all_ else "undefined: no spread to expect"
        for hit, all_ in zip(found, counted, strict=True)
    ]
    return places.with_columns(
        contrast=pl.lit(OUTSIDE), estimate=pl.Series(share, nan_to_null=True), note=pl.Series(said),
        n_draws=pl.lit(draws, pl.Int64),
    )  # fmt: skip
