"""Scores of trained and of interpolated adapters flow in; the curve of the latter, and how well it told the former."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from codedose.analyse.contrasts import ONE_DRAW, arm_points
from codedose.analyse.grid import complete
from codedose.analyse.recommend import grouped
from codedose.analyse.views import GROUP, VIEW, in_order

KEYS = ["reading", *VIEW, *GROUP]


@dataclass(frozen=True)
class Shortcut:
    """What interpolation shows, in percentage points but for shares, from 0 to 1.

    `curve` has a row for each reading, view, group and share: estimate, low, high (t over draws). `judged` has one for
    each of the former: shares (trained ones between the ends), rms and largest (of interpolated minus trained, means
    over draws), at (the share of the largest), noise (standard error of that difference, root mean square over
    shares; null with one draw), line_rms (of a straight line between the ends' accuracies in its place), best (the
    share with the highest interpolated accuracy, ends included). No trained share between the ends: these are null.
    """

    curve: pl.DataFrame
    judged: pl.DataFrame
    notes: tuple[str, ...]


def judge(
    trained: pl.DataFrame, between: pl.DataFrame, *, ends: tuple[str, str], reading: str, confidence: float
) -> Shortcut:
    """`between` holds the scores of interpolated cells, whose arms have their shares; `ends` are the arms at 0 and 1.

    Raises DataError as grid.complete does, for either.
    """
    whole, partial = complete(trained.filter(pl.col("reading") == reading), partial=True)
    same = whole.select("backbone", "draw").drop_nulls().unique()
    asked, _ = complete(between.filter(pl.col("reading") == reading).join(same, on=["backbone", "draw"]), partial=False)
    points, told = (grouped(arm_points(some)).drop_nulls("share") for some in (whole, asked))
    at_ends = points.filter(pl.col("arm").is_in(ends))
    found = pl.concat([told, at_ends])
    errors = missed(points, told, at_ends)
    judged = by_view(errors).join(best_of(found), on=KEYS, how="right", nulls_equal=True)
    notes = [partial] if partial else []
    notes += [f"{ONE_DRAW}, and no noise to compare errors with"] if points["draw"].n_unique() < 2 else []
    notes += [] if errors.height else ["no share between 0 % and 100 % was trained: nothing to check the shortcut by"]
    return Shortcut(curve_of(found, confidence), in_order(judged, []), tuple(notes))


def curve_of(found: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """The mean over draws at each share, with Student's t limits; null with one draw."""
    rows = found.sort(*KEYS, "share", "draw").group_by(*KEYS, "share", maintain_order=True)
    told = rows.agg(estimate=pl.col("points").mean(), sd=pl.col("points").std(), n=pl.len())
    reach = stats.t.isf((1 - confidence) / 2, np.maximum(told["n"].to_numpy() - 1, 1)) / np.sqrt(told["n"].to_numpy())
    half = pl.col("sd") * pl.Series(reach)
    limits = {"low": pl.col("estimate") - half, "high": pl.col("estimate") + half}
    return in_order(told.with_columns(**limits).drop("sd", "n"), ["share"])


def missed(points: pl.DataFrame, told: pl.DataFrame, at_ends: pl.DataFrame) -> pl.DataFrame:
    """For each view, group and trained share between the ends what was missed by: error, noise, line (mean errors of
    interpolation and of a straight line)."""
    place = [*KEYS, "draw"]
    inner = points.filter((pl.col("share") > 0) & (pl.col("share") < 1)).select(*place, "share", found="points")
    low, high = (
        at_ends.filter(pl.col("share") == share).select(*place, pl.col("points").alias(name))
        for share, name in ((0, "zero"), (1, "one"))
    )
    rows = inner.join(told.select(*place, "share", told="points"), on=[*place, "share"], nulls_equal=True)
    for end in (low, high):
        rows = rows.join(end, on=place, nulls_equal=True)
    line = pl.col("zero") + pl.col("share") * (pl.col("one") - pl.col("zero"))
    rows = rows.with_columns(error=pl.col("told") - pl.col("found"), line=line - pl.col("found"))
    means = rows.sort(*KEYS, "share", "draw").group_by(*KEYS, "share", maintain_order=True)
    noise = pl.col("error").std() / pl.len().sqrt()
    return means.agg(pl.col("error").mean(), pl.col("line").mean(), noise=noise)


def by_view(errors: pl.DataFrame) -> pl.DataFrame:
    """Root mean squares over shares, and the largest error."""
    largest = pl.col("error").abs().arg_max()
    return errors.group_by(KEYS, maintain_order=True).agg(
        shares=pl.len().cast(pl.Int64),
        rms=root_mean_square("error"),
        largest=pl.col("error").get(largest),
        at=pl.col("share").get(largest),
        noise=pl.when(pl.col("noise").null_count() == 0).then(root_mean_square("noise")),
        line_rms=root_mean_square("line"),
    )


def root_mean_square(name: str) -> pl.Expr:
    return (pl.col(name) ** 2).mean().sqrt()


def best_of(found: pl.DataFrame) -> pl.DataFrame:
    """The share with the highest mean over draws, the lower one of equals."""
    means = (
        found.sort(*KEYS, "share", "draw").group_by(*KEYS, "share", maintain_order=True).agg(pl.col("points").mean())
    )
    return means.group_by(KEYS, maintain_order=True).agg(best=pl.col("share").get(pl.col("points").arg_max()))


def shares_to_ask(trained: Sequence[float], more: Sequence[float]) -> list[float]:
    """The shares between the ends that are worth asking: the trained ones, and every quarter or those asked for."""
    return sorted({round(share, 6) for share in [*trained, *(more or (0.25, 0.5, 0.75))] if 0 < share < 1})
