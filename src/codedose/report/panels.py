"""Accuracies over shares -> the panels of a paper's figures, as values that SVG and LaTeX draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, Literal

import polars as pl

from codedose.report.paper import NAMES, Terms, over_runs
from codedose.tables import UNTUNED, VIEWS

LEAST_SPAN = 10  # percentage points: a panel shows no less, so that noise does not look like a trend
STEPS = (1, 2, 5, 10, 20, 25)  # percentage points between two ticks
MOST_TICKS = 5
Kind = Literal["one", "all", "untuned", "curve"]
# Colour-blind-safe (Okabe and Ito 2008), without its yellow, too light for a line, and its black, kept for the mean.
COLOURS = ("0072B2", "D55E00", "009E73", "CC79A7", "E69F00", "56B4E9")
UPWARDS: tuple[Kind, ...] = ("untuned", "curve", "one", "all")  # what lies above what
NAMED: tuple[Kind, ...] = ("one", "all", "curve", "untuned")  # the order of a legend
DARK, GREY = "1A1A1A", "767676"


@dataclass(frozen=True)
class Point:
    """An accuracy in % at a share in %, with its interval where there is one."""

    share: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """One line: of one backbone, of all of them (or the only one), of them untuned, or the curve fitted to all."""

    name: str
    kind: Kind
    points: tuple[Point, ...]

    @property
    def has_limits(self) -> bool:
        """Whether its intervals are drawn: those of single backbones would hide each other."""
        return self.kind == "all"


@dataclass(frozen=True)
class Panel:
    """One dose-response panel, what is drawn first standing first.

    `ticks` are accuracies in %, the first and the last of them the ends of its axis.
    """

    title: str
    series: tuple[Series, ...]
    ticks: tuple[int, ...]


def panels(terms: Terms, tables: Mapping[str, pl.DataFrame]) -> dict[str, tuple[Panel, ...]]:
    """The panels of each view, in the order of its places. Arms without a share have no place in them."""
    rows = over_runs(tables["accuracies"]).filter(pl.col("reading") == terms.reading)
    fitted = tables["curves"].filter(
        pl.col("reading") == terms.reading, pl.col("family").is_null() & pl.col("backbone").is_null()
    )
    return {
        view: tuple(
            panel(terms, terms.labels[view, of], of_place(rows, view, of), of_place(fitted, view, of))
            for place, of in terms.places
            if place == view
        )
        for view in VIEWS
    }


def of_place(rows: pl.DataFrame, view: str, of: str) -> pl.DataFrame:
    return rows.filter(pl.col("view") == view, pl.col("of") == of)


def panel(terms: Terms, title: str, rows: pl.DataFrame, fitted: pl.DataFrame) -> Panel:
    """`rows` are accuracies of one place, `fitted` the points of its curve."""
    single = len(terms.backbones) == 1
    pooled = rows.filter(pl.col("family").is_null() & pl.col("backbone").is_null())
    own = () if single else terms.backbones
    lines = [Series(name, "one", points(rows.filter(pl.col("backbone") == name))) for name in own]
    mean = points(pooled)
    lines.append(Series(terms.name(None), "all", mean))
    lines.append(Series("fitted curve", "curve", curve(fitted, mean)))
    lines.append(Series(f"{terms.name(None)}, {UNTUNED}", "untuned", untuned(pooled)))
    kept = tuple(sorted((line for line in lines if line.points), key=lambda line: UPWARDS.index(line.kind)))
    return Panel(title, kept, ticks(kept))


def points(rows: pl.DataFrame) -> tuple[Point, ...]:
    placed = rows.filter(pl.col("share").is_not_null() & (pl.col("arm") != UNTUNED)).sort("share", "arm")
    return tuple(
        Point(100 * row["share"], 100 * row["accuracy"], percent(row["low"]), percent(row["high"]))
        for row in placed.iter_rows(named=True)
    )


def curve(rows: pl.DataFrame, trained: tuple[Point, ...]) -> tuple[Point, ...]:
    """The fitted curve between the trained shares: beyond them nothing says how far it is off."""
    shares = [point.share for point in trained]
    fitted = (
        Point(100 * row["share"], 100 * row["estimate"], percent(row["low"]), percent(row["high"]))
        for row in rows.sort("share", "method").iter_rows(named=True)
    )
    return tuple(point for point in fitted if shares and min(shares) <= point.share <= max(shares))


def untuned(rows: pl.DataFrame) -> tuple[Point, ...]:
    """A level line from 0 to 100 %: the untuned backbone has no share."""
    levels = [100 * value for value in rows.filter(pl.col("arm") == UNTUNED)["accuracy"]]
    return tuple(Point(share, level) for level in levels[:1] for share in (0.0, 100.0))


def percent(value: Any) -> float | None:
    return None if value is None else 100 * float(value)


def ticks(series: tuple[Series, ...]) -> tuple[int, ...]:
    """Round accuracies from below the lowest to above the highest of what is drawn, within 0 to 100."""
    drawn = [(point.value, point.low, point.high) for line in series if line.has_limits for point in line.points]
    values = [value for limits in drawn for value in limits if value is not None]
    values += [point.value for line in series for point in line.points]
    low, high = min(values, default=0.0), max(values, default=100.0)
    short = max(0.0, LEAST_SPAN - (high - low)) / 2
    low, high = max(0.0, low - short), min(100.0, high + short)
    step = next((step for step in STEPS if (high - low) / step <= MOST_TICKS - 1), STEPS[-1])
    return tuple(range(step * floor(low / step), step * ceil(high / step) + 1, step))


def legend(shown: tuple[Panel, ...]) -> dict[tuple[str, Kind], str]:
    """The colour of each series that some panel draws, in the order in which a legend names them."""
    found = dict.fromkeys((line.name, line.kind) for each in shown for line in each.series)
    named = sorted(found, key=lambda pair: NAMED.index(pair[1]))
    fixed: dict[Kind, str] = {"all": DARK, "curve": DARK, "untuned": GREY}
    return {pair: fixed.get(pair[1], COLOURS[at % len(COLOURS)]) for at, pair in enumerate(named)}


def caption(view: str, shown: tuple[Panel, ...]) -> str:
    """What the figure of a view shows, in words."""
    kinds = {line.kind for each in shown for line in each.series}
    said: dict[Kind, str] = {
        "all": "thick: the mean with its interval over draws",
        "one": "thin: single backbones",
        "curve": "dotted: the curve fitted to the mean",
        "untuned": "dashed: before tuning",
    }
    drawn = "; ".join(words for kind, words in said.items() if kind in kinds)
    own = " Each panel has a scale of its own." if len(shown) > 1 else ""
    return f"Accuracy {NAMES[view]}, %, against the share of code in the training mix. {drawn.capitalize()}.{own}"
