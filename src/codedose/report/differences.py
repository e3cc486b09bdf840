"""Effects -> the differences between arms as tables: pooled, by task, by backbone."""

from collections.abc import Mapping, Sequence

import polars as pl

from codedose.report import grids
from codedose.report.frame import Frame, about
from codedose.report.grids import (
    NOTHING,
    STEPS_OF_GAIN,
    Cell,
    Grid,
    between,
    figures,
    label_of,
    plain,
    points,
    probability,
    real,
)
from codedose.tables import BEST, DIFFERENCE, MODEL, NOISE

WITHOUT_SIGN = (BEST, MODEL, NOISE)  # kinds whose estimates are no percentage points with a sign


def contrasts(effects: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """The tables of differences under each reading."""
    return {reading: contrasts_under(effects, reading, frame) for reading in frame.readings}


def contrasts_under(effects: pl.DataFrame, reading: str, frame: Frame) -> dict[str, Grid | None]:
    """The primary contrast overall and by domain, by task, per family and backbone; then all that is not it."""
    rows = effects.filter(pl.col("reading") == reading)
    whole = grids.in_view_order(grids.pooled(rows), frame.places, ["contrast"])
    difference, task = pl.col("kind") == DIFFERENCE, pl.col("view") == "task"
    primary = difference & (pl.col("contrast") == frame.primary)
    grouped = rows.filter(primary, pl.col("backbone").is_not_null() | pl.col("family").is_not_null())
    apart = grids.in_view_order(grouped, frame.places, ["family", "backbone"])
    several = apart["backbone"].drop_nulls().n_unique() > 1
    named = f"{frame.primary} in percentage points, {reading} reading"

    def grid(chosen: pl.DataFrame, caption: str, marked: str | None = None) -> Grid:
        return effects_grid(chosen, caption + about(chosen), marked, frame.origins)

    return {
        "wide": grid(whole.filter(primary & ~task), named, frame.primary if reading == frame.reading else None),
        "tasks": grid(whole.filter(primary & task), f"{named}, by task"),
        "others": grid(
            whole.filter(~primary & difference), f"Other differences in percentage points, {reading} reading"
        ),
        "apart": grid(apart, f"{named}, by family and backbone") if several else None,
        "heat": heat_grid(apart, f"{named}, by task and backbone", frame.origins),
    }


def effects_grid(frame: pl.DataFrame, caption: str, primary: str | None, origins: Mapping[str, str]) -> Grid:
    """One row per estimate, as they come; the overall one of the contrast `primary` is marked."""
    several = {name: frame[name].n_unique() > 1 for name in ("backbone", "contrast")}
    rows = [effect_row(row, primary, several, origins) for row in frame.iter_rows(named=True)]
    named = [name for name, shown in several.items() if shown]
    head = ["of", *named, "estimate", "interval", "p", "adjusted p", "items", "draws", "runs", "note", "method"]
    return Grid(caption, head, rows)


def effect_row(
    row: Mapping[str, object], primary: str | None, several: Mapping[str, bool], origins: Mapping[str, str]
) -> Sequence[Cell]:
    contrast, who = str(row["contrast"]), row["backbone"] or row["family"]
    is_primary = row["view"] == "overall" and contrast == primary and who is None
    name = label_of(str(row["view"]), str(row["of"]), origins) + (", primary" if is_primary else "")
    say = plain if row["kind"] in WITHOUT_SIGN else points
    odds = [probability(real(row["p"])), probability(real(row["p_adjusted"]))]
    return [
        Cell(name, "primary" if is_primary else ""),
        *([Cell(str(who or "all"))] if several["backbone"] else []),
        *([Cell(contrast, "name")] if several["contrast"] else []),
        *figures(say(real(row["estimate"])), between(real(row["low"]), real(row["high"]), say), *odds),
        *figures(*(str(row[name]) for name in ("n_items", "n_draws", "n_runs"))),
        Cell(str(row["note"]), "note"),
        Cell(str(row["method"])),
    ]


def heat_grid(effects: pl.DataFrame, caption: str, origins: Mapping[str, str]) -> Grid | None:
    """Gains, place x backbone; None with fewer than two backbones."""
    frame = effects.filter(pl.col("backbone").is_not_null())
    backbones = sorted(set(frame["backbone"]))
    if len(backbones) < 2:
        return None
    found: dict[tuple[str, str], dict[str, Mapping[str, object]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault((row["view"], row["of"]), {})[row["backbone"]] = row
    rows = [
        [Cell(label_of(view, of, origins)), *(heat_cell(told.get(backbone)) for backbone in backbones)]
        for (view, of), told in found.items()
    ]
    return Grid(caption, ["of", *backbones], rows)


def heat_cell(row: Mapping[str, object] | None) -> Cell:
    estimate = real(row["estimate"]) if row else None
    if row is None or estimate is None:
        return Cell(NOTHING, "n")
    low, high = real(row["low"]), real(row["high"])
    clear = low is not None and high is not None and (low > 0 or high < 0)
    depth = sum(abs(estimate) >= step for step in STEPS_OF_GAIN)
    kind = f"n heat-{'up' if estimate > 0 else 'down'}-{depth}" if depth else "n"
    return Cell(points(estimate) + "*" * clear, kind)
