"""Do the backbones agree? Accuracies per draw and backbone flow in; two kinds of rows flow out."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from codedose.analyse.contrasts import ONE_DRAW, TWO_DRAWS
from codedose.analyse.views import VIEW
from codedose.keys import seed_for
from codedose.tables import UNTUNED

Floats = NDArray[np.float64]
SAME_SIGN, CONCORDANCE = "consistency", "Kendall's W"
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
    keys = ["reading", *VIEW, "draw", "backbone", "arm"]
    rows = points.filter(pl.col("backbone").is_not_null() & (pl.col("arm") != UNTUNED)).sort(keys)
    draws, backbones, arms = (rows[name].n_unique() for name in ("draw", "backbone", "arm"))
    cube = rows["points"].to_numpy().reshape(-1, draws, backbones, arms)
    found = kendall_w(cube.reshape(len(cube), draws * backbones, arms))
    p = np.where(np.isnan(found) | (draws < 2), np.nan, permuted_p(cube))
    limit = {1: ONE_DRAW, 2: TWO_DRAWS}.get(draws, "not adjusted for several tests")
    tests = rows.select("reading", *VIEW).unique(maintain_order=True)
    return tests.with_columns(
        estimate=pl.Series(found, nan_to_null=True),
        p=pl.Series(p, nan_to_null=True),
        contrast=pl.lit(CONCORDANCE),
        n_draws=pl.lit(draws, pl.Int64),
        method=pl.lit(PERMUTATION),
        note=pl.Series(np.where(np.isnan(found), "undefined: no backbone tells the arms apart", limit)),
    )


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
    rng = np.random.default_rng(seed_for("concordance"))
    orders = rng.permuted(np.broadcast_to(np.arange(arms), (PERMUTATIONS, draws, arms)), axis=2)
    apart = sums.sum(axis=1).var(axis=1)
    thrown = np.stack([np.take_along_axis(sums, order[None], axis=2).sum(axis=1).var(axis=1) for order in orders])
    share: Floats = (1 + (thrown >= apart - 1e-9).sum(axis=0)) / (1 + PERMUTATIONS)
    return share
