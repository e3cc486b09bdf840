"""Draws -> what else differs between the arms, besides the share of coding examples."""

import polars as pl

from codedose import tables
from codedose.errors import DataError

TEXT = pl.element().struct.field("content")
WORDS = TEXT.str.count_matches(r"\S+")
REPLY_WORDS = WORDS.filter(pl.element().struct.field("role") == "assistant")


def balance(draws: pl.DataFrame, labelled: pl.DataFrame, *, baseline: str) -> pl.DataFrame:
    """Per arm, draw and quantity: mean, sd, n and SMD against the baseline arm of the same draw (tables.BALANCE).

    Quantities are those of an example (see `measure`), and `examples`, whose mean is their number. The
    standardised mean difference is in units of the two arms' root mean square sd (Cohen's d for equal
    sizes; Austin 2009); it is null where that is 0 or an arm has one example. Raises DataError when the
    baseline is no arm of every draw, or an example has no label.
    """
    refuse_missing_baseline(draws, baseline)
    long = measure(draws, labelled).unpivot(index=["arm", "draw"], variable_name="quantity", value_name="value")
    summary = long.group_by("arm", "draw", "quantity").agg(
        pl.col("value").mean().alias("mean"), pl.col("value").std().alias("sd"), pl.len().cast(pl.Int64).alias("n")
    )
    counts = (
        draws.group_by("arm", "draw")
        .agg(pl.len().cast(pl.Int64).alias("n"))
        .select(
            "arm",
            "draw",
            pl.lit("examples").alias("quantity"),
            pl.col("n").cast(pl.Float64).alias("mean"),
            pl.lit(None, pl.Float64).alias("sd"),
            "n",
        )
    )
    compared = with_smd(pl.concat([summary, counts]), baseline)
    return tables.check(compared.sort("draw", "arm", "quantity"), tables.BALANCE)


def measured_dose(draws: pl.DataFrame, labelled: pl.DataFrame) -> pl.DataFrame:
    """Per arm and draw the dose that was really given: code characters / all characters (arm, draw, dose)."""
    measured = measure(draws, labelled)
    code = (pl.col("code_share") * pl.col("chars")).sum()
    return measured.group_by("arm", "draw").agg((code / pl.col("chars").sum()).alias("dose")).sort("arm", "draw")


def measure(draws: pl.DataFrame, labelled: pl.DataFrame) -> pl.DataFrame:
    """One row per drawn example: arm, draw and its quantities as numbers.

    turns (requests), words and chars of the whole conversation, reply_words (mean words of a reply),
    loss_words (words of all replies: those that bear loss), code_share, share_coding and share_math.
    """
    joined = draws.join(labelled.select("example_id", "code_share"), on="example_id", how="left")
    unknown = joined["code_share"].null_count()
    if unknown:
        raise DataError(f"{unknown} drawn examples are not in the label table; label the pool they were drawn from")
    messages = pl.col("messages").list
    reply_words = messages.eval(REPLY_WORDS).list
    quantities = {
        "turns": messages.eval(pl.element().struct.field("role") == "user").list.sum(),
        "words": messages.eval(WORDS).list.sum(),
        "reply_words": reply_words.mean(),
        "loss_words": reply_words.sum(),
        "chars": messages.eval(TEXT.str.len_chars()).list.sum(),
        "code_share": pl.col("code_share"),
        "share_coding": pl.col("label") == "coding",
        "share_math": pl.col("label") == "math",
    }
    return joined.select("arm", "draw", *(value.cast(pl.Float64).alias(name) for name, value in quantities.items()))


def with_smd(summary: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """The summary with the column smd: (mean - baseline's mean) / sqrt of the mean of both variances."""
    base = summary.filter(pl.col("arm") == baseline).select(
        "draw", "quantity", pl.col("mean").alias("base_mean"), pl.col("sd").alias("base_sd")
    )
    spread = ((pl.col("sd") ** 2 + pl.col("base_sd") ** 2) / 2).sqrt()
    gap = pl.col("mean") - pl.col("base_mean")
    return summary.join(base, on=["draw", "quantity"]).with_columns(pl.when(spread > 0).then(gap / spread).alias("smd"))


def refuse_missing_baseline(draws: pl.DataFrame, baseline: str) -> None:
    without = draws.group_by("draw").agg((pl.col("arm") == baseline).any().alias("has")).filter(~pl.col("has"))
    if without.height:
        arms = ", ".join(draws["arm"].unique().sort())
        raise DataError(f"the baseline arm {baseline!r} is not in every draw; the arms are {arms}")
