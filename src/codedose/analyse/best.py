"""Accuracies per draw flow in; the best share, with the shares that may be the best, flows out."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import NO_SPREAD, NO_TEST, NO_VARIANCE, ONE_DRAW, TWO_DRAWS
from codedose.analyse.views import GROUP, VIEW, averaged
from codedose.tables import BEST

Floats = NDArray[np.float64]
HSU = "multiple comparisons with the best over draws"


def best_share(points: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """One row per reading, view and group: estimate (the share with the highest mean, in %), note.

    The note lists the confidence set. No rows where there are fewer than two shares.
    """
    keys = ["reading", *VIEW, *GROUP]
    placed = averaged(points.drop_nulls("share"), [*keys, "draw", "share"], ["points"])
    shares, draws = np.unique(placed["share"].to_numpy()), placed["draw"].n_unique()
    rows = placed.select(keys).unique(maintain_order=True)
    if len(shares) < 2:
        return rows.clear()
    cube = placed["points"].to_numpy().reshape(rows.height, draws, len(shares))
    best, kept = maybe_best(cube, confidence)
    return rows.with_columns(
        contrast=pl.lit(BEST),
        estimate=pl.Series(100 * shares[best]),
        method=pl.lit(HSU if draws > 1 else NO_TEST),
        n_draws=pl.lit(draws, pl.Int64),
        note=pl.Series([in_words(shares, row, draws, confidence) for row in kept]),
    )


def maybe_best(cube: Floats, confidence: float) -> tuple[NDArray[np.intp], list[NDArray[np.bool_] | None]]:
    """The place of the highest mean, and which shares may be the best, for each test.

    `cube` is (tests, draws, shares). The set holds every share that is not shown to be worse than one of the others
    (multiple comparisons with the best, Hsu 1984), each comparison a one-sided t over draws that pairs the two, at an
    equal part of the error (Bonferroni). Nothing is pooled over pairs: arms share slots, so that a draw whose code is
    good moves near shares alike and far ones apart, and a common standard deviation would be too small for the ends.
    A pair whose draws all differ alike shows nothing. None where one draw, or no variance, gives no set.
    """
    best = cube.mean(axis=1).argmax(axis=1)
    _, draws, shares = cube.shape
    if draws < 2:
        return best, [None] * len(cube)
    behind = cube[:, :, None, :] - cube[:, :, :, None]  # of each share (third axis) against each other one
    sd = behind.std(axis=1, ddof=1)
    reach = stats.t.isf((1 - confidence) / (shares - 1), draws - 1) * sd / np.sqrt(draws)
    worse = (behind.mean(axis=1) > reach) & (sd > NO_SPREAD)
    tested = (sd > NO_SPREAD).any(axis=(1, 2))
    return best, [row if some else None for row, some in zip(~worse.any(axis=2), tested, strict=True)]


def in_words(shares: Floats, kept: NDArray[np.bool_] | None, draws: int, confidence: float) -> str:
    if draws < 2:
        return f"{ONE_DRAW}, so no confidence set"
    indicative = f"; {TWO_DRAWS}" if draws == 2 else ""
    if kept is None:
        return f"{NO_VARIANCE}{indicative}"
    listed = ", ".join(f"{100 * share:g} %" for share in shares[kept])
    return f"{100 * confidence:g} % confidence set: {listed}{indicative}"
