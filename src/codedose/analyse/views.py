"""From rows per task to the three views, and from rows per backbone to families and all backbones.

Sums run over sorted rows: floating-point sums depend on order, and the order of a file must not matter.
"""

import polars as pl

VIEW = ["view", "of"]
GROUP = ["family", "backbone"]


def by_view(per_task: pl.DataFrame) -> pl.DataFrame:
    """`per_task` three times: as itself, under its domain's name, and under 'all'. Adds view and of."""
    names = {"task": pl.col("task"), "domain": pl.col("domain"), "overall": pl.lit("all")}
    return pl.concat([per_task.with_columns(view=pl.lit(view), of=name) for view, name in names.items()])


def by_group(per_backbone: pl.DataFrame, *, families: bool) -> pl.DataFrame:
    """`per_backbone` as itself, pooled (family and backbone null), and if asked per family (backbone null)."""
    nothing = pl.lit(None, pl.String)
    pooled = per_backbone.with_columns(family=nothing, backbone=nothing)
    family = [per_backbone.with_columns(backbone=nothing)] if families else []
    return pl.concat([per_backbone, *family, pooled])


def averaged(rows: pl.DataFrame, keys: list[str], values: list[str]) -> pl.DataFrame:
    """The mean of `values` over the rows of each combination of `keys`, in the order of the keys."""
    return rows.sort(keys + values).group_by(keys, maintain_order=True).agg(pl.col(values).mean())


def in_order(rows: pl.DataFrame, then: list[str]) -> pl.DataFrame:
    """Reading by reading: overall, domains, tasks; pooled before families before backbones."""
    rank = pl.col("view").replace_strict({"overall": 0, "domain": 1, "task": 2}, return_dtype=pl.Int64)
    return rows.sort("reading", rank, "of", *GROUP, *then, nulls_last=False)


def item_counts(scores: pl.DataFrame) -> pl.DataFrame:
    """How many different items stand behind each view: view, of, n_items."""
    per_task = scores.select("task", "domain", "item_id").unique()
    return by_view(per_task).group_by(VIEW).agg(n_items=pl.len().cast(pl.Int64))
