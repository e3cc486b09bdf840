"""A study and its tables flow in; what page.html lays out and what page.js draws flow out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from codedose.report import figures, grids, treatment
from codedose.report.grids import Grid
from codedose.tables import DIFFERENCE, DOSE, LABELS, LARGE_SMD, READINGS, UNTUNED

Tables = Mapping[str, pl.DataFrame]
SETTINGS = ("pool", "label", "mix", "prompt", "tune", "generate", "analyse")
EFFECTS_DRAWN = ("view", "of", "family", "backbone", "contrast", "reading", "estimate", "low", "high")
LOSSES_DRAWN = ("backbone", "arm", "draw", "seed", "label", "loss")
UNITS = {"examples": "examples", "tokens": "tokens", "loss_tokens": "loss-bearing tokens"}
SHOWN_APART = ("mix.arms",)  # settings that have a table of their own


@dataclass(frozen=True)
class Told:
    """The page's words (for the template), and the values its figures and its reply browser need."""

    words: Mapping[str, object]
    data: Mapping[str, object]
    replies: Mapping[str, object]


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


def sections(study: Mapping[str, Any], tables: Tables, provenance: Sequence[Mapping[str, object]]) -> Told:
    """Everything the page says, in the order in which it says it."""
    frame = frame_of(study, tables)
    words = {
        "frame": frame,
        "confidence": f"{100 * study['analyse']['confidence']:g} %",
        "unit": UNITS[study["mix"]["match_on"]],
        "design": design(study, tables),
        "balance": balance(study, tables),
        "treatment": treatment.told(measured(tables), frame.arms, compared(study)),
        "unmeasured": unmeasured(tables) if study["mix"]["held_out"] else [],
        "accuracy": accuracy(tables["accuracies"], frame),
        "contrasts": contrasts(tables["effects"], frame),
        "training": training(tables),
        "provenance": grids.environments(provenance),
        "hours": grids.number(sum(seconds(record) for record in provenance) / 3600, 2),
        "shown": shown(tables),
    }
    return Told(words, data(tables, frame), replies(tables))


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


def seconds(record: Mapping[str, object]) -> float:
    value = record.get("seconds")
    return float(value) if isinstance(value, int | float) else 0.0


def design(study: Mapping[str, Any], tables: Tables) -> dict[str, object]:
    """The arms, backbones, tasks and settings, and what became of the sources, as tables."""
    mix = study["mix"]
    arms = [(arm["name"], 100 * arm["share"], repeats(arm["repeat"]), arm["control"]) for arm in mix["arms"]]
    models = [(b["name"], b["family"], b["scale"], b["model"], b["revision"]) for b in study["backbones"]]
    named = [(section, dict(grids.flat(study[section], section))) for section in SETTINGS]
    settings = [
        pair for _, pairs in named for pair in pairs.items() if not pair[0].startswith(SHOWN_APART)
    ]  # fmt: skip
    head = ("backbone", "family", "scale, 10\u2079 parameters", "model", "revision")
    return {
        "arms": grids.pairs_grid("Arms", ("arm", "share of coding, %", "repeated", "control"), arms),
        "backbones": grids.pairs_grid("Backbones", head, models),
        "tasks": tasks(study, tables["items"]),
        "joined": joined(study),
        "settings": grids.pairs_grid("Settings", ("setting", "value"), settings),
        "sources": grids.pairs_grid("Sources", tables["sources"].columns, tables["sources"].iter_rows()),
        **pool(tables),
    }


def joined(study: Mapping[str, Any]) -> Grid:
    """The cells that were trained elsewhere."""
    head = ("backbone", "arm", "share of coding, %", "draw", "seed", "checkpoint")
    shares = {arm["name"]: arm["share"] for arm in study["mix"]["arms"]}
    rows = []
    for each in study["joined"] or ():
        share = shares.get(each["arm"], each["share"])
        known = "not known" if share is None else 100 * share
        rows.append((each["backbone"], each["arm"], known, each["draw"], each["seed"], each["checkpoint"]))
    return grids.pairs_grid("Trained elsewhere", head, rows)


def repeats(factors: Mapping[str, int] | None) -> str | None:
    return ", ".join(f"{label} {factor} times" for label, factor in factors.items()) if factors else None


def pool(tables: Tables) -> dict[str, Grid]:
    """What left the pool, what was mended in it, and which tasks' items stood in it."""
    left = tables["drops"].group_by("source", "reason").len().sort("source", "reason")
    mended = tables["repairs"].group_by("source", "rule").agg(pl.len(), pl.col("count").sum()).sort("source", "rule")
    leaks = tables["leaks"].group_by("task", "match").agg(pl.col("example_id").n_unique()).sort("task", "match")
    return {
        "drops": grids.pairs_grid("Left out, and why", ("source", "reason", "rows"), left.iter_rows()),
        "repairs": grids.pairs_grid("Mended", ("source", "rule", "conversations", "places"), mended.iter_rows()),
        "leaks": grids.pairs_grid(
            "Benchmark items found in training text", ("task", "match", "examples"), leaks.iter_rows()
        ),
    }


def tasks(study: Mapping[str, Any], items: pl.DataFrame) -> Grid:
    domains = domains_of(study, items)
    rows = [
        (use["name"], domains.get(use["name"]), use["origin"], use["level"], use["count"], use["max_new_tokens"])
        for use in study["tasks"]
    ]
    return grids.pairs_grid("Tasks", ("task", "domain", "items are", "level", "items", "longest reply, tokens"), rows)


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


def compared(study: Mapping[str, Any]) -> tuple[str, str]:
    """The arms of the primary contrast."""
    primary = study["analyse"]["primary"]
    return primary["arm"], primary["against"]


def over_runs(frame: pl.DataFrame) -> pl.DataFrame:
    """Accuracies over all draws and seeds."""
    return frame.filter(pl.col("draw").is_null() & pl.col("seed").is_null())


def accuracy(accuracies: pl.DataFrame, frame: Frame) -> dict[str, object]:
    """One table per view of the pooled rows; per backbone where there are several; extraction rates."""
    together = grids.pooled(over_runs(accuracies))
    single = over_runs(accuracies).filter(pl.col("backbone").is_not_null())
    telling = (frame.arms, frame.readings, frame.origins)
    several = single["backbone"].n_unique() > 1
    apart = grids.accuracy_grid(arranged(single, frame), "Accuracy by backbone", *telling)
    return {
        **{
            view: grids.accuracy_grid(of_view(together, view, frame), f"Accuracy, {name}", *telling)
            for view, name in (("overall", "overall"), ("domain", "by domain"), ("task", "by task"))
        },
        "backbones": apart if several else None,
        "extraction": grids.extraction_grid(arranged(together, frame), *telling),
        "methods": sorted(set(together["method"])),
    }


def of_view(rows: pl.DataFrame, view: str, frame: Frame) -> pl.DataFrame:
    return arranged(rows.filter(pl.col("view") == view), frame)


def arranged(rows: pl.DataFrame, frame: Frame) -> pl.DataFrame:
    return grids.in_view_order(rows, frame.places, ["backbone"])


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
    named = f"{frame.primary} in percentage points, {reading} reading"

    def grid(chosen: pl.DataFrame, caption: str, marked: str | None = None) -> Grid:
        return grids.effects_grid(chosen, caption, marked, frame.origins)

    return {
        "wide": grid(whole.filter(primary & ~task), named, frame.primary if reading == frame.reading else None),
        "tasks": grid(whole.filter(primary & task), f"{named}, by task"),
        "others": grid(
            whole.filter(~primary & difference), f"Other differences in percentage points, {reading} reading"
        ),
        "trends": grid(whole.filter(~difference), f"Trends, best share, agreement; {reading} reading"),
        "apart": grid(apart, named) if apart["backbone"].drop_nulls().n_unique() > 1 else None,
        "heat": grids.heat_grid(apart, named, frame.origins),
    }


def training(tables: Tables) -> Grid | None:
    if tables["training"].is_empty():
        return None
    return grids.training_grid(tables["training"], figures.runs(tables["scores"]))


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


def data(tables: Tables, frame: Frame) -> dict[str, object]:
    """What the figures are drawn from."""
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
        "accuracies": figures.packed(tables["accuracies"].drop("method", "in_code")),
        "effects": figures.packed(tables["effects"].filter(pl.col("kind") == DIFFERENCE).select(EFFECTS_DRAWN)),
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
