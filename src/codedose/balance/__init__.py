"""Draws -> what else differs between the arms, besides the share of coding examples.

measure   a drawn example as numbers: length, turns, tokens, language, code
topics    what its requests are about
"""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from codedose import tables
from codedose.balance.measure import measure
from codedose.code.share import code_shares
from codedose.errors import DataError
from codedose.pool.near import candidates, near_one, sets_of, signatures

NEAR = 0.5  # Jaccard similarity of word 5-grams from which two conversations of an arm count as alike


def balance(
    draws: pl.DataFrame,
    labelled: pl.DataFrame,
    *,
    baseline: str,
    examples: pl.DataFrame | None = None,
    leaks: pl.DataFrame | None = None,
    shares: Mapping[str, float] | None = None,
    label_error: Mapping[str, float] | None = None,
) -> pl.DataFrame:
    """Per arm, draw and quantity: mean, sd, n and SMD against the baseline arm of the same draw (tables.BALANCE).

    Of each example (mean and sd over the n of the arm): turns, reply_length, reply_mean, chars, tokens,
    loss_tokens, code_share, share_coding, share_math, topic_<name>, lang_<code> and changed (given the
    `examples` of the pool), leaks (given those), label_error. Of the arm (mean is its number): examples,
    conversations (different ones), near_duplicates (share of examples that have another one at Jaccard >= 0.5),
    share (nominal, given `shares`), dose (code characters by all characters), kept and in_place (share of its
    examples that the baseline holds too, and in the same slot or step). What is not known has no row.

    The standardised mean difference is in units of the two arms' root mean square sd (Cohen's d for equal
    sizes; Austin 2009); it is null where that is 0 or an arm has one example. Raises DataError when the
    baseline is no arm of every draw, or an example has no label.
    """
    refuse_missing_baseline(draws, baseline)
    refuse_unlabelled(draws, labelled)
    measured = measure(draws, labelled, examples=examples, leaks=leaks, label_error=label_error)
    long = measured.unpivot(index=["arm", "draw"], variable_name="quantity", value_name="value").drop_nulls("value")
    each = long.group_by("arm", "draw", "quantity").agg(
        pl.col("value").mean().alias("mean"), pl.col("value").std().alias("sd"), pl.len().cast(pl.Int64).alias("n")
    )
    whole = pl.concat([totals(draws, measured, shares or {}), overlap(draws, baseline)])
    compared = with_smd(pl.concat([each, whole.select(each.columns)]), baseline)
    return tables.check(compared.sort("draw", "arm", "quantity"), tables.BALANCE)


def is_large(quantity: str, smd: float | None) -> bool:
    """Whether a difference deserves a mark: beyond 0.1, in something that was not meant to differ."""
    return smd is not None and abs(smd) > tables.LARGE_SMD and quantity not in tables.DOSE


def measured_dose(draws: pl.DataFrame) -> pl.DataFrame:
    """Per arm and draw the dose that was really given: code characters / all characters (arm, draw, dose)."""
    content = pl.element().struct.field("content").str.len_chars()
    measured = draws.select(
        "arm", "draw", chars=pl.col("messages").list.eval(content).list.sum(), code=code_shares(draws["messages"])
    )
    code = (pl.col("code") * pl.col("chars")).sum() / pl.col("chars").sum()
    return measured.group_by("arm", "draw").agg(dose=code).sort("arm", "draw")


def totals(draws: pl.DataFrame, measured: pl.DataFrame, shares: Mapping[str, float]) -> pl.DataFrame:
    """The quantities of whole arms."""
    code = (pl.col("code_share") * pl.col("chars")).sum() / pl.col("chars").sum()
    dose = {(arm, draw): value for arm, draw, value in measured.group_by("arm", "draw").agg(code).iter_rows()}
    near = near_duplicates(draws)
    rows: list[tuple[object, ...]] = []
    for (arm, draw), frame in draws.partition_by("arm", "draw", as_dict=True).items():
        found: dict[str, float | None] = {
            "examples": frame.height,
            "conversations": frame["example_id"].n_unique(),
            "near_duplicates": near[arm, draw],
            "share": shares.get(str(arm)),
            "dose": dose[arm, draw],
        }
        rows += [(arm, draw, name, value, frame.height) for name, value in found.items() if value is not None]
    return whole(rows)


def near_duplicates(draws: pl.DataFrame) -> dict[tuple[object, ...], float]:
    """Per arm and draw the share of its conversations that have another one among them at Jaccard >= NEAR."""
    keyed = draws.select("arm", "draw", "example_id", "messages", text=pl.col("messages").hash())
    distinct = keyed.unique(["example_id", "text"]).sort("example_id", "text").with_row_index("row")
    contents = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n")
    texts = distinct.select(contents).to_series().to_list()
    signed = signatures(texts)
    placed = keyed.join(distinct.select("example_id", "text", "row"), on=["example_id", "text"])
    shares = {}
    for key, frame in placed.partition_by("arm", "draw", as_dict=True).items():
        members = frame["row"].unique().sort().to_numpy()
        pairs = members[candidates(signed[members], NEAR)]
        sets = sets_of(np.unique(pairs).tolist(), lambda rows: [texts[row] for row in rows])
        shares[key] = len(near_one(pairs.tolist(), sets, NEAR)) / max(len(members), 1)
    return shares


def overlap(draws: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """kept and in_place: how far each arm and the baseline of its draw are the same."""
    place = pl.coalesce("step", "slot").alias("place")
    keys = draws.select("arm", "draw", "example_id", "copy", place)
    base = keys.filter(pl.col("arm") == baseline).drop("arm")
    both = keys.join(base, on=["draw", "example_id", "copy"], how="left", suffix="_base", maintain_order="left")
    shared = both.group_by("arm", "draw").agg(
        pl.col("place_base").is_not_null().mean().alias("kept"),
        (pl.col("place") == pl.col("place_base")).fill_null(False).mean().alias("in_place"),
        pl.len().alias("n"),
    )
    return whole(
        [
            (arm, d, name, v, n)
            for arm, d, *values, n in shared.iter_rows()
            for name, v in zip(("kept", "in_place"), values, strict=True)
        ]
    )


def whole(rows: Sequence[tuple[object, ...]]) -> pl.DataFrame:
    schema = {name: tables.BALANCE.columns[name] for name in ("arm", "draw", "quantity", "mean", "n")}
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(sd=pl.lit(None, pl.Float64))


def with_smd(summary: pl.DataFrame, baseline: str) -> pl.DataFrame:
    """The summary with the column smd: (mean - baseline's mean) / sqrt of the mean of both variances."""
    base = summary.filter(pl.col("arm") == baseline).select(
        "draw", "quantity", pl.col("mean").alias("base_mean"), pl.col("sd").alias("base_sd")
    )
    spread = ((pl.col("sd") ** 2 + pl.col("base_sd") ** 2) / 2).sqrt()
    gap = pl.col("mean") - pl.col("base_mean")
    joined = summary.join(base, on=["draw", "quantity"], how="left")
    return joined.with_columns(pl.when(spread > 0).then(gap / spread).alias("smd"))


def refuse_missing_baseline(draws: pl.DataFrame, baseline: str) -> None:
    without = draws.group_by("draw").agg((pl.col("arm") == baseline).any().alias("has")).filter(~pl.col("has"))
    if without.height:
        arms = ", ".join(draws["arm"].unique().sort())
        raise DataError(f"the baseline arm {baseline!r} is not in every draw; the arms are {arms}")


def refuse_unlabelled(draws: pl.DataFrame, labelled: pl.DataFrame) -> None:
    unknown = draws.join(labelled.select("example_id"), on="example_id", how="anti").height
    if unknown:
        raise DataError(f"{unknown} drawn examples are not in the label table; label the pool they were drawn from")
