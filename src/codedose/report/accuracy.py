"""Accuracies -> how right, and how often readable, the replies of each arm were, as tables."""

from collections.abc import Mapping, Sequence

import polars as pl

from codedose.named import T_OVER_DRAWS
from codedose.report import grids
from codedose.report.frame import Frame, arranged, of_view, over_runs
from codedose.report.grids import NOTHING, Cell, Grid, between, figures, label_of, percent


def accuracy(accuracies: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """One table per view of the pooled rows; per backbone where there are several; extraction rates."""
    together = grids.pooled(over_runs(accuracies))
    single = over_runs(accuracies).filter(pl.col("backbone").is_not_null())
    telling = (frame.arms, frame.readings, frame.origins)
    several = single["backbone"].n_unique() > 1
    apart = accuracy_grid(arranged(single, frame), "Accuracy by backbone", *telling)
    return {
        **{
            view: accuracy_grid(of_view(together, view, frame), f"Accuracy, {name}", *telling)
            for view, name in (("overall", "overall"), ("domain", "by domain"), ("task", "by task"))
        },
        "backbones": apart if several else None,
        "extraction": extraction_grid(arranged(together, frame), *telling),
        "methods": sorted({f"{method}{about(method)}" for method in together["method"]}),
    }


def about(method: str) -> str:
    """What an interval by this method speaks of; "" where there is none."""
    if method.startswith("no interval"):
        return ""
    return ", about new draws and these items" if method == T_OVER_DRAWS else ", about these checkpoints and new items"


def accuracy_grid(
    frame: pl.DataFrame, caption: str, arms: Sequence[str], readings: Sequence[str], origins: Mapping[str, str]
) -> Grid:
    """One row per place and arm (and backbone, where the rows name several); one column per reading."""
    several = frame["backbone"].drop_nulls().n_unique() > 1
    found: dict[tuple[str, str, str | None], dict[tuple[str, str], Mapping[str, float]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault((row["view"], row["of"], row["backbone"]), {})[row["arm"], row["reading"]] = row
    rows = []
    for (view, of, backbone), told in found.items():
        for arm in arms:
            shown = [told.get((arm, reading)) for reading in readings]
            if any(shown):
                name = [Cell(label_of(view, of, origins)), *([Cell(backbone or "all")] if several else []), Cell(arm)]
                rows.append([*name, *(Cell(accuracy_text(row), "n") for row in shown)])
    head = ["of", *(["backbone"] if several else []), "arm", *(f"{reading}, %" for reading in readings)]
    return Grid(caption + spoken(frame), head, rows)


def spoken(frame: pl.DataFrame) -> str:
    """What the intervals of these rows are about, to stand behind a caption; "" where there are none."""
    methods = sorted(set(frame.filter(pl.col("low").is_not_null())["method"]))
    return f"; intervals: {'; '.join(f'{method}{about(method)}' for method in methods)}" if methods else ""


def accuracy_text(row: Mapping[str, float] | None) -> str:
    if row is None:
        return NOTHING
    span = between(row["low"], row["high"], percent)
    return percent(row["accuracy"]) + ("" if span == NOTHING else f" ({span})")


def extraction_grid(
    frame: pl.DataFrame, arms: Sequence[str], readings: Sequence[str], origins: Mapping[str, str]
) -> Grid:
    """One row per place and arm: per reading the replies with an answer and those cut off, then those in code."""
    found: dict[tuple[str, str], dict[tuple[str, str], Mapping[str, float]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault((row["view"], row["of"]), {})[row["arm"], row["reading"]] = row
    rows = []
    for (view, of), told in found.items():
        for arm in arms:
            shown = [told.get((arm, reading)) for reading in readings]
            if any(shown):
                rates = [percent(row[what] if row else None) for what in ("answered", "truncated") for row in shown]
                in_code = next(row["in_code"] for row in shown if row)
                rows.append([Cell(label_of(view, of, origins)), Cell(arm), *figures(*rates, percent(in_code))])
    head = ["of", "arm", *(f"{what}, {reading}" for what in ("answered", "truncated") for reading in readings)]
    return Grid("Replies with an answer, cut at the token limit, and in code, %", [*head, "in code"], rows)
