"""Several tests at once: raw p values flow in, adjusted ones flow out. Undefined ones (nan) stay out of the count."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.notes import UNADJUSTED
from codedose.analyse.views import GROUP

Floats = NDArray[np.float64]


def holm(p: Floats) -> Floats:
    """p values adjusted so that the chance of any false rejection in the family is kept (Holm 1979)."""
    adjusted, order = np.full(len(p), np.nan), defined(p)
    left = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * left), 1)
    return adjusted


def benjamini_hochberg(p: Floats) -> Floats:
    """p values adjusted so that the expected share of false rejections is kept (Benjamini and Hochberg 1995)."""
    adjusted, order = np.full(len(p), np.nan), defined(p)
    rank = np.arange(1, len(order) + 1)
    raised = p[order] * len(order) / rank
    adjusted[order] = np.minimum(np.minimum.accumulate(raised[::-1])[::-1], 1)
    return adjusted


def defined(p: Floats) -> NDArray[np.intp]:
    """Places of the defined p values, smallest first."""
    return np.argsort(p, kind="stable")[: int(np.isfinite(p).sum())]


def per_family(rows: pl.DataFrame, family: list[str], method: Callable[[Floats], Floats], name: str) -> pl.DataFrame:
    """`rows` with p_adjusted, and with `adjusted_by` in words; one family of tests per combination of `family`."""
    rows = rows.sort(family)
    ends = rows.group_by(family, maintain_order=True).len()["len"].cum_sum().to_list()
    p = rows["p"].fill_null(np.nan).to_numpy()
    raised = np.concatenate([method(part) for part in np.split(p, ends[:-1])])
    tests = pl.col("p").count().over(family)
    plural = pl.when(tests == 1).then(pl.lit(" test")).otherwise(pl.lit(" tests"))
    return rows.with_columns(
        p_adjusted=pl.Series(raised, nan_to_null=True, dtype=pl.Float64),
        adjusted_by=pl.lit(f"{name} over ") + tests.cast(pl.String) + plural,
    )


def adjusted(tested: pl.DataFrame, alone: pl.Expr) -> pl.DataFrame:
    """`tested` with p_adjusted and adjusted_by; the one test in the rows `alone` stays as it is.

    Per reading and group: Holm over the domains of a contrast, Benjamini-Hochberg over tasks x contrasts, Holm over
    the overall contrasts of one kind (against the baseline, against the untuned, trends, ...). The primary contrast
    stays as it is under every reading, so that readings are compared like with like.
    """
    named = tested.filter(alone).with_columns(p_adjusted=pl.col("p"), adjusted_by=pl.lit(UNADJUSTED))
    others, kind = tested.filter(~alone), ["reading", *GROUP, "kind"]
    view = {name: others.filter(pl.col("view") == name) for name in ("overall", "domain", "task")}
    return pl.concat(
        [
            named,
            per_family(view["overall"], kind, holm, "Holm"),
            per_family(view["domain"], [*kind, "contrast"], holm, "Holm"),
            per_family(view["task"], kind, benjamini_hochberg, "Benjamini-Hochberg"),
        ]
    )
