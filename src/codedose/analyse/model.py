"""The model-based check: scores of 0 and 1 flow in; the coefficients of one mixed logistic model flow out.

right ~ share x domain + task + backbone + (1 | draw) + (1 | run): Bernoulli replies of the tuned runs, fitted by
variational Bayes (statsmodels' BinomialBayesMixedGLM). No sandwich errors: there are far too few draws for them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse, stats

from codedose.analyse.grid import CELL
from codedose.analyse.views import GROUP
from codedose.tables import MODEL, NEW_ITEMS, UNTUNED

Floats = NDArray[np.float64]
SHARE = "share"
MIXED = "mixed logistic model: right ~ share x domain + task + backbone + (1 | draw) + (1 | run)"
LOG_ODDS = (
    "log odds per 100 % of code; approximate posterior (variational Bayes), narrower than it should be with few draws"
)
MOST_ROWS = (
    20_000  # of 0 and 1 in one reading: a minute; beyond, the first items of each task in the order of their ids
)


def model_check(scores: pl.DataFrame, reading: str, confidence: float) -> pl.DataFrame:
    """view, of, reading, GROUP, contrast, kind, estimand, estimate, low, high, method, n_draws, n_runs, note.

    One row for the share over all domains (each weighs the same) and one for how each domain departs from it, in log
    odds per 100 % of code. The scores must be a whole grid. A model that cannot be fitted is null with the reason.
    """
    tuned = scores.filter((pl.col("arm") != UNTUNED) & pl.col("share").is_not_null() & (pl.col("reading") == reading))
    told = [
        fitted(rows, str(name), confidence)
        for (name,), rows in tuned.sort("reading").group_by("reading", maintain_order=True)
    ]
    return pl.concat(told) if told else pl.DataFrame()


def thinned(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with as many items of each task as MOST_ROWS allows: whole items, so that the grid stays whole."""
    if rows.height <= MOST_ROWS:
        return rows
    each = rows.height // rows.select("task", "item_id").n_unique()  # replies an item
    kept = max(MOST_ROWS // (each * rows["task"].n_unique()), 1)
    return rows.filter(pl.col("item_id").rank("dense").over("task") <= kept)


Estimate = tuple[float | None, float | None, float | None]


def fitted(rows: pl.DataFrame, reading: str, confidence: float) -> pl.DataFrame:
    rows, asked = thinned(rows.sort("task", "item_id", *CELL, "sample")), rows.height
    domains = sorted(rows["domain"].unique())
    names = [SHARE, *(f"{SHARE} x {domain}" for domain in domains)]
    nothing: list[Estimate] = [(None, None, None)] * len(names)
    if rows["share"].n_unique() < 2:
        found, why = nothing, "undefined: 2 different shares are needed"
    else:
        found, why = estimates(rows, domains, confidence)
        why += f"; fitted to {rows.height:,} of {asked:,} replies" if rows.height < asked else ""
    views = [("overall", "all"), *(("domain", domain) for domain in domains)]
    shown = [
        (*view, reading, None, None, name, *values)
        for view, name, values in zip(views, names, found, strict=True)
        if len(domains) > 1 or name == SHARE
    ]
    kinds = [pl.String] * 6 + [pl.Float64] * 3
    head = ["view", "of", "reading", *GROUP, "contrast", "estimate", "low", "high"]
    return pl.DataFrame(shown, schema=dict(zip(head, kinds, strict=True)), orient="row").with_columns(
        kind=pl.lit(MODEL), estimand=pl.lit(NEW_ITEMS), method=pl.lit(MIXED), note=pl.lit(why),
        n_draws=pl.lit(rows["draw"].n_unique(), pl.Int64), n_runs=pl.lit(rows.select(CELL).n_unique(), pl.Int64),
    )  # fmt: skip


def estimates(rows: pl.DataFrame, domains: Sequence[str], confidence: float) -> tuple[list[Estimate], str]:
    """(value, low, high) of the share and of each domain's departure from it, and what to say of them."""
    from statsmodels.genmod.bayes_mixed_glm import BinomialBayesMixedGLM

    fixed, random, groups = matrices(rows, domains)
    right = (rows["outcome"] == "right").to_numpy().astype(float)
    model = BinomialBayesMixedGLM(right, fixed, random, groups, vcp_p=1.0, fe_p=2.0)
    result: Any = model.fit_vb(verbose=False)
    mean, sd = np.asarray(result.fe_mean), np.asarray(result.fe_sd)
    if not np.isfinite(mean).all() or not np.isfinite(sd).all():
        return [(None, None, None)] * (1 + len(domains)), "undefined: the model could not be fitted"
    use = np.zeros((1 + len(domains), len(mean)))
    use[0, 0] = 1
    use[1:, 1 : len(domains)] = to_zero(len(domains))
    values, errors = use @ mean, np.sqrt(use**2 @ sd**2)
    reach = float(stats.norm.isf((1 - confidence) / 2)) * errors
    told = zip(values.tolist(), (values - reach).tolist(), (values + reach).tolist(), strict=True)
    return list(told), LOG_ODDS


def to_zero(levels: int) -> Floats:
    """(levels, levels - 1): each level's code where their effects sum to zero."""
    return np.vstack([np.eye(levels - 1), -np.ones(levels - 1)])


def matrices(rows: pl.DataFrame, domains: Sequence[str]) -> tuple[Floats, sparse.csr_matrix, NDArray[np.int64]]:
    """Fixed effects (rows, columns), random ones (rows, draws and runs), and which variance each of these has.

    The first columns are the share and its products with the domains, coded to sum to zero; the share is centred.
    """
    share = rows["share"].to_numpy() - rows["share"].mean()
    coded = to_zero(len(domains))
    domain = rows["domain"].to_numpy()
    place = np.searchsorted(np.array(domains), domain)
    columns = [share[:, None], share[:, None] * coded[place]]
    for name, drop in (("task", 0), ("backbone", 1)):
        levels, at = np.unique(rows[name].to_numpy(), return_inverse=True)
        columns.append(np.eye(len(levels))[at][:, drop:])
    draws = rows["draw"].rank("dense").to_numpy() - 1
    runs = rows.select(pl.struct(CELL).rank("dense")).to_series().to_numpy() - 1
    sizes = int(draws.max()) + 1, int(runs.max()) + 1
    at = np.arange(rows.height)
    random = sparse.csr_matrix(
        (np.ones(2 * rows.height), (np.tile(at, 2), np.concatenate([draws, sizes[0] + runs]))),
        shape=(rows.height, sum(sizes)),
    )
    return np.hstack(columns), random, np.repeat([0, 1], sizes)
