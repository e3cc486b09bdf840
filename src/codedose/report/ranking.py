"""Accuracies, effects and curves -> which arm and which share is best, and whether the backbones agree on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from codedose.named import CONCORDANCE, INTERACTION, PER_SCALE, SAME_SIGN, SEVERAL
from codedose.report.frame import Frame, about, of_kind, said
from codedose.report.grids import (
    NOTHING,
    Cell,
    Grid,
    between,
    figures,
    label_of,
    number,
    percent,
    plain,
    points,
    pooled,
    probability,
    real,
    without_empty,
)
from codedose.tables import AGREEMENT, BEST, UNTUNED

Row = Mapping[str, Any]
TIE = 9  # decimals: accuracies that differ by less are equal
RANKS = {
    "view": pl.String, "of": pl.String, "reading": pl.String, "arm": pl.String, "rank": pl.Float64, "judges": pl.Int64,
}  # fmt: skip


def mean_ranks(accuracies: pl.DataFrame, domains: Mapping[str, str]) -> pl.DataFrame:
    """(view, of, reading, arm, rank, judges): the mean rank of each arm, 1 the most accurate, ties halved.

    A judge is one backbone in one draw on one task, its seeds averaged. Judges that lack an arm do not count.
    """
    runs = accuracies.filter(
        pl.col("draw").is_not_null(), pl.col("backbone").is_not_null(), pl.col("arm") != UNTUNED, view="task"
    )
    if runs.is_empty() or runs["arm"].n_unique() < 2:
        return pl.DataFrame(schema=RANKS)
    judge = ["reading", "of", "backbone", "draw"]
    means = runs.group_by(*judge, "arm").agg(pl.col("accuracy").mean().round(TIE))
    whole = means.filter(pl.len().over(judge) == runs["arm"].n_unique())
    ranked = whole.with_columns(
        rank=pl.col("accuracy").rank("average", descending=True).over(judge),
        domain=pl.col("of").replace_strict(domains, default=None, return_dtype=pl.String),
    )
    names = {"overall": pl.lit("all"), "domain": pl.col("domain"), "task": pl.col("of")}
    views = [
        ranked.with_columns(of=name, view=pl.lit(view))
        .group_by("view", "of", "reading", "arm")
        .agg(pl.col("rank").mean(), judges=pl.len().cast(pl.Int64))
        for view, name in names.items()
    ]
    return pl.concat(views).drop_nulls("of").select(*RANKS).sort("view", "of", "reading", "arm")


def ranking(effects: pl.DataFrame, curves: pl.DataFrame, ranks: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """Under each reading the order of the arms, the agreement of backbones and the best share, as tables."""
    return {reading: under(effects, curves, ranks, reading, frame) for reading in frame.readings}


def under(
    effects: pl.DataFrame, curves: pl.DataFrame, ranks: pl.DataFrame, reading: str, frame: Frame
) -> dict[str, Grid]:
    told = of_kind(effects, AGREEMENT, reading, frame)
    agreeing, spoken = by_place(told), about(told)
    best = by_place(of_kind(effects, BEST, reading, frame))
    own = ranks.filter(pl.col("reading") == reading)
    fitted = pooled(curves.filter(pl.col("reading") == reading))
    tables = {}
    for name, is_task in (("", False), ("_tasks", True)):
        places = [place for place in frame.places if (place[0] == "task") == is_task]
        tables[f"order{name}"] = order(own, agreeing, reading, places, frame)
        tables[f"agreement{name}"] = agreement(agreeing, spoken, reading, places, frame)
        tables[f"share{name}"] = shares(best, fitted, reading, places, frame)
    return tables


Found = Mapping[tuple[str, str, str], Row]  # (view, of, contrast) -> a row of effects


def by_place(rows: pl.DataFrame) -> Found:
    return {(row["view"], row["of"], row["contrast"]): row for row in rows.iter_rows(named=True)}


Places = Sequence[tuple[str, str]]


def order(ranks: pl.DataFrame, agreeing: Found, reading: str, places: Places, frame: Frame) -> Grid:
    """One row per place: the mean rank of each arm, the best of them marked, and how far the judges agree."""
    found = {(row["view"], row["of"], row["arm"]): row for row in ranks.iter_rows(named=True)}
    arms = [arm for arm in frame.arms if arm in set(ranks["arm"])]
    rows = []
    for place in places:
        own = [found[(*place, arm)] for arm in arms if (*place, arm) in found]
        if own:
            first = min(row["rank"] for row in own)
            cells = [Cell(number(row["rank"], 2), "n best" if row["rank"] == first else "n") for row in own]
            concord = agreeing.get((*place, CONCORDANCE))
            rows.append(
                [Cell(label_of(*place, frame.origins)), *cells, *figures(str(own[0]["judges"])), *w_of(concord)]
            )
    caption = (
        f"Mean rank of each arm, 1 the most accurate, {reading} reading; a judge is a backbone in a draw on a task"
    )
    return without_empty(Grid(caption, ["of", *arms, "judges", "Kendall\u2019s W", "p", "note"], rows))


def w_of(row: Row | None) -> list[Cell]:
    if row is None:
        return [*figures(NOTHING, NOTHING), Cell("", "note")]
    return [*figures(number(real(row["estimate"]), 2), probability(real(row["p"]))), Cell(beyond(row["note"]), "note")]


def beyond(note: str) -> str:
    """What a note says beyond the page's own words on p values."""
    return "; ".join(piece for piece in said(note).split("; ") if piece != SEVERAL)


def agreement(agreeing: Found, spoken: str, reading: str, places: Places, frame: Frame) -> Grid:
    """One row per place: how many backbones go the pooled way, the interaction, and what scale has to do with it."""
    rows = []
    for place in places:
        same, apart, scale = (
            agreeing.get((*place, name)) for name in (SAME_SIGN, INTERACTION, frame.primary + PER_SCALE)
        )
        if same or apart or scale:
            rows.append(
                [
                    Cell(label_of(*place, frame.origins)),
                    Cell(said(same["note"]) if same else NOTHING, "note"),
                    *figures(number(real(apart["estimate"])) if apart else NOTHING),
                    *figures(probability(real(apart["p"])) if apart else NOTHING),
                    *figures(points(real(scale["estimate"])) if scale else NOTHING, span(scale)),
                    *figures(probability(real(scale["p_adjusted"])) if scale else NOTHING),
                ]
            )
    caption = f"Agreement of the backbones on {frame.primary}, {reading} reading, in points{spoken}"
    head = ["of", "backbones", "arm x backbone", "p", "per tenfold scale", "its interval", "adjusted p"]
    return without_empty(Grid(caption, head, rows))


def span(row: Row | None) -> str:
    return between(real(row["low"]), real(row["high"]), points) if row else NOTHING


def shares(best: Found, fitted: pl.DataFrame, reading: str, places: Places, frame: Frame) -> Grid:
    """One row per place: the best of the trained shares with its confidence set, and the highest point of the curve."""
    tops = {(row["view"], row["of"]): row for row in highest(fitted).iter_rows(named=True)}
    rows = []
    for place in places:
        trained, top = best.get((*place, BEST)), tops.get(place)
        if trained or top:
            shown = [plain(real(trained["estimate"])) if trained else NOTHING]
            name, note = label_of(*place, frame.origins), said(trained["note"]) if trained else NOTHING
            rows.append([Cell(name), *figures(*shown), Cell(note, "note"), *curve_cells(top)])
    caption = f"Which share is best, {reading} reading; the set and the curve's limits are about new draws, these items"
    head = [
        "of",
        "best trained share, %",
        "which may be best",
        "curve highest at, %",
        "accuracy there, %",
        "error, points",
    ]
    return without_empty(Grid(caption, [*head, "curve"], rows))


def highest(fitted: pl.DataFrame) -> pl.DataFrame:
    """The highest point of each curve; where several are equal, that with the least code."""
    ordered = fitted.sort("view", "of", "estimate", "share", descending=[False, False, True, False])
    return ordered.group_by("view", "of", maintain_order=True).first()


def curve_cells(row: Row | None) -> list[Cell]:
    if row is None:
        return [*figures(NOTHING, NOTHING, NOTHING), Cell(NOTHING, "note")]
    limits = between(row["low"], row["high"], percent)
    height = percent(row["estimate"]) + ("" if limits == NOTHING else f" ({limits})")
    return [*figures(plain(100 * row["share"]), height, number(row["error"], 1)), Cell(row["method"], "note")]
