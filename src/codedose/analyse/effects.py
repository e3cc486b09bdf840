"""Scores flow in; the table of effects flows out, every number with the note that limits it."""

from dataclasses import dataclass

import polars as pl

from codedose.analyse import dose
from codedose.analyse.adjust import adjusted
from codedose.analyse.agreement import concordance, interaction, per_scale, same_sign
from codedose.analyse.best import best_share
from codedose.analyse.contrasts import CONTRAST, arm_points, contrasted, over_draws, weights
from codedose.analyse.controls import same_arm
from codedose.analyse.grid import complete
from codedose.analyse.items import over_items
from codedose.analyse.model import model_check
from codedose.analyse.noise import beside_differences
from codedose.analyse.notes import (
    NO_BASELINE,
    PRIMARY,
    SECONDARY,
    checkpoints,
    equivalence,
    joined,
    under_readings,
    verdicts,
)
from codedose.analyse.relative import relative_gains
from codedose.analyse.views import GROUP, VIEW, by_group, in_order, item_counts
from codedose.errors import DataError
from codedose.named import CONCORDANCE, CORRECTED, INTERACTION, MEASURED, OUTSIDE, PER_SCALE, SAME_SIGN
from codedose.tables import AGREEMENT, BEST, DIFFERENCE, EFFECTS, THESE_ITEMS, TREND, UNTUNED, check

OVER_ARMS = (BEST, SAME_SIGN, CONCORDANCE, INTERACTION, MEASURED, CORRECTED)  # every arm has a part in them


@dataclass(frozen=True)
class Terms:
    """What was settled before the scores existed. `primary` is empty where no study names it."""

    primary: str
    main: str  # the primary contrast, or the highest share against the lowest
    baseline: str
    reading: str | None
    confidence: float
    margin: float | None


def effects(
    scores: pl.DataFrame,
    *,
    primary: tuple[str, str] | None,
    reading: str | None,
    confidence: float,
    margin: float | None,
    consistency: tuple[float, float] | None,
    labels: dose.Labels | None = None,
    model: bool = False,
    partial: bool = False,
) -> pl.DataFrame:
    """The table of effects, in percentage points where the kind of a row says nothing else.

    `primary` is (arm, against) and `reading` the reading it was named for; without them the baseline
    is the arm with the lowest share and every contrast is secondary. `margin` is in percentage
    points; `consistency` holds the shares of backbones called consistent and opposite; `labels` says how good the
    labels are, where a sample was labelled by hand; `model` asks for the mixed logistic model, too, under `reading`.
    `estimand` says what an interval is about: new draws of training examples, and these items or new ones like them.
    Raises DataError as `grid.complete` does, or when the scores lack the primary's arms or reading.
    """
    scores, left_out = complete(scores, partial=partial)
    refuse_unknown(scores, primary, reading)
    arms = scores.select("arm", "share").unique().sort("share", "arm", nulls_last=True)
    tuned = arms.filter(pl.col("arm") != UNTUNED)
    if tuned.is_empty():
        return EFFECTS.frame([])
    terms = settled(tuned, primary, reading, confidence, margin)
    parts, points = weights(arms, terms.baseline), arm_points(scores)
    tested = differences(scores, points, parts, terms, labels)
    found = [noted(tested, terms), best_share(points, confidence).with_columns(kind=pl.lit(BEST))]
    if scores["backbone"].n_unique() > 1 and tuned.height > 1:
        agreeing = [same_sign(tested, terms.main, consistency), concordance(points), interaction(points)]
        found += [rows.with_columns(kind=pl.lit(AGREEMENT)) for rows in agreeing]
    if (parts["kind"] != "trend").any():
        found += [beside_differences(scores, parts, confidence), relative_gains(points, parts, confidence)]
    found += [same_arm(points, confidence)]
    if model:
        found += [model_check(scores, reading or sorted(scores["reading"].unique())[0], confidence)]
    rows = pl.concat([EFFECTS.frame([]).select("estimand"), *found], how="diagonal_relaxed")
    rows = rows.with_columns(pl.col("estimand").fill_null(THESE_ITEMS))
    rows = with_counts(rows, scores, parts)
    role = (
        pl.when(is_primary(terms) & (pl.col("kind") == DIFFERENCE)).then(pl.lit(PRIMARY)).otherwise(pl.lit(SECONDARY))
    )
    note = joined(role, pl.col("note"), pl.lit(None if primary else NO_BASELINE), pl.lit(left_out))
    return check(in_order(rows.with_columns(note=note), ["kind", "contrast", "method"]), EFFECTS)


def refuse_unknown(scores: pl.DataFrame, primary: tuple[str, str] | None, reading: str | None) -> None:
    for column, names in (("arm", primary or ()), ("reading", (reading,) if reading else ())):
        there = sorted(scores[column].unique())
        for name in names:
            if name not in there:
                raise DataError(f"the scores hold no {column} {name!r}; they hold {', '.join(there)}")


def settled(
    tuned: pl.DataFrame, primary: tuple[str, str] | None, reading: str | None, confidence: float, margin: float | None
) -> Terms:
    """`tuned` holds arm and share, the lowest share first."""
    arm, against = primary or (tuned["arm"][-1], tuned["arm"][0])
    main = f"{arm} - {against}"
    return Terms(main if primary and reading else "", main, against, reading, confidence, margin)


def is_primary(terms: Terms) -> pl.Expr:
    return is_main(terms) & (pl.col("reading") == pl.lit(terms.reading or ""))


def is_main(terms: Terms) -> pl.Expr:
    """The primary contrast, overall and pooled, under any reading."""
    pooled = pl.col("family").is_null() & pl.col("backbone").is_null()
    return pooled & (pl.col("view") == "overall") & (pl.col("contrast") == terms.primary)


def differences(
    scores: pl.DataFrame, points: pl.DataFrame, parts: pl.DataFrame, terms: Terms, labels: dose.Labels | None
) -> pl.DataFrame:
    """Every difference and trend, tested over draws (over items where there is one draw) and adjusted."""
    values = contrasted(points, parts)
    doses = scores.filter(pl.col("arm") != UNTUNED).select("arm", "draw", dose="measured_dose").unique()
    scales = scores.select("backbone", "scale").unique().sort("backbone")
    more = [dose.measured_trend(points, doses), *([per_scale(values, scales)] if scales.height > 1 else [])]
    whole = pl.concat([values, *(rows.select(values.columns) for rows in more if rows.height)])
    tested = over_draws(whole, terms.confidence, terms.margin)
    if tested["n_draws"].max() == 1 and (parts["kind"] != "trend").any():
        single = over_items(scores, parts)
        tested = tested.drop("p").join(single, on=CONTRAST, how="left", nulls_equal=True, suffix="_items")
        tested = tested.with_columns(method=pl.coalesce("method_items", "method")).drop("method_items")
    if labels is not None:
        tested = pl.concat([tested, dose.corrected_trend(tested, labels, terms.confidence).select(tested.columns)])
    return adjusted(tested, is_main(terms))


def noted(tested: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """`tested` with its kind and its note: how it was adjusted, what limits it, the margin, the other readings."""
    judged = under_readings(verdicts(tested, terms.confidence))
    by = pl.when(pl.col("p").is_not_null()).then("adjusted_by")
    note = joined(by, pl.col("why"), checkpoints(), equivalence(terms.margin), pl.col("survives"))
    becomes = {"baseline": DIFFERENCE, "untuned": DIFFERENCE, "trend": TREND, "dose": TREND, "scale": AGREEMENT}
    return judged.with_columns(note=note).with_columns(pl.col("kind").replace_strict(becomes, return_dtype=pl.String))


def with_counts(rows: pl.DataFrame, scores: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """`rows` with how many items and runs stand behind each, the untuned backbone counted as one run."""
    arms = parts.select("arm", "contrast").unique()
    scaled = arms.with_columns(pl.col("contrast") + PER_SCALE)
    whole = arms.select("arm").unique().filter(pl.col("arm") != UNTUNED)
    whole = whole.join(pl.DataFrame({"contrast": OVER_ARMS}), how="cross")
    runs = by_group(scores.select(*GROUP, "arm", "draw", "seed").unique(), families=True)
    behind = runs.join(pl.concat([arms, scaled, whole]), on="arm")
    counted = behind.group_by(*GROUP, "contrast").agg(counted=pl.len().cast(pl.Int64))
    rows = rows.join(counted, on=[*GROUP, "contrast"], how="left", nulls_equal=True)
    known = [pl.col("n_runs")] if "n_runs" in rows.columns else []
    rows = rows.with_columns(n_runs=pl.coalesce(*known, "counted", in_controls(scores)))
    return rows.join(item_counts(scores), on=VIEW)


def in_controls(scores: pl.DataFrame) -> pl.Expr:
    """How many runs the two draws of an A/A contrast hold, or all draws of all arms together."""
    tuned = scores.filter(pl.col("arm") != UNTUNED)
    sizes = {name: tuned[name].n_unique() for name in ("backbone", "seed", "arm", "draw")}
    each = pl.when(pl.col("backbone").is_null()).then(sizes["backbone"]).otherwise(1) * sizes["seed"]
    all_of_them = pl.col("contrast") == OUTSIDE
    return (each * pl.when(all_of_them).then(sizes["arm"] * sizes["draw"]).otherwise(2)).cast(pl.Int64)
