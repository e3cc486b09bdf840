"""Accuracies per draw flow in; a smooth curve over shares flows out, with its limits over draws and its error.

A curve is linear in the accuracies that it is fitted to, so that the curve of each draw is a matrix product, and
draws are what is counted. It need not rise or fall throughout: a best share inside must be visible. Natural splines
have four knots at quantiles of the trained shares, which is enough for few points (Harrell 2015, section 2.4.6).

Its limits are about the curve of the kind that was chosen. Where the truth is of no such kind they cover too little,
and what shares left out are missed by tells more: an error of one share's mean, noise included, rather too large.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import interpolate, stats

from codedose.analyse.contrasts import NO_SPREAD, NO_VARIANCE, ONE_DRAW, TWO_DRAWS
from codedose.analyse.views import GROUP, VIEW, averaged
from codedose.tables import CURVES, check

Floats = NDArray[np.float64]
Whole = NDArray[np.intp]

LINE, QUADRATIC, SPLINE = "line", "quadratic", "natural cubic spline"
DEGREES = {LINE: 1, QUADRATIC: 2}
KNOTS = 4
STEPS = 20  # a curve is told at every 5 % of code
FEWEST_TO_LEAVE_OUT = 4  # shares: of fewer, leaving one out leaves no curve to predict it with


@dataclass(frozen=True)
class Cube:
    """`points` in percentage points, (rows, draws, shares); `rows` names the first: reading, view, of, family,
    backbone."""

    rows: pl.DataFrame
    shares: Floats
    points: Floats

    @property
    def draws(self) -> int:
        return int(self.points.shape[1])


@dataclass(frozen=True)
class Fitted:
    """One curve for each row of a cube: `each` is (rows, draws, where it was asked for), in percentage points.

    `kinds` are those that were compared, `chosen` (rows,) the place of the one that is taken, `error` (rows,) the root
    mean square error of predicting shares left out, in percentage points; nan where that is unknown.
    """

    each: Floats
    kinds: tuple[str, ...]
    chosen: Whole
    error: Floats


def curves(points: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """The table of curves: for each reading, view and group 21 shares from 0 to 1, as accuracies from 0 to 1.

    `points` is what contrasts.arm_points gives: a whole grid, in percentage points. `low` and `high` are Student's t
    limits over the curves of draws, at each share alone; null with one draw or no variance. They hold what draws do
    to the curve of the kind that was chosen, not the choice itself. `error` is null with fewer than four shares, and
    outside the trained ones. No rows with fewer than two shares.
    """
    cube = cube_of(points)
    if len(cube.shares) < 2:
        return CURVES.frame([])
    at = np.arange(STEPS + 1) / STEPS
    fits = fitted(cube, at)
    middle, half = fits.each.mean(axis=1), half_widths(fits.each, confidence)
    inside = (at >= cube.shares[0]) & (at <= cube.shares[-1])
    told = {"estimate": middle, "low": middle - half, "high": middle + half}
    columns = [pl.Series(name, (values / 100).clip(0, 1).ravel(), nan_to_null=True) for name, values in told.items()]
    error = np.where(inside, fits.error[:, None], np.nan)
    rows = cube.rows.with_columns(method=pl.Series(methods(fits, cube)))
    whole = rows.select(pl.all().repeat_by(len(at)).explode()).with_columns(
        pl.Series("share", np.tile(at, rows.height)),
        *columns,
        pl.Series("error", error.ravel(), nan_to_null=True),
    )
    return check(whole, CURVES)


def cube_of(points: pl.DataFrame) -> Cube:
    """Accuracies of the arms that have a share, those of one share averaged. Sorted, so that no order matters."""
    keys = ["reading", *VIEW, *GROUP]
    placed = averaged(points.drop_nulls("share"), [*keys, "draw", "share"], ["points"])
    shares, rows = np.unique(placed["share"].to_numpy()), placed.select(keys).unique(maintain_order=True)
    draws = placed["draw"].n_unique()
    return Cube(rows, shares, placed["points"].to_numpy().reshape(rows.height, draws, len(shares)))


def fitted(cube: Cube, at: Floats) -> Fitted:
    """The curves of a cube at the shares `at`: for each row the kind that best predicts a draw left out."""
    kinds = candidates(len(cube.shares))
    chosen = choice(cube, kinds)
    each = np.stack([cube.points @ through(kind, cube.shares, at).T for kind in kinds])
    errors = np.stack([error_left_out(cube, kind) for kind in kinds])
    rows = np.arange(len(chosen))
    return Fitted(each[chosen, rows], kinds, chosen, errors[chosen, rows])


def candidates(shares: int) -> tuple[str, ...]:
    """The kinds of curves that so many shares leave to choose from, the simplest first."""
    return {2: (LINE,), 3: (QUADRATIC,)}.get(shares, (QUADRATIC, SPLINE))


def choice(cube: Cube, kinds: tuple[str, ...]) -> Whole:
    """For each row the place of the kind whose curve through all other draws is nearest to a draw (mean square).

    The simplest where they are equally near, or where there is one draw.
    """
    if cube.draws < 2:
        return np.zeros(len(cube.points), np.intp)
    others = (cube.points.sum(axis=1, keepdims=True) - cube.points) / (cube.draws - 1)
    found = [
        ((cube.points - others @ through(kind, cube.shares, cube.shares).T) ** 2).mean(axis=(1, 2)) for kind in kinds
    ]
    beaten = np.stack(found) + NO_SPREAD * (np.arange(len(kinds)) > 0)[:, None]
    return np.asarray(beaten.argmin(axis=0), np.intp)


def error_left_out(cube: Cube, kind: str) -> Floats:
    """Root mean square of what a curve through the other shares misses a share's mean over draws by, for each row.

    Each share between the outermost two is left out in turn: what lies beyond them is no prediction between shares.
    """
    if len(cube.shares) < FEWEST_TO_LEAVE_OUT:
        return np.full(len(cube.points), np.nan)
    return np.asarray(np.sqrt((missed(cube, kind) ** 2).mean(axis=1)), np.float64)


def missed(cube: Cube, kind: str) -> Floats:
    """Predicted minus found at each inner share, (rows, inner shares), in percentage points."""
    means, inner = cube.points.mean(axis=1), range(1, len(cube.shares) - 1)
    predicted = [
        np.delete(means, place, axis=1) @ through(kind, np.delete(cube.shares, place), cube.shares[[place]])[0]
        for place in inner
    ]
    return np.asarray(np.stack(predicted, axis=1) - means[:, 1:-1], np.float64)


def through(kind: str, shares: Floats, at: Floats) -> Floats:
    """Weights that turn accuracies at `shares` into those of their least-squares curve at `at`: (at, shares)."""
    if kind == SPLINE:
        knots = np.quantile(shares, np.linspace(0, 1, min(KNOTS, len(shares))))
        there, asked = natural(knots, shares), natural(knots, at)
    else:
        there, asked = (np.vander(places, DEGREES[kind] + 1) for places in (shares, at))
    return np.asarray(asked @ np.linalg.pinv(there), np.float64)


def natural(knots: Floats, at: Floats) -> Floats:
    """The natural cubic splines that are 1 at one knot and 0 at the others, at `at`: (at, knots). Straight outside."""
    spline = interpolate.CubicSpline(knots, np.eye(len(knots)), bc_type="natural")
    near = at.clip(knots[0], knots[-1])
    return np.asarray(spline(near) + (at - near)[:, None] * spline(near, 1), np.float64)


def half_widths(each: Floats, confidence: float) -> Floats:
    """Half the width of Student's t interval over draws (the middle axis); nan with one draw or no variance."""
    draws = each.shape[1]
    if draws < 2:
        return np.full(each.mean(axis=1).shape, np.nan)
    spread = each.std(axis=1, ddof=1)
    reach = stats.t.isf((1 - confidence) / 2, draws - 1) / np.sqrt(draws)
    return np.where(spread > NO_SPREAD, reach * spread, np.nan)


def methods(fits: Fitted, cube: Cube) -> list[str]:
    """For each row which curve it is, why that one, and what limits it."""
    draws, flat = cube.draws, fits.each.std(axis=1).max(axis=1) <= NO_SPREAD
    limited = {1: f"; {ONE_DRAW}", 2: f"; {TWO_DRAWS}"}.get(draws, "")
    return [
        f"{fits.kinds[place]}, {why(len(cube.shares), draws, fits.kinds, place)}{limited}"
        + (f"; {NO_VARIANCE}" if draws > 1 and same else "")
        for place, same in zip(fits.chosen, flat, strict=True)
    ]


def why(shares: int, draws: int, kinds: tuple[str, ...], place: int) -> str:
    """Why a curve is of its kind."""
    if len(kinds) == 1:
        return f"the most that {shares} shares show"
    if draws < 2:
        return "the simplest: with one draw none can be left out to choose by"
    other = kinds[1 - place]
    return f"which predicts draws left out {'no worse' if place == 0 else 'better'} than a {other}"
