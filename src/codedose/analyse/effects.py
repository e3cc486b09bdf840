"""Scores flow in; the table of effects flows out, every number with the note that limits it."""

from dataclasses import dataclass

import polars as pl

from codedose import tables
from codedose.analyse.adjust import benjamini_hochberg, holm, per_family
from codedose.analyse.agreement import CONCORDANCE, SAME_SIGN, concordance, same_sign
from codedose.analyse.contrasts import CONTRAST, arm_points, contrasted, over_draws, weights
from codedose.analyse.dose import BEST, best_share
from codedose.analyse.grid import complete
from codedose.analyse.items import over_items
from codedose.analyse.notes import (
    NO_BASELINE,
    PRIMARY,
    SECONDARY,
    UNADJUSTED,
    checkpoints,
    equivalence,
    joined,
    under_readings,
    verdicts,
)
from codedose.analyse.views import GROUP, VIEW, by_group, in_order, item_counts
from codedose.errors import DataError
from codedose.tables import AGREEMENT, DIFFERENCE, EFFECTS, THESE_ITEMS, TREND, UNTUNED, check


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
    partial: bool = False,
) -> pl.DataFrame:
    """The table of effects, in percentage points: differences, trends, best share, agreement of backbones.

    `primary` is (arm, against) and `reading` the reading it was named for; without them the baseline
    is the arm with the lowest share and every contrast is secondary. `margin` is in percentage
    points; `consistency` holds the shares of backbones called consistent and opposite. Estimates and
    intervals are for these items, over new draws of training examples.
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
    tested = differences(scores, points, parts, terms)
    found = [noted(tested, terms), best_share(points, confidence)]
    if scores["backbone"].n_unique() > 1 and tuned.height > 1:
        found += [same_sign(tested, terms.main, consistency), concordance(points)]
    whole = tuned.select("arm").join(pl.DataFrame({"contrast": [BEST, SAME_SIGN, CONCORDANCE]}), how="cross")
    counted = counts(scores, pl.concat([parts.select("arm", "contrast"), whole]))
    rows = pl.concat(found, how="diagonal_relaxed").with_columns(kind=kind(), estimand=pl.lit(THESE_ITEMS))
    rows = rows.join(counted, on=[*GROUP, "contrast"], nulls_equal=True)
    rows = rows.join(item_counts(scores), on=VIEW)
    role = pl.when(is_primary(terms)).then(pl.lit(PRIMARY)).otherwise(pl.lit(SECONDARY))
    note = joined(role, pl.col("note"), pl.lit(None if primary else NO_BASELINE), pl.lit(left_out))
    return check(in_order(rows.with_columns(note=note), ["contrast"]), EFFECTS)


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


def kind() -> pl.Expr:
    """What a row estimates, in the words of the table."""
    return (
        pl.when(pl.col("contrast") == BEST)
        .then(pl.lit(tables.BEST))
        .when(pl.col("contrast").is_in([SAME_SIGN, CONCORDANCE]))
        .then(pl.lit(AGREEMENT))
        .when(pl.col("kind") == "trend")
        .then(pl.lit(TREND))
        .otherwise(pl.lit(DIFFERENCE))
    )


def is_primary(terms: Terms) -> pl.Expr:
    return is_main(terms) & (pl.col("reading") == pl.lit(terms.reading or ""))


def is_main(terms: Terms) -> pl.Expr:
    """The primary contrast, overall and pooled, under any reading."""
    pooled = pl.col("family").is_null() & pl.col("backbone").is_null()
    return pooled & (pl.col("view") == "overall") & (pl.col("contrast") == terms.primary)


def differences(scores: pl.DataFrame, points: pl.DataFrame, parts: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """Every difference and trend, tested over draws (over items where there is one draw) and adjusted."""
    tested = over_draws(contrasted(points, parts), terms.confidence, terms.margin)
    if tested["n_draws"].max() == 1 and (parts["kind"] != "trend").any():
        single = over_items(scores, parts)
        tested = tested.drop("p").join(single, on=CONTRAST, how="left", nulls_equal=True, suffix="_items")
        tested = tested.with_columns(method=pl.coalesce("method_items", "method")).drop("method_items")
    return adjusted(tested, terms)


def adjusted(tested: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """`tested` with p_adjusted and adjusted_by.

    Per reading and group: Holm over the domains of a contrast, Benjamini-Hochberg over tasks x
    contrasts, Holm over the overall contrasts of one kind (against the baseline, against the
    untuned, trends). The primary contrast is one test and stays as it is, under every reading, so
    that readings are compared like with like.
    """
    alone = is_main(terms)
    named = tested.filter(alone).with_columns(p_adjusted=pl.col("p"), adjusted_by=pl.lit(UNADJUSTED))
    others, kind = tested.filter(~alone), ["reading", *GROUP, "kind"]
    view = {name: others.filter(pl.col("view") == name) for name in ("overall", "domain", "task")}
    return pl.concat(
        [
            named,
            per_family(view["overall"], kind, holm, "Holm"),
            per_family(view["domain"], [*kind, "contrast"], holm, "Holm"),
            per_family(view["task"], kind, benjamini_hochberg, "Benjamini-Hochberg"),
        ]
    )


def noted(tested: pl.DataFrame, terms: Terms) -> pl.DataFrame:
    """`tested` with the note: how it was adjusted, what limits it, the margin, the other readings."""
    judged = under_readings(verdicts(tested, terms.confidence))
    by = pl.when(pl.col("p").is_not_null()).then("adjusted_by")
    note = joined(by, pl.col("why"), checkpoints(), equivalence(terms.margin), pl.col("survives"))
    return judged.with_columns(note=note)


def counts(scores: pl.DataFrame, parts: pl.DataFrame) -> pl.DataFrame:
    """How many runs stand behind each contrast, the untuned backbone counted as one: GROUP, contrast, n_runs."""
    runs = by_group(scores.select(*GROUP, "arm", "draw", "seed").unique(), families=True)
    return runs.join(parts, on="arm").group_by(*GROUP, "contrast").agg(n_runs=pl.len().cast(pl.Int64))
