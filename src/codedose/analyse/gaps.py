"""Scores flow in; what each cluster of items adds to each difference between two arms, draw by draw, flows out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.views import GROUP

Floats = NDArray[np.float64]
COLUMN = ["reading", *GROUP, "contrast"]
AXES = ("reading", "backbone", "arm", "draw", "cluster")


@dataclass(frozen=True)
class TaskGaps:
    """One task. `gaps` is (columns, draws, clusters), in shares of the task's questions (0 to 1): it sums over clusters
    to the difference of accuracies. `part` (clusters) is each cluster's share of the replies, `replies` (columns) how
    many replies of one arm a cluster holds at most.
    """

    task: str
    domain: str
    gaps: Floats
    part: Floats
    replies: NDArray[np.int64]


def cluster_gaps(scores: pl.DataFrame, parts: pl.DataFrame) -> tuple[pl.DataFrame, list[TaskGaps]]:
    """The columns (one row of COLUMN each) and the gaps of every task.

    `scores` must be a whole grid, `parts` is what `contrasts.weights` gives. Seeds, samples and backbones are
    averaged: in a whole grid they weigh the same. The untuned backbone stands in every draw.
    """
    levels = {name: scores[name].drop_nulls().unique().sort().to_list() for name in AXES[:4]}
    groups, averages = groups_of(scores, levels["backbone"])
    contrasts = parts["contrast"].unique().sort().to_list()
    placed = [(contrasts.index(c), levels["arm"].index(a), w) for c, a, w in parts["contrast", "arm", "weight"].rows()]
    mixed = np.zeros((len(contrasts), len(levels["arm"])))
    for row, column, weight in placed:
        mixed[row, column] = weight
    columns = [(reading, *group, each) for reading in levels["reading"] for group in groups for each in contrasts]
    tasks = scores.partition_by("task", as_dict=True)
    found = [gaps_of(str(name), rows, levels, averages, mixed) for (name,), rows in sorted(tasks.items())]
    return pl.DataFrame(columns, schema=dict.fromkeys(COLUMN, pl.String), orient="row"), found


def groups_of(scores: pl.DataFrame, backbones: Sequence[str]) -> tuple[list[tuple[str | None, str | None]], Floats]:
    """(family, backbone) of every group, and how much each backbone weighs in it: (groups, backbones)."""
    family = dict(scores.select("backbone", "family").unique().iter_rows())
    families = sorted(set(family.values()))
    groups: list[tuple[str | None, str | None]] = [(family[name], name) for name in backbones]
    groups += [(name, None) for name in families] + [(None, None)]
    inside = np.array(
        [[who in (None, name) and of in (None, family[name]) for name in backbones] for of, who in groups]
    )
    return groups, inside / inside.sum(axis=1, keepdims=True)


def gaps_of(
    task: str, rows: pl.DataFrame, levels: dict[str, list[object]], averages: Floats, mixed: Floats
) -> TaskGaps:
    clusters = rows["cluster"].unique().sort().to_list()
    levels = {**levels, "cluster": clusters}
    sums = rows.group_by(AXES).agg(right=(pl.col("outcome") == "right").sum(), n=pl.len())
    sums = sums.with_columns(
        pl.col(name).replace_strict(values, range(len(values)), default=None, return_dtype=pl.Int64)
        for name, values in levels.items()
    )
    right, n = np.zeros((2, *(len(levels[name]) for name in AXES)))
    for bare, part in (
        (False, sums.filter(pl.col("draw").is_not_null())),
        (True, sums.filter(pl.col("draw").is_null())),
    ):
        r, b, a, d, c = (part[name].to_numpy() for name in AXES)
        at = (r, b, a, slice(None), c) if bare else (r, b, a, d, c)
        for cube, name in ((right, "right"), (n, "n")):
            cube[at] = part[name].to_numpy()[:, None] if bare else part[name].to_numpy()
    whole = n.sum(axis=-1, keepdims=True)
    gaps = np.einsum("gb,ka,rbadc->rgkdc", averages, mixed, right / whole, optimize=True)
    held = (averages > 0).sum(axis=1) * int(n.max())
    return TaskGaps(
        task=task,
        domain=str(rows["domain"][0]),
        gaps=gaps.reshape(-1, *gaps.shape[3:]),
        part=(n / whole)[0, 0, 0, 0],
        replies=np.tile(np.repeat(held, len(mixed)), len(levels["reading"])),
    )


def members(tasks: Sequence[TaskGaps]) -> list[tuple[str, str, list[int]]]:
    """(view, of, places of its tasks) of each view."""
    domains = sorted({task.domain for task in tasks})
    inside = [("domain", name, [at for at, task in enumerate(tasks) if task.domain == name]) for name in domains]
    alone = [("task", task.task, [at]) for at, task in enumerate(tasks)]
    return [("overall", "all", list(range(len(tasks)))), *inside, *alone]
