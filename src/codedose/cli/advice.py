"""What `codedose recommend` reads and says: scores and hours of a store, and its tables. All of it is exploratory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.analyse.recommend import EXPLORATORY, Recommendation
from codedose.analyse.shortcut import Shortcut
from codedose.cells import cells, ends
from codedose.cli.show import as_table, plain
from codedose.errors import StudyError
from codedose.plan import Planner
from codedose.runner.step import Step
from codedose.runner.store import Store
from codedose.stages import take

SHOWN = 6  # cells worth training
WORTHLESS = 0.01  # percentage points: less than this is told as nothing
POOLED = pl.col("family").is_null() & pl.col("backbone").is_null()
OVERALL = pl.col("view") == "overall"


def scores_of_files(files: Sequence[Path]) -> pl.DataFrame:
    return pl.concat([tables.read(file, tables.SCORES) for file in files])


def scores_of_store(planner: Planner, store: Store, study: Path) -> tuple[pl.DataFrame, list[str]]:
    """The scores that are there, and a note where some are not. StudyError where none are."""
    steps = [step for step in planner.steps if step.kind == "score"]
    finished = store.finished()
    done = store.all_here([step.folder for step in steps if step.folder in finished])
    if not done:
        raise StudyError(f"{study}: the store {store} holds no scores of it yet: codedose run {study}")
    notes = [] if len(done) == len(steps) else [f"{len(done)} of {len(steps)} cells are scored so far"]
    return take(done, tables.SCORES), notes


def hours_of_store(planner: Planner, store: Store) -> pl.DataFrame | None:
    """What training and asking one cell took, as the store's records have it: backbone, share, hours.

    The mean over the cells of a backbone and share; None where no cell is recorded whole.
    """
    by_cell: dict[str, list[Step]] = {}
    for step in planner.steps:
        if step.kind in ("tune", "loss", "generate"):
            by_cell.setdefault(str(step.settings["cell"]), []).append(step)
    records = store.records(step.folder for steps in by_cell.values() for step in steps)
    rows = []
    for cell in cells(planner.study):
        steps, share = by_cell.get(cell.name, []), cell.columns["share"]
        if cell.is_tuned_here and share is not None and steps and all(step.folder in records for step in steps):
            alone = sum(float(str(records[step.folder]["seconds"])) for step in steps)
            spent = alone + together_seconds(planner, store, cell.backbone.name)
            rows.append((cell.backbone.name, share, spent / 3600))
    if not rows:
        return None
    told = pl.DataFrame(rows, schema=["backbone", "share", "hours"], orient="row")
    return told.group_by("backbone", "share").agg(pl.col("hours").mean()).sort("backbone", "share")


def together_seconds(planner: Planner, store: Store, backbone: str) -> float:
    """A cell's part of the seconds in which the adapters of its backbone were trained together."""
    step = planner.together.get(backbone)
    if step is None or not store.is_done(step):
        return 0.0
    runs = step.settings["runs"]
    return float(str(store.record(step.folder)["seconds"])) / max(len(runs) if isinstance(runs, list) else 1, 1)


def refuse_freed(planner: Planner, store: Store, study: Path) -> None:
    """StudyError where the adapters of 0 % and 100 % are not in the store: not trained yet, or freed and not kept.

    Where the study keeps them now, or a training was removed, the shortcut itself trains again.
    """
    tuned = {cell.name: planner.tune(cell) for pair in ends(planner.study) for cell in pair}
    finished = store.finished()
    scored = {name_of(step) for step in planner.steps if step.kind == "score" and step.folder in finished}
    if waiting := sorted(set(tuned) - scored):
        raise StudyError(f"{study}: {waiting[0]} is not done yet, and the shortcut needs it: codedose run {study}")
    freed = [step for step in tuned.values() if step.folder in finished and not store.is_whole(step)]
    if freed and not planner.study.keep_checkpoints:
        raise StudyError(
            f"{study}: {len(freed)} of the {len(tuned)} adapters at 0 % and 100 % were freed, and the shortcut needs "
            "them; set keep_checkpoints: true, and the same command trains these again"
        )


def name_of(score: Step) -> str:
    """The name of the cell that a step scores."""
    columns = score.settings["cell"]
    return str(columns["cell"] if isinstance(columns, Mapping) else columns)


def values(
    study: str, asked: Mapping[str, Any], advice: Recommendation, shortcut: Shortcut | None, notes: Sequence[str]
) -> dict[str, Any]:
    """All that was found as plain values."""
    frames = {
        name: value.to_dicts() if isinstance(value, pl.DataFrame) else list(value)
        for name, value in vars(advice).items()
    }
    told = {"study": study, "exploratory": EXPLORATORY, **asked, **frames, "notes": [*notes, *advice.notes]}
    if shortcut is None:
        return told
    curve, judged = shortcut.curve.to_dicts(), shortcut.judged.to_dicts()
    return {**told, "shortcut": {"curve": curve, "judged": judged, "notes": list(shortcut.notes)}}


def tell(
    study: str, asked: Mapping[str, Any], advice: Recommendation, shortcut: Shortcut | None, notes: Sequence[str]
) -> None:
    """Print all that was found, and first that it is exploratory."""
    print(f"{study}, {EXPLORATORY}")
    print(f"reading {asked['reading']}, {100 * asked['confidence']:g} % confidence")
    for note in [*notes, *advice.notes]:
        print(f"note: {plain(note)}")
    tell_best(advice)
    tell_predictions(advice)
    tell_cells(advice)
    if shortcut:
        tell_shortcut(shortcut)


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:g} %"


def named(row: Mapping[str, Any]) -> str:
    return str(row["of"]) if row["backbone"] is None else f"{row['of']}, {row['backbone']}"


def tell_best(advice: Recommendation) -> None:
    rows = [
        (
            named(row),
            percent(row["best"]),
            ", ".join(map(percent, row["may_be_best"])) if row["may_be_best"] else "unknown",
            percent(row["curve_best"]),
            row["method"].partition(",")[0],
            row["error"],
            row["at_stake"],
        )
        for row in advice.best.filter(POOLED | OVERALL).iter_rows(named=True)
    ]
    columns = ("of", "best", "may be best", "curve's best", "curve", "misses shares by", "at stake")
    as_table("Which share looks best (last two in points)", columns, rows)


def tell_predictions(advice: Recommendation) -> None:
    rows = [
        (percent(row["share"]), *(row[name] and 100 * row[name] for name in ("estimate", "low", "high")), row["error"])
        for row in advice.predicted.filter(POOLED & OVERALL).iter_rows(named=True)
    ]
    if rows:
        as_table(
            "Predicted overall (%)",
            ("share", "accuracy", "low", "high", "error"),
            rows,
        )


def tell_cells(advice: Recommendation) -> None:
    cells = advice.cells.filter(POOLED & OVERALL)
    if cells.is_empty():
        return
    rows = [
        (percent(row["share"]), row["draw"], row["cells"], row["gain"], row["hours"], row["gain_per_hour"])
        for row in cells.head(SHOWN).iter_rows(named=True)
    ]
    columns = ("share", "next draw", "draws together", "points to gain", "hours", "points an hour")
    as_table("Worth training next, on every backbone with every seed, overall", columns, rows)
    first = cells.row(0, named=True)
    if first["gain"] < WORTHLESS:
        print(f"No cell is expected to gain {WORTHLESS:g} points: what is trained says as much as a few more would.")
        return
    where = f"{percent(first['share'])} in draw {first['draw']}" + ("" if first["trained"] else ", a new arm")
    what = "It is" if first["cells"] == 1 else f"{first['cells']} draws of it together are"
    print(f"Next: {where}. {what} expected to gain {first['gain']:.2f} points by a better choice of the share.")


def tell_shortcut(shortcut: Shortcut) -> None:
    curve = shortcut.curve.filter(POOLED & OVERALL)
    rows = [(percent(row["share"]), row["estimate"], row["low"], row["high"]) for row in curve.iter_rows(named=True)]
    as_table("Interpolated adapters, overall (%)", ("share", "accuracy", "low", "high"), rows)
    judged = [
        (named(row), row["shares"], row["rms"], row["largest"], percent(row["at"]), row["noise"], row["line_rms"],
         percent(row["best"]))
        for row in shortcut.judged.filter(POOLED | OVERALL).iter_rows(named=True)
    ]  # fmt: skip
    columns = ("of", "shares", "missed by", "most", "at", "draw noise", "straight line", "best")
    as_table("How well they told the trained shares (points; root mean square over shares)", columns, judged)
    for note in shortcut.notes:
        print(f"note: {plain(note)}")
