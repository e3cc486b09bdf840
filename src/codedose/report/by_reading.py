"""Effects -> each conclusion under every reading, side by side: which of them depend on how replies are read."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from codedose.report.frame import Frame, about, of_kind
from codedose.report.grids import NOTHING, Cell, Grid, between, figures, label_of, points, real
from codedose.tables import DIFFERENCE

Row = Mapping[str, Any]
HIGHER, LOWER, NOT_SHOWN, UNDEFINED = "higher", "lower", "not shown", "undefined"


def by_reading(effects: pl.DataFrame, frame: Frame, confidence: float) -> dict[str, object]:
    """The table of the primary contrast, and how many of its rows change with the reading."""
    rows = of_kind(effects, DIFFERENCE, None, frame).filter(pl.col("contrast") == frame.primary)
    found: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows.iter_rows(named=True):
        found.setdefault((row["view"], row["of"]), {})[row["reading"]] = row
    verdicts = {
        place: {reading: verdict(row, confidence) for reading, row in told.items()} for place, told in found.items()
    }
    changing = [place for place in found if changes(verdicts[place])]
    return {
        "grid": grid(found, verdicts, about(rows), frame) if len(frame.readings) > 1 and found else None,
        "changing": [label_of(view, of, {}) if view == "overall" else of for view, of in changing],
        "conclusions": len(found),
    }


def verdict(row: Row, confidence: float) -> str:
    """What stands after adjustment for several tests."""
    if row["p_adjusted"] is None or row["estimate"] is None:
        return UNDEFINED
    if row["p_adjusted"] >= 1 - confidence:
        return NOT_SHOWN
    return HIGHER if row["estimate"] > 0 else LOWER


def changes(verdicts: Mapping[str, str]) -> bool:
    """Where nothing is defined, no difference is shown, no more and no less."""
    return len({NOT_SHOWN if said == UNDEFINED else said for said in verdicts.values()}) > 1


def grid(
    found: Mapping[tuple[str, str], Mapping[str, Row]],
    verdicts: Mapping[tuple[str, str], Mapping[str, str]],
    spoken: str,
    frame: Frame,
) -> Grid:
    rows = []
    for place, told in found.items():
        marked = changes(verdicts[place])
        cells = [
            cell
            for reading in frame.readings
            for cell in (
                *figures(estimate(told.get(reading))),
                Cell(verdicts[place].get(reading, NOTHING), "verdict strong" if marked else "verdict"),
            )
        ]
        name = label_of(*place, frame.origins)
        rows.append(
            [
                Cell(name, "changed" if marked else ""),
                *cells,
                Cell("yes" if marked else "no", "strong" if marked else ""),
            ]
        )
    head = [name for reading in frame.readings for name in (f"{reading}, points", "stands")]
    caption = f"{frame.primary} under each reading{spoken}; what stands, stands after adjustment for several tests"
    return Grid(caption, ["of", *head, "changes"], rows)


def estimate(row: Row | None) -> str:
    if row is None:
        return NOTHING
    span = between(real(row["low"]), real(row["high"]), points)
    return points(real(row["estimate"])) + ("" if span == NOTHING else f" ({span})")
