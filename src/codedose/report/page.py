"""A study and its tables flow in; what page.html lays out and what page.js draws flow out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
import polars.selectors as cs

from codedose.report import figures, grids, records, treatment
from codedose.report.accuracy import accuracy
from codedose.report.by_reading import by_reading
from codedose.report.certainty import certainty
from codedose.report.citation import citation
from codedose.report.controls import controls
from codedose.report.design import design
from codedose.report.differences import contrasts
from codedose.report.frame import UNITS, Frame, Tables, compared, frame_of
from codedose.report.grids import Grid
from codedose.report.ranking import mean_ranks, ranking
from codedose.tables import BOOTSTRAP, CONTROL, DIFFERENCE, DOSE, LABELS, LARGE_SMD, UNTUNED

EFFECTS_DRAWN = ("view", "of", "family", "backbone", "contrast", "reading", "estimate", "low", "high")
FITS_DRAWN = ("view", "of", "family", "backbone", "reading", "share", "estimate", "low", "high")
LOSSES_DRAWN = ("backbone", "arm", "draw", "seed", "label", "loss")


@dataclass(frozen=True)
class Told:
    """The page's words (for the template), and the values its figures and its reply browser need."""

    words: Mapping[str, object]
    data: Mapping[str, object]
    replies: Mapping[str, object]


def sections(study: Mapping[str, Any], tables: Tables, provenance: Sequence[Mapping[str, object]]) -> Told:
    """Everything the page says, in the order in which it says it."""
    frame, effects = frame_of(study, tables), tables["effects"]
    ranks = mean_ranks(tables["accuracies"], frame.domains)
    words = {
        "frame": frame,
        "confidence": f"{100 * study['analyse']['confidence']:g} %",
        "unit": UNITS[study["mix"]["match_on"]],
        "design": design(study, tables),
        "balance": balance(study, tables),
        "treatment": treatment.told(measured(tables), frame.arms, compared(study)),
        "unmeasured": unmeasured(tables) if study["mix"]["held_out"] else [],
        "accuracy": accuracy(tables["accuracies"], frame),
        "fits": fits(tables["curves"], frame.reading),
        "contrasts": contrasts(tables["effects"], frame),
        "certainty": certainty(effects, frame),
        "ranking": ranking(effects, tables["curves"], ranks, frame),
        "readings": by_reading(effects, frame, study["analyse"]["confidence"]),
        "controls": controls(study, effects, tables["accuracies"], frame),
        "training": training(tables),
        "cost": records.cost(provenance),
        "spent": records.spent(tables["training"], tables["completions"]),
        "cite": citation(study, provenance),
        "provenance": records.environments(provenance),
        "hours": records.hours(provenance),
        "shown": shown(tables),
    }
    return Told(words, data(tables, ranks, frame), replies(tables))


def balance(study: Mapping[str, Any], tables: Tables) -> dict[str, object]:
    shares = [(arm["name"], arm["share"]) for arm in study["mix"]["arms"]]
    frame = tables["balance"]
    arms = grids.arm_order([name for name, _ in shares], frame["arm"])
    return {
        "dose": grids.dose_grid(shares, frame, tables["scores"]),
        "grid": None if frame.is_empty() else grids.balance_grid(frame, arms),
        "lengths": grids.lengths_grid(tables["lengths"], [name for name, _ in shares]),
    }


def measured(tables: Tables) -> pl.DataFrame:
    return treatment.measured(tables["losses"], tables["scores"])


def unmeasured(tables: Tables) -> list[str]:
    """The cells that were asked and whose loss was to be measured, and was not."""
    return sorted(set(tables["scores"]["cell"]) - set(tables["losses"]["cell"]))


def training(tables: Tables) -> Grid | None:
    if tables["training"].is_empty():
        return None
    return records.training_grid(tables["training"], figures.runs(tables["scores"]))


def fits(curves: pl.DataFrame, reading: str) -> list[str]:
    """Which kinds of curve the overall panel shows; none where no curve was fitted."""
    rows = grids.pooled(curves.filter(pl.col("reading") == reading, pl.col("view") == "overall"))
    return sorted(set(rows["method"]))


def shown(tables: Tables) -> str:
    """How many items and replies the page holds, and where the others are."""
    asked = tables["completions"]
    items = figures.shown_items(tables["items"], asked)
    held, of_items = asked.join(items, on="item_id", how="semi").height, asked["item_id"].n_unique()
    if held == asked.height:
        return f"All {held:,} replies to {of_items:,} items."
    return (
        f"The page holds the {held:,} replies to {items.height:,} of {of_items:,} items, the first of each task in the "
        f"order of their hashes; tables/completions.parquet holds all {asked.height:,}."
    )


def data(tables: Tables, ranks: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """What the figures are drawn from."""
    effects, control = tables["effects"], pl.col("kind") == CONTROL
    grouped = pl.col("family").is_null() | pl.col("backbone").is_not_null()  # families alone are not drawn
    return {
        "arms": frame.arms,
        "untuned": UNTUNED,
        "reading": frame.reading,
        "readings": frame.readings,
        "primary": frame.primary,
        "contrasts": frame.contrasts,
        "places": [{"view": view, "of": of} for view, of in frame.places],
        "largeSmd": LARGE_SMD,
        "dose": DOSE,
        "stepsOfGain": grids.STEPS_OF_GAIN,
        "accuracies": figures.packed(tables["accuracies"].drop("method", "in_code")),
        "effects": figures.packed(effects.filter(pl.col("kind") == DIFFERENCE).select(EFFECTS_DRAWN)),
        "bootstrap": figures.packed(effects.filter(pl.col("kind") == BOOTSTRAP).select(EFFECTS_DRAWN)),
        "controls": figures.packed(effects.filter(control, pl.col("high") > 0).select(EFFECTS_DRAWN)),
        "ranks": figures.packed(ranks),
        "fits": figures.packed(tables["curves"].filter(grouped).select(FITS_DRAWN).with_columns(cs.float().round(4))),
        "balance": figures.packed(tables["balance"]),
        "labels": LABELS,
        "losses": figures.packed(measured(tables).select(*LOSSES_DRAWN)),
        "curves": figures.packed(figures.curves(tables["training"], tables["scores"])),
    }


def replies(tables: Tables) -> dict[str, object]:
    """What the reply browser shows."""
    items = figures.shown_items(tables["items"], tables["completions"])
    runs = figures.runs(tables["scores"])
    return {
        "items": figures.packed(items.select("item_id", "task", "domain", "origin", "level", "question", "answer")),
        "runs": figures.packed(runs),
        "replies": figures.packed(figures.replies(items, tables["completions"], tables["scores"])),
    }
