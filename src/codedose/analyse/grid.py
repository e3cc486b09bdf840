"""Scores flow in; scores of a whole, paired grid flow out, or one DataError that names the missing cells."""

import polars as pl

from codedose.errors import DataError
from codedose.tables import SCORES, UNTUNED, check

CELL = ["backbone", "arm", "draw", "seed"]
VERDICT = ["reading", "task", "item_id", "sample"]
FAULTS_SHOWN = 12
PARTIAL = "partial study, analysed"


def complete(scores: pl.DataFrame, *, partial: bool) -> tuple[pl.DataFrame, str | None]:
    """The scores of a grid in which every cell answers every item, and a note where something was left out.

    Every backbone x arm x draw x seed must be there with the same items, samples and readings; an
    untuned backbone has neither draw nor seed. With `partial` backbones without any whole draw are left out; of
    the others the draws that are whole for all are kept, and the untuned ones only if all of them are whole.

    Raises DataError that names the missing cells, or says that no draw is whole.
    """
    scores = check(scores, SCORES)
    refuse_contradictions(scores)
    faults = faulty_cells(scores)
    if faults.is_empty():
        return scores, None
    if not partial:
        raise DataError(f"the grid of scores is incomplete: {listed(faults)}")
    return whole_part(scores, faults)


def refuse_contradictions(scores: pl.DataFrame) -> None:
    """Raises DataError for verdicts that stand twice, draws in the wrong place, and names that mean two things."""
    tuned = pl.col("arm") != UNTUNED
    for column in ("draw", "seed"):
        if scores.filter((tuned & pl.col(column).is_null()) | (~tuned & pl.col(column).is_not_null())).height:
            raise DataError(f"scores: {column!r} must be empty for the arm {UNTUNED!r} and for no other")
    twice = scores.select(*CELL, *VERDICT).is_duplicated()
    if twice.any():
        row = scores.filter(twice).row(0, named=True)
        raise DataError(
            f"scores: a verdict stands there more than once: {named(row)}, {row['task']} {row['item_id']!r}"
        )
    for keys, value in ((["arm"], "share"), (["backbone"], "family"), (["task"], "domain")):
        refuse_two(scores, keys, value)
    refuse_two(scores, ["task", "item_id"], "cluster")


def refuse_two(scores: pl.DataFrame, keys: list[str], value: str) -> None:
    several = scores.select(*keys, value).unique().group_by(keys).len().filter(pl.col("len") > 1).sort(keys)
    if several.height:
        raise DataError(f"scores: {' '.join(map(str, several.row(0)[:-1]))!r} has more than one {value}")


def faulty_cells(scores: pl.DataFrame) -> pl.DataFrame:
    """One row per cell that is missing or lacks verdicts: backbone, arm, draw, seed, has, wanted."""
    tuned, untuned = (scores.filter(part) for part in (pl.col("arm") != UNTUNED, pl.col("arm") == UNTUNED))
    backbones = scores.select("backbone").unique()
    expected = backbones
    for column in CELL[1:]:
        expected = expected.join(tuned.select(column).unique(), how="cross")
    if untuned.height:
        expected = pl.concat([expected, backbones.join(untuned.select(*CELL[1:]).unique(), how="cross")])
    wanted = scores.select(VERDICT).unique().height
    has = scores.group_by(CELL).agg(has=pl.len().cast(pl.Int64))
    found = expected.join(has, on=CELL, how="left", nulls_equal=True).with_columns(pl.col("has").fill_null(0))
    return found.filter(pl.col("has") < wanted).with_columns(wanted=wanted).sort(CELL)


def whole_part(scores: pl.DataFrame, faults: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    draws = sorted(scores["draw"].drop_nulls().unique())
    gone = without_whole_draw(faults, len(draws))
    scores, left = (each.filter(~pl.col("backbone").is_in(gone)) for each in (scores, faults))
    whole = [draw for draw in draws if draw not in set(left["draw"])]
    if scores.is_empty() or (draws and not whole):
        raise DataError(f"no draw is whole, so nothing can be compared: {listed(faults)}")
    untuned_faulty = left["draw"].null_count() > 0
    keep = pl.col("draw").is_in(whole) | (pl.col("draw").is_null() & (not untuned_faulty))
    note = f"{PARTIAL}: draw {', '.join(map(str, whole))} of {', '.join(map(str, draws))}"
    note += ", without the untuned backbones" if untuned_faulty else ""
    note += f", without {', '.join(gone)}, of which no draw is whole" if gone else ""
    return scores.filter(keep), note


def without_whole_draw(faults: pl.DataFrame, draws: int) -> list[str]:
    """The backbones to which something is missing in every draw."""
    broken = faults.drop_nulls("draw").group_by("backbone").agg(pl.col("draw").n_unique())
    return sorted(broken.filter(pl.col("draw") == draws)["backbone"])


def listed(faults: pl.DataFrame) -> str:
    """The faulty cells in words, the first dozen by name."""
    rows = faults.head(FAULTS_SHOWN).iter_rows(named=True)
    names = [named(row) + (f" (has {row['has']} of {row['wanted']} verdicts)" if row["has"] else "") for row in rows]
    more = f" and {faults.height - FAULTS_SHOWN} more" if faults.height > FAULTS_SHOWN else ""
    return f"{faults.height} cell(s) missing or not whole: {'; '.join(names)}{more}"


def named(row: dict[str, object]) -> str:
    run = "" if row["draw"] is None else f", draw {row['draw']}, seed {row['seed']}"
    return f"{row['backbone']}, {row['arm']}{run}"
