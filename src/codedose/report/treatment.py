"""Losses on held-out text -> what the page says of whether the treatment took, backbone by backbone.

A check and no test: means over runs, how far the runs lie apart, and words that say no more.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from codedose.report.figures import runs
from codedose.report.grids import MINUS, NOTHING, Cell, Grid, figures, number
from codedose.tables import LABELS, UNTUNED

DIGITS = 3  # of a loss in nats: what runs on a few thousand tokens can tell apart


def measured(losses: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The losses that are known, with the cell's backbone, arm, draw and seed."""
    known = losses.filter(pl.col("loss").is_not_null())
    return known.join(runs(scores), on="cell", how="inner").sort("backbone", "arm", "draw", "seed", "label")


def over_runs(rows: pl.DataFrame) -> pl.DataFrame:
    """(backbone, arm, label): the mean loss of its runs, and the lowest and the highest."""
    told = [pl.col("loss").mean(), pl.col("loss").min().alias("low"), pl.col("loss").max().alias("high")]
    counts = [pl.len().alias("runs"), *(pl.col(name).max() for name in ("examples", "tokens", "cut", "left_out"))]
    return rows.group_by("backbone", "arm", "label").agg(*told, *counts)


def told(rows: pl.DataFrame, arms: Sequence[str], primary: tuple[str, str]) -> list[dict[str, object]]:
    """For each backbone its name, its table and its sentences; `primary` are the arms compared first."""
    means = over_runs(rows)
    return [
        {"backbone": name, "grid": grid(own, name, arms), "sentences": sentences(own, primary)}
        for name in sorted(set(means["backbone"]))
        for own in [by_arm(means.filter(pl.col("backbone") == name))]
    ]


Means = Mapping[tuple[str, str], Mapping[str, Any]]  # (arm, label) -> a row of over_runs


def by_arm(means: pl.DataFrame) -> Means:
    return {(row["arm"], row["label"]): row for row in means.iter_rows(named=True)}


def grid(means: Means, backbone: str, arms: Sequence[str]) -> Grid:
    """One row per label and arm, the untuned backbone first: the loss, its range over runs, its change by tuning."""
    order = [*(arm for arm in arms if arm == UNTUNED), *(arm for arm in arms if arm != UNTUNED)]
    rows = [
        row_of(means[arm, label], means.get((UNTUNED, label)))
        for label in LABELS
        for arm in order
        if (arm, label) in means
    ]
    head = ["text", "arm", "loss", "range over runs", "change", "runs", "examples", "of them cut", "left out", "tokens"]
    return Grid(f"Loss on held-out text before and after tuning, nats per loss-bearing token, {backbone}", head, rows)


def row_of(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> list[Cell]:
    tuned = row["arm"] != UNTUNED
    span = f"{number(row['low'], DIGITS)} to {number(row['high'], DIGITS)}" if row["runs"] > 1 else NOTHING
    change = changed(row["loss"] - before["loss"]) if tuned and before else NOTHING
    counts = (f"{row[name]:,}" for name in ("runs", "examples", "cut", "left_out", "tokens"))
    return [
        Cell(row["label"]),
        Cell(row["arm"] if tuned else "before tuning"),
        *figures(number(row["loss"], DIGITS), span, change, *counts),
    ]


def changed(by: float) -> str:
    """A difference of two losses with its sign, or 0 where the shown digits do not tell them apart."""
    return f"{0:.{DIGITS}f}" if is_nothing(by) else f"{by:+.{DIGITS}f}".replace("-", MINUS)


def is_nothing(by: float) -> bool:
    return round(by, DIGITS) == 0


def sentences(means: Means, primary: tuple[str, str]) -> list[str]:
    """What tuning on each of the two arms did to the loss on each text, and how they end beside each other."""
    treated, against = primary
    found = [before_and_after(means, arm) for arm in primary] + [side_by_side(means, treated, against)]
    return [sentence for sentence in found if sentence]


def before_and_after(means: Means, arm: str) -> str:
    """Such as: Code lowered the loss on coding text by 0.120 and raised that on other text by 0.030."""
    said = [
        moved(label, means[arm, label]["loss"] - means[UNTUNED, label]["loss"], first=place == 0)
        for place, label in enumerate(both(means, arm, UNTUNED))
    ]
    return f"{arm} {listed(said)}." if said else ""


def moved(label: str, by: float, *, first: bool) -> str:
    what = f"{'the loss' if first else 'that'} on {label} text"
    if is_nothing(by):
        return f"left {what} as it was"
    return f"{'lowered' if by < 0 else 'raised'} {what} by {number(abs(by), DIGITS)}"


def side_by_side(means: Means, arm: str, other: str) -> str:
    """Such as: Code ends 0.070 below General on coding text and 0.040 above it on other text."""
    said: list[str] = []
    for label in both(means, arm, other):
        by = means[arm, label]["loss"] - means[other, label]["loss"]
        whom = "it" if said else other
        place = f"{number(abs(by), DIGITS)} {'below' if by < 0 else 'above'} {whom}"
        said.append(f"{f'level with {whom}' if is_nothing(by) else place} on {label} text")
    return f"{arm} ends {listed(said)}." if said else ""


def both(means: Means, arm: str, other: str) -> list[str]:
    return [label for label in LABELS if (arm, label) in means and (other, label) in means]


def listed(parts: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)
