"""Do the backbones agree, and does scale matter? Accuracies per draw and backbone flow in; rows flow out."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import ONE_DRAW, TWO_DRAWS, trend
from codedose.analyse.views import VIEW
from codedose.keys import seed_for
from codedose.named import CONCORDANCE, INTERACTION, PER_SCALE, SAME_SIGN, SEVERAL
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]
SHARE_OF_BACKBONES = "share of backbones with the pooled sign"
PERMUTATION = "permutation of arms within draws"
PERMUTATIONS = 999
LIMITS = {1: f"; {ONE_DRAW}", 2: f"; {TWO_DRAWS}"}


def same_sign(tested: pl.DataFrame, contrast: str, thresholds: tuple[float, float] | None) -> pl.DataFrame:
    """How many backbones have the sign of the pooled contrast: reading, view, of, estimate (%), note.

    `tested` holds estimate, low and high per backbone and pooled. `thresholds` are the shares of
    backbones (0 to 1) from which the agreement is called consistent, and down to which opposite;
    undecided where neither the pooled interval nor that of any backbone excludes zero.
    """
    clear = ((pl.col("low") > 0) | (pl.col("high") < 0)).fill_null(False)
    rows = tested.filter(pl.col("contrast") == contrast).with_columns(clear=clear, sign=pl.col("estimate").sign())
    pooled = rows.filter(pl.col("family").is_null()).select("reading", *VIEW, whole="sign", whole_clear="clear")
    single = rows.filter(pl.col("backbone").is_not_null()).join(pooled, on=["reading", *VIEW])
    agree = (pl.col("sign") == pl.col("whole")) & (pl.col("sign") != 0)
    counted = single.group_by("reading", *VIEW).agg(
        agree=agree.sum(),
        of_all=pl.len(),
        decided=pl.col("clear").any() | pl.col("whole_clear").first(),
        n_draws=pl.col("n_draws").first(),
    )
    notes = [
        f"{agree} of {of_all} backbones have the pooled sign of {contrast}: {word(agree / of_all, decided, thresholds)}"
        + LIMITS.get(draws, "")
        for agree, of_all, decided, draws in counted.select("agree", "of_all", "decided", "n_draws").iter_rows()
    ]
    return counted.select("reading", *VIEW, "n_draws", estimate=100 * pl.col("agree") / pl.col("of_all")).with_columns(
        contrast=pl.lit(SAME_SIGN), method=pl.lit(SHARE_OF_BACKBONES), note=pl.Series(notes, dtype=pl.String)
    )


def word(share: float, decided: bool, thresholds: tuple[float, float] | None) -> str:
    if thresholds is None:
        return "not named, for no study sets the thresholds"
    if not decided:
        return "undecided"
    consistent, opposite = thresholds
    return "consistent" if share >= consistent else "opposite" if share <= opposite else "mixed"


def concordance(points: pl.DataFrame) -> pl.DataFrame:
    """Kendall's W (0 to 1) of the order of the arms: reading, view, of, estimate, p, note.

    A judge is a backbone in a draw. p comes from permuting the arms within draws, for all backbones
    at once: backbones share their draws, so permuting each alone would count a draw several times.
    """
    tests, cube = by_backbone(points)
    _, draws, backbones, arms = cube.shape
    found = kendall_w(cube.reshape(len(cube), draws * backbones, arms))
    p = np.where(np.isnan(found) | (draws < 2), np.nan, permuted_p(cube))
    limit = {1: ONE_DRAW, 2: TWO_DRAWS}.get(draws, SEVERAL)
    return tests.with_columns(
        estimate=pl.Series(found, nan_to_null=True),
        p=pl.Series(p, nan_to_null=True),
        contrast=pl.lit(CONCORDANCE),
        n_draws=pl.lit(draws, pl.Int64),
        method=pl.lit(PERMUTATION),
        note=pl.Series(np.where(np.isnan(found), "undefined: no backbone tells the arms apart", limit)),
    )


def interaction(points: pl.DataFrame) -> pl.DataFrame:
    """Do arms differ otherwise in one backbone than in another: reading, view, of, estimate (points), p, note.

    What arms, backbones and draws have in common is taken out of each draw; the estimate is the root mean square of
    what is left when it is averaged over draws, by degrees of freedom. p comes from permuting the arms within draws,
    for all backbones at once.
    """
    rows, cube = by_backbone(points)
    _, draws, backbones, arms = cube.shape
    middle = cube.mean(axis=(2, 3), keepdims=True)
    left = cube - cube.mean(axis=2, keepdims=True) - cube.mean(axis=3, keepdims=True) + middle
    found = (left.mean(axis=1) ** 2).sum(axis=(1, 2))
    thrown = np.stack([(permuted(left, order).mean(axis=1) ** 2).sum(axis=(1, 2)) for order in orders_of(draws, arms)])
    p = (1 + (thrown >= found * (1 - 1e-9) - 1e-15).sum(axis=0)) / (1 + PERMUTATIONS)
    limit = {1: ONE_DRAW, 2: TWO_DRAWS}.get(draws, SEVERAL)
    return rows.with_columns(
        estimate=pl.Series(np.sqrt(found / ((backbones - 1) * (arms - 1)))),
        p=pl.Series(p if draws > 1 else np.full(len(p), np.nan), nan_to_null=True),
        contrast=pl.lit(INTERACTION),
        n_draws=pl.lit(draws, pl.Int64),
        method=pl.lit(PERMUTATION),
        note=pl.lit(f"root mean square of what arms do in one backbone and not in all, points; {limit}"),
    )


def permuted(cube: Floats, order: NDArray[np.int64]) -> Floats:
    """`cube` (tests, draws, backbones, arms) with the arms of each draw in the order (draws, arms)."""
    return np.take_along_axis(cube, order[None, :, None, :], axis=3)


def by_backbone(points: pl.DataFrame) -> tuple[pl.DataFrame, Floats]:
    """The places (reading, view, of), and the points as (places, draws, backbones, arms)."""
    keys = ["reading", *VIEW, "draw", "backbone", "arm"]
    rows = points.filter(pl.col("backbone").is_not_null() & (pl.col("arm") != UNTUNED)).sort(keys)
    sizes = (rows[name].n_unique() for name in ("draw", "backbone", "arm"))
    return rows.select("reading", *VIEW).unique(maintain_order=True), rows["points"].to_numpy().reshape(-1, *sizes)


def orders_of(draws: int, arms: int) -> NDArray[np.int64]:
    """(permutations, draws, arms): the arms of each draw in random orders."""
    rng = np.random.default_rng(seed_for("concordance"))
    return rng.permuted(np.broadcast_to(np.arange(arms), (PERMUTATIONS, draws, arms)), axis=2)


def per_scale(values: pl.DataFrame, scales: pl.DataFrame) -> pl.DataFrame:
    """Each contrast's slope over scale, draw by draw, as `contrasts.over_draws` takes it.

    `values` is what `contrasts.contrasted` gives; `scales` holds backbone and scale (billions of parameters). The
    slope is the least-squares one over log10 of the scale, in points per tenfold scale.
    """
    slopes, reason = trend(np.log10(scales["scale"].to_numpy()), 1)
    placed = scales.with_columns(weight=pl.Series(slopes)).select("backbone", "weight")
    why = None if reason is None else "undefined: the backbones have one scale"
    keys = ["reading", *VIEW, "contrast", "draw"]
    rows = values.filter(pl.col("kind").is_in(["baseline", "untuned"]) & pl.col("backbone").is_not_null()).join(
        placed, on="backbone"
    )
    summed = rows.sort(*keys, "backbone").group_by(keys, maintain_order=True)
    nothing = pl.lit(None, pl.String)
    return summed.agg((pl.col("value") * pl.col("weight")).sum()).with_columns(
        contrast=pl.col("contrast") + PER_SCALE, kind=pl.lit("scale"), family=nothing, backbone=nothing,
        reason=pl.lit(why, pl.String),
    )  # fmt: skip


def ranked(scores: Floats) -> Floats:
    """Ranks along the last axis, ties halved; what differs by rounding only is a tie."""
    ranks: Floats = stats.rankdata(scores.round(9), axis=-1)
    return ranks


def kendall_w(scores: Floats) -> Floats:
    """Kendall's coefficient of concordance, corrected for ties, of (tests, judges, arms); nan if all tie."""
    ranks = ranked(scores)
    _, judges, arms = ranks.shape
    middle = (arms + 1) / 2
    between = ((ranks.sum(axis=1) - judges * middle) ** 2).sum(axis=1)
    within = ((ranks - middle) ** 2).sum(axis=(1, 2))
    w: Floats = np.divide(between, judges * within, out=np.full(len(ranks), np.nan), where=within > 0)
    return w


def permuted_p(cube: Floats) -> Floats:
    """p of each test of (tests, draws, backbones, arms): the share of permutations with rank sums as far apart."""
    sums = ranked(cube).sum(axis=2)
    _, draws, arms = sums.shape
    apart = sums.sum(axis=1).var(axis=1)
    thrown = np.stack(
        [np.take_along_axis(sums, order[None], axis=2).sum(axis=1).var(axis=1) for order in orders_of(draws, arms)]
    )
    share: Floats = (1 + (thrown >= apart - 1e-9).sum(axis=0)) / (1 + PERMUTATIONS)
    return share
