"""What limits each effect, in fixed words: the pieces of the note, joined by '; '.

`words` reads these pieces back, so each is named here and nowhere else.
"""

import polars as pl

from codedose.named import CHANGES

PRIMARY, SECONDARY = "primary", "secondary"
UNADJUSTED = "not adjusted"
DIFFER, NOT_SHOWN = "these checkpoints differ", "these checkpoints are not shown to differ"
SURVIVES, ONE_READING = "survives the other readings", "only one reading"
EQUIVALENT = "equivalent within the margin"
SMALL = "different, and smaller than the margin"
NOT_EQUIVALENT = "not shown to be within the margin"
NO_MARGIN = "equivalence not judged: no margin is given"
FEW_DRAWS = "equivalence not judged: it needs three draws"
NO_BASELINE = "no primary contrast is named: the baseline is the arm with the lowest share"


def verdicts(tested: pl.DataFrame, confidence: float) -> pl.DataFrame:
    """`tested` with verdict: the sign of what stands after adjustment, 0 if nothing does, null if undefined."""
    stands = pl.col("p_adjusted") < 1 - confidence
    return tested.with_columns(verdict=pl.when(stands).then(pl.col("estimate").sign()).otherwise(pl.col("p") * 0))


def under_readings(tested: pl.DataFrame) -> pl.DataFrame:
    """`tested` with survives: whether the other readings come to the same verdict, in words; null if undefined.

    A reading under which nothing is defined shows no difference, no more and no less.
    """
    keys = [name for name in ("view", "of", "family", "backbone", "contrast") if name in tested.columns]
    theirs = tested.select(*keys, other="reading", theirs="verdict")
    pairs = tested.select(*keys, "reading", "verdict").join(theirs, on=keys, nulls_equal=True)
    against = pairs.filter(
        (pl.col("other") != pl.col("reading")) & (pl.col("verdict") != pl.col("theirs").fill_null(0))
    )
    listed = against.group_by(*keys, "reading").agg(pl.col("other").sort().str.join(", "))
    alone = pl.lit(ONE_READING if tested["reading"].n_unique() < 2 else SURVIVES)
    said = pl.when(pl.col("other").is_null()).then(alone).otherwise(pl.lit(f"{CHANGES} ") + pl.col("other"))
    joined = tested.join(listed, on=[*keys, "reading"], how="left", nulls_equal=True)
    return joined.with_columns(survives=pl.when(pl.col("verdict").is_not_null()).then(said)).drop("other")


def equivalence(margin: float | None) -> pl.Expr:
    """The words on the margin (percentage points) for a difference; null for others and where nothing was tested."""
    if margin is None:
        said = pl.lit(NO_MARGIN)
    else:
        of = f" of {margin:g} point{'' if margin == 1 else 's'}"
        different = pl.col("verdict") != 0
        said = (
            pl.when(pl.col("within").is_null())
            .then(pl.lit(FEW_DRAWS))
            .when(~pl.col("within"))
            .then(pl.lit(NOT_EQUIVALENT + of))
            .when(different)
            .then(pl.lit(SMALL + of))
            .otherwise(pl.lit(EQUIVALENT + of))
        )
    return pl.when(pl.col("kind").is_in(["baseline", "untuned"]) & pl.col("verdict").is_not_null()).then(said)


def checkpoints() -> pl.Expr:
    """With one draw, what the items say about these checkpoints and no more."""
    said = pl.when(pl.col("verdict") != 0).then(pl.lit(DIFFER)).otherwise(pl.lit(NOT_SHOWN))
    return pl.when((pl.col("n_draws") == 1) & pl.col("verdict").is_not_null()).then(said)


def joined(*pieces: pl.Expr) -> pl.Expr:
    """The pieces that are there, as one note."""
    return pl.concat_str(*pieces, separator="; ", ignore_nulls=True)
