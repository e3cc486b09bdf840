"""A study and its tables flow in; the orders and names that every section of the page needs flow out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from codedose.report import grids
from codedose.tables import READINGS

Tables = Mapping[str, pl.DataFrame]
UNITS = {"examples": "examples", "tokens": "tokens", "loss_tokens": "loss-bearing tokens"}
ROLES = ("primary", "secondary")


@dataclass(frozen=True)
class Frame:
    """What every section needs to know of the study: orders and names."""

    arms: list[str]
    readings: list[str]
    reading: str
    primary: str
    contrasts: list[str]  # the differences between two arms, the primary first
    places: list[tuple[str, str]]
    domains: dict[str, str]
    origins: dict[str, str]


def frame_of(study: Mapping[str, Any], tables: Tables) -> Frame:
    accuracies, effects = tables["accuracies"], tables["effects"]
    arms = grids.arm_order([arm["name"] for arm in study["mix"]["arms"]], accuracies["arm"])
    primary = " - ".join(compared(study))
    found = set(effects["contrast"])
    differences = [name for name in (f"{arm} - {other}" for other in arms for arm in arms) if name in found]
    domains = domains_of(study, tables["items"])
    return Frame(
        arms=arms,
        readings=[reading for reading in READINGS if reading in set(accuracies["reading"])],
        reading=study["analyse"]["reading"],
        primary=primary,
        contrasts=sorted(differences, key=lambda name: name != primary),
        places=grids.places([accuracies, effects], domains),
        domains=domains,
        origins=grids.origins_of(tables["items"]),
    )


def domains_of(study: Mapping[str, Any], items: pl.DataFrame) -> dict[str, str]:
    """task -> domain, in the order of the study."""
    found = dict(items.select("task", "domain").unique().sort("task").iter_rows())
    listed = [use["name"] for use in study["tasks"] if use["name"] in found]
    return {task: found[task] for task in [*listed, *found]}


def compared(study: Mapping[str, Any]) -> tuple[str, str]:
    """The arms of the primary contrast."""
    primary = study["analyse"]["primary"]
    return primary["arm"], primary["against"]


def over_runs(frame: pl.DataFrame) -> pl.DataFrame:
    """Accuracies over all draws and seeds."""
    return frame.filter(pl.col("draw").is_null() & pl.col("seed").is_null())


def arranged(rows: pl.DataFrame, frame: Frame) -> pl.DataFrame:
    return grids.in_view_order(rows, frame.places, ["backbone"])


def of_kind(effects: pl.DataFrame, kind: str | None, reading: str | None, frame: Frame) -> pl.DataFrame:
    """The pooled rows of one kind under one reading (None: of all) in the order of the page."""
    wanted = [pl.col(name) == value for name, value in (("kind", kind), ("reading", reading)) if value is not None]
    rows = grids.pooled(effects.filter(*wanted)) if wanted else grids.pooled(effects)
    return grids.in_view_order(rows, frame.places, ["contrast", "method"])


def about(rows: pl.DataFrame) -> str:
    """What the intervals of these rows of effects are about, to stand behind a caption; "" where there are none."""
    named = rows.filter(pl.col("low").is_not_null())["estimand"].drop_nulls().unique().sort().to_list()
    return f"; intervals over new draws, about {' or '.join(named)}" if named else ""


def said(note: str) -> str:
    """`note` without the word on the contrast's role, which the page's captions say."""
    return "; ".join(piece for piece in note.split("; ") if piece not in ROLES)


def of_view(rows: pl.DataFrame, view: str, frame: Frame) -> pl.DataFrame:
    return arranged(rows.filter(pl.col("view") == view), frame)
