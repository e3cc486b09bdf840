"""Effects -> how sure each primary difference is: over draws, for new items, beside its noise and its baseline."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from codedose.named import CORRECTED, CUBIC, DRAW_NOISE, ITEM_NOISE, LINEAR, MEASURED, QUADRATIC
from codedose.report import grids
from codedose.report.differences import effects_grid
from codedose.report.frame import Frame, about, of_kind, said
from codedose.report.grids import NOTHING, Cell, Grid, between, figures, label_of, number, points, real, without_empty
from codedose.tables import BOOTSTRAP, DIFFERENCE, MODEL, NOISE, RELATIVE, TREND

Place = tuple[str, str]
Row = Mapping[str, Any]
BESIDE = (BOOTSTRAP, RELATIVE)  # kinds of which one row stands beside each difference
TRENDS = (LINEAR, MEASURED, CORRECTED, QUADRATIC, CUBIC)
NOISES = (DRAW_NOISE, ITEM_NOISE)


def certainty(effects: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """Under each reading the tables and what the bootstrap's intervals are worth; and the model, where one was asked
    for."""
    model = of_kind(effects, MODEL, None, frame)
    named = f"Mixed logistic model, log odds per 100 % of code{about(model)}"
    return {
        "under": {reading: under(effects, reading, frame) for reading in frame.readings},
        "model": effects_grid(model, named, None, frame.origins) if model.height else None,
    }


def under(effects: pl.DataFrame, reading: str, frame: Frame) -> dict[str, object]:
    rows = of_kind(effects, None, reading, frame)
    own = rows.filter(pl.col("contrast") == frame.primary)
    order = pl.col("contrast").replace_strict(TRENDS, list(range(len(TRENDS))), default=len(TRENDS))
    trends = grids.in_view_order(
        rows.filter(pl.col("kind") == TREND).with_columns(order=order), frame.places, ["order"]
    )
    whole = pl.col("view") == "overall"
    caption = f"Trends over shares, {reading} reading: linear in points from 0 to 100 % of code{about(trends)}"
    return {
        "wide": grid(own.filter(pl.col("view") != "task"), reading, frame),
        "tasks": grid(own.filter(pl.col("view") == "task"), reading, frame),
        "worth": worth(own),
        "trends": by_contrast(effects_grid(trends.filter(whole), caption, None, frame.origins))
        if trends.height
        else None,
        "apart": effects_grid(trends.filter(~whole), caption, None, frame.origins),
    }


def by_contrast(grid: Grid) -> Grid:
    """`grid` without its first column: where all rows are of one place, contrasts name them."""
    return Grid(grid.caption, grid.head[1:], [row[1:] for row in grid.rows])


def worth(rows: pl.DataFrame) -> list[str]:
    """What the bootstrap's notes say, each once: how often such intervals cover, by simulation."""
    return sorted({note for text in rows.filter(pl.col("kind") == BOOTSTRAP)["note"] for note in [said(text)] if note})


def grid(rows: pl.DataFrame, reading: str, frame: Frame) -> Grid | None:
    """One row per place of the primary contrast; None where nothing stands beside the difference."""
    found = {(row["view"], row["of"], row["kind"], noise_of(row)): row for row in rows.iter_rows(named=True)}
    if not any(kind in (*BESIDE, NOISE) for _, _, kind, _ in found):
        return None
    places = [place for place in frame.places if (*place, DIFFERENCE, "") in found]
    head = [
        "of", "difference", "over draws, these items", "over draws and items, new items", "draw noise", "item noise",
        "relative gain, %", "its interval, these items", "note",
    ]  # fmt: skip
    caption = f"{frame.primary} in percentage points, {reading} reading; noise is a standard error in points"
    return without_empty(Grid(caption, head, [row_of(place, found, frame) for place in places]))


def noise_of(row: Row) -> str:
    """Which of the two noises a row is; rows of other kinds are none."""
    return row["method"] if row["kind"] == NOISE else ""


def row_of(place: Place, found: Mapping[tuple[str, str, str, str], Row], frame: Frame) -> list[Cell]:
    difference = found[(*place, DIFFERENCE, "")]
    again, gain = (found.get((*place, kind, "")) for kind in BESIDE)
    noises = [found.get((*place, NOISE, name)) for name in NOISES]
    return [
        Cell(label_of(*place, frame.origins), "primary" if place[0] == "overall" else ""),
        *figures(points(real(difference["estimate"])), span(difference), span(again)),
        *figures(*(number(real(noise["estimate"]), 2) if noise else NOTHING for noise in noises)),
        *figures(points(real(gain["estimate"])) if gain else NOTHING, span(gain)),
        Cell(said(str(gain["note"])) if gain else "", "note"),
    ]


def span(row: Row | None) -> str:
    return between(real(row["low"]), real(row["high"]), points) if row else NOTHING
