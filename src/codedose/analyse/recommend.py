"""Scores of a finished or partial study flow in; which share looks best, and the next cell worth training, flow out.

All of it is exploratory: it looks at results to choose what to train, so that no interval of what follows holds as it
would for a study that was settled beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.best import in_words, maybe_best
from codedose.analyse.contrasts import ONE_DRAW, arm_points
from codedose.analyse.curve import Cube, cube_of, fitted, half_widths, methods
from codedose.analyse.grid import CELL, complete, faulty_cells
from codedose.analyse.views import GROUP, VIEW, in_order
from codedose.analyse.worth import TOGETHER, Belief, at_stake, believed, best_together, noise_of
from codedose.errors import DataError
from codedose.keys import seed_for
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]

EXPLORATORY = (
    "exploratory: chosen by looking at results, to decide what to train next; a conclusion needs a study that named "
    "its contrast before it ran"
)
FINE = np.arange(101) / 100
CANDIDATES = tuple(step / 10 for step in range(11))
ENOUGH_DRAWS = 2  # of a backbone, whole, for it to be kept in a partial study


@dataclass(frozen=True)
class Recommendation:
    """What looks best and what is worth training. Shares and accuracies from 0 to 1, the rest in percentage points.

    `best` has a row for each view and group: view, of, family, backbone, best (trained share), may_be_best (the
    confidence set, null for none), note, curve_best, method, error, at_stake (null with one draw). `predicted` has one
    for each of them and untrained share: share, estimate, low, high, error. `cells` has one for each of them and
    share: draw (of the next cell), trained, cells (how many pay best together), gain, hours, gain_per_hour, the best
    first. `notes` say what limits it.
    """

    best: pl.DataFrame
    predicted: pl.DataFrame
    cells: pl.DataFrame
    notes: tuple[str, ...]


def recommend(
    scores: pl.DataFrame,
    *,
    reading: str,
    confidence: float,
    candidates: Sequence[float] = CANDIDATES,
    hours: pl.DataFrame | None = None,
) -> Recommendation:
    """What the scores under one reading suggest, over all backbones together and for each.

    `candidates` are the untrained shares that may be trained; a trained share may get one more draw. `hours` holds
    what one cell takes: backbone, share, hours; None counts each cell as one hour. Raises DataError for scores without
    two shares, and as grid.complete does.
    """
    read = scores.filter(pl.col("reading") == reading)
    if read.is_empty():
        there = ", ".join(sorted(scores["reading"].unique())) or "none"
        raise DataError(f"the scores hold no reading {reading!r}; they hold {there}")
    kept, left_out = kept_backbones(read)
    whole, partial = complete(kept, partial=True)
    cube = cube_of(grouped(arm_points(whole)))
    if len(cube.shares) < 2:
        raise DataError(f"the scores hold {len(cube.shares)} share(s) of code under {reading!r}; two are needed")
    at = np.unique(np.concatenate([cube.shares, np.round(candidates, 6)]))
    best, predicted = looking_best(cube, confidence), predictions(cube, at, confidence)
    notes = [note for note in (left_out, partial, *costs_noted(hours)) if note]
    if cube.draws < 2:
        notes.append(f"{ONE_DRAW}, and how much draws differ is unknown: train a second draw of every arm first")
        return Recommendation(best.with_columns(at_stake=pl.lit(None, pl.Float64)), predicted, no_cells(), tuple(notes))
    seen = grouped(arm_points(whole_cells(kept))).drop_nulls("share")
    beliefs = beliefs_of(cube, seen, at)
    best = best.with_columns(at_stake=pl.Series([staked(*each) for each in beliefs]))
    priced = None if hours is None else hours_of(kept, hours)
    return Recommendation(best, predicted, worthwhile(beliefs, seen, priced), tuple(notes))


def costs_noted(hours: pl.DataFrame | None) -> list[str]:
    how = "unknown: every cell is counted as one" if hours is None else "what training and asking took in this store"
    return [f"hours are {how}"]


def grouped(points: pl.DataFrame) -> pl.DataFrame:
    """Points of all backbones together and, where there are several, of each; those of families are left out."""
    pooled = pl.col("family").is_null()
    each = pl.col("backbone").is_not_null() & (points["backbone"].drop_nulls().n_unique() > 1)
    return points.filter(pooled | each)


def kept_backbones(scores: pl.DataFrame) -> tuple[pl.DataFrame, str | None]:
    """The scores without backbones that have only begun, and a note that names them.

    A backbone stays if it has two whole draws, or as many as any.
    """
    tuned = scores.filter(pl.col("arm") != UNTUNED)
    faulty = faulty_cells(scores).select("backbone", "draw").unique()
    draws = scores.select("backbone").unique().join(tuned.select("draw").unique(), how="cross")
    whole = draws.join(faulty, on=["backbone", "draw"], how="anti")
    counts = scores.select("backbone").unique().join(whole.group_by("backbone").len(), on="backbone", how="left")
    counts = counts.with_columns(pl.col("len").fill_null(0)).sort("backbone")
    enough = min(ENOUGH_DRAWS, counts["len"].max())  # type: ignore[type-var]
    begun = counts.filter(pl.col("len") < enough)["backbone"]
    note = f"left out, with too few whole draws: {', '.join(begun)}" if len(begun) else None
    return scores.filter(~pl.col("backbone").is_in(begun.implode())), note


def whole_cells(scores: pl.DataFrame) -> pl.DataFrame:
    """The scores of the arms and draws that every backbone has answered whole, draws that lack an arm included."""
    faulty = faulty_cells(scores).select(CELL[1:3]).unique()
    return scores.join(faulty, on=CELL[1:3], how="anti", nulls_equal=True)


def looking_best(cube: Cube, confidence: float) -> pl.DataFrame:
    """For each row the best trained share, the shares that may be it, and the best share of its curve."""
    best, kept = maybe_best(cube.points, confidence)
    fine = FINE[(cube.shares[0] <= FINE) & (cube.shares[-1] >= FINE)]
    fits = fitted(cube, fine)
    return cube.rows.with_columns(
        best=pl.Series(cube.shares[best]),
        may_be_best=pl.Series(
            [None if row is None else cube.shares[row].tolist() for row in kept], dtype=pl.List(pl.Float64)
        ),
        note=pl.Series([in_words(cube.shares, row, cube.draws, confidence) for row in kept]),
        curve_best=pl.Series(fine[fits.each.mean(axis=1).argmax(axis=1)]),
        method=pl.Series(methods(fits, cube)),
        error=pl.Series(fits.error, nan_to_null=True),
    )


def predictions(cube: Cube, at: Floats, confidence: float) -> pl.DataFrame:
    """For each row the curve at the shares of `at` that were not trained, with its limits and its error."""
    untrained = at[~np.isin(at, cube.shares)]
    fits = fitted(cube, untrained)
    middle, half = fits.each.mean(axis=1), half_widths(fits.each, confidence)
    inside = (untrained > cube.shares[0]) & (untrained < cube.shares[-1])
    error = np.where(inside, fits.error[:, None], np.nan)
    told = {"estimate": middle, "low": middle - half, "high": middle + half}
    rows = cube.rows.join(pl.DataFrame({"place": np.arange(len(untrained))}), how="cross", maintain_order="left_right")
    return rows.drop("place").with_columns(
        pl.Series("share", np.tile(untrained, cube.rows.height)),
        *(pl.Series(name, (value / 100).clip(0, 1).ravel(), nan_to_null=True) for name, value in told.items()),
        pl.Series("error", error.ravel(), nan_to_null=True),
    )


def beliefs_of(cube: Cube, seen: pl.DataFrame, at: Floats) -> list[tuple[tuple[str | None, ...], Belief]]:
    """What is believed of each row of the cube, by its names, from all cells seen."""
    keys = ["reading", *VIEW, *GROUP]
    numbers = {draw: number for number, draw in enumerate(seen["draw"].unique().sort())}
    parts = seen.partition_by(keys, as_dict=True)
    found = []
    for names, noise in zip(cube.rows.iter_rows(), noise_of(cube.points, fitted(cube, cube.shares).error), strict=True):
        part = parts[names].sort("share", "draw", "arm")
        draws = part["draw"].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
        shares, points = part["share"].to_numpy(), part["points"].to_numpy()
        found.append((names, believed(shares, draws, points, at, noise)))
    return found


def staked(names: tuple[str | None, ...], belief: Belief) -> float:
    return at_stake(belief, np.random.default_rng(seed_for("recommend", *map(str, names))))


def worthwhile(
    beliefs: Sequence[tuple[tuple[str | None, ...], Belief]], seen: pl.DataFrame, hours: pl.DataFrame | None
) -> pl.DataFrame:
    """Every share that could come next, with what its cells are worth: for each row the best an hour first.

    Its next cells stand in the draws that lack it, beside the other shares there, and then in draws of their own.
    """
    draws = seen["draw"].unique().sort().to_list()
    there = {share: set(part["draw"]) for (share,), part in seen.partition_by("share", as_dict=True).items()}
    numbers = [*draws, *range(draws[-1] + 1, draws[-1] + 1 + max(TOGETHER))]
    rows = []
    for names, belief in beliefs:
        for share in belief.at.tolist():
            free = [place for place, draw in enumerate(numbers) if draw not in there.get(share, ())]
            count, gain = best_together(belief, share, free)
            rows.append((*names, share, numbers[free[0]], share in there, count, gain))
    columns = ["reading", *VIEW, *GROUP, "share", "draw", "trained", "cells", "gain"]
    found = pl.DataFrame(rows, schema=no_cells().select(columns).schema, orient="row")
    priced = found.with_columns(hours=pl.lit(1.0)) if hours is None else with_hours(found, hours)
    priced = priced.with_columns(hours=pl.col("hours") * pl.col("cells"))
    priced = priced.with_columns(gain_per_hour=pl.col("gain") / pl.col("hours"))
    return in_order(priced.with_columns(less=-pl.col("gain_per_hour")), ["less", "share"]).drop("less")


def with_hours(found: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """`found` with the hours of its group and share; a share that was never trained takes what the others do."""
    usual = hours.group_by(GROUP).agg(usual=pl.col("hours").mean())
    joined = found.join(hours, on=[*GROUP, "share"], how="left", nulls_equal=True)
    joined = joined.join(usual, on=GROUP, how="left", nulls_equal=True)
    return joined.with_columns(hours=pl.coalesce("hours", "usual")).drop("usual")


def hours_of(scores: pl.DataFrame, hours: pl.DataFrame) -> pl.DataFrame:
    """Hours of one more cell of a share on every backbone of a group, with every seed: family, backbone, share,
    hours."""
    tuned = scores.filter((pl.col("arm") != UNTUNED) & pl.col("share").is_not_null())
    known = tuned.select(*GROUP, "share", "seed").unique().join(hours, on=["backbone", "share"])
    nothing = pl.lit(None, pl.String)
    every = pl.concat([known, known.with_columns(family=nothing, backbone=nothing)])
    return every.sort(*GROUP, "share", "seed").group_by(*GROUP, "share", maintain_order=True).agg(pl.col("hours").sum())


def no_cells() -> pl.DataFrame:
    """The columns of cells worth training, without rows."""
    names = dict.fromkeys(["reading", *VIEW, *GROUP], pl.String())
    more = {"share": pl.Float64(), "draw": pl.Int64(), "trained": pl.Boolean(), "cells": pl.Int64()}
    return pl.DataFrame(schema={**names, **more, **dict.fromkeys(["gain", "hours", "gain_per_hour"], pl.Float64())})
