"""Drawn examples -> their quantities as numbers, one row each."""

from collections.abc import Mapping

import polars as pl

from codedose.balance.topics import topics
from codedose.code.share import code_shares

TEXT = pl.element().struct.field("content")
REPLY = pl.element().struct.field("role") == "assistant"
WORDS_AND_SIGNS = r"\w+|[^\w\s]"  # what mix/strata.py matches on; a test keeps the two alike

LANGUAGES = 5  # named; the rest together


def measure(
    draws: pl.DataFrame,
    labelled: pl.DataFrame,
    *,
    examples: pl.DataFrame | None,
    leaks: pl.DataFrame | None,
    label_error: Mapping[str, float] | None,
) -> pl.DataFrame:
    """One row per drawn example, in order: arm, draw and its quantities; null where one is not known.

    An example that stands in several arms is measured once; what a control changed counts as another one.
    """
    keyed = draws.with_columns(pl.col("messages").hash().alias("text"))
    distinct = keyed.unique(["example_id", "text"], keep="first", maintain_order=True)
    found = pl.concat(
        [
            distinct.select("example_id", "text", **of_messages()),
            code_shares(distinct["messages"]).to_frame(),
            of_topic(distinct),
            of_pool(distinct, examples, leaks),
        ],
        how="horizontal",
    )
    wrong = error_of(labelled, label_error)
    return (
        keyed.select("arm", "draw", "example_id", "text", "label", "tokens", "loss_tokens")
        .join(found, on=["example_id", "text"], maintain_order="left")
        .join(wrong, on="example_id", how="left", maintain_order="left")
        .with_columns(share_coding=pl.col("label") == "coding", share_math=pl.col("label") == "math")
        .drop("example_id", "text", "label")
        .with_columns(pl.exclude("arm", "draw").cast(pl.Float64))
    )


def of_messages() -> dict[str, pl.Expr]:
    """turns (replies), reply_length (words and signs of all replies), reply_mean (of one), chars (of all messages)."""
    messages = pl.col("messages").list
    length = messages.eval(TEXT.str.count_matches(WORDS_AND_SIGNS).filter(REPLY)).list.sum()
    turns = messages.eval(REPLY).list.sum()
    chars = messages.eval(TEXT.str.len_chars()).list.sum()
    return {"reply_length": length, "turns": turns, "reply_mean": length / turns, "chars": chars}


def of_topic(distinct: pl.DataFrame) -> pl.DataFrame:
    """topic_<name>: whether the requests are about it."""
    asked = distinct.select(pl.col("messages").list.eval(TEXT.filter(~REPLY)).list.join("\n")).to_series()
    found = topics(asked)
    return pl.DataFrame({f"topic_{name}": found == name for name in sorted(set(found))})


def of_pool(distinct: pl.DataFrame, examples: pl.DataFrame | None, leaks: pl.DataFrame | None) -> pl.DataFrame:
    """lang_<code>, the most frequent ones and lang_rest; changed (by a control); leaks (whether it holds an item)."""
    columns: dict[str, pl.Series] = {}
    if examples is not None:
        known = distinct.select("example_id", "text").join(
            examples.select("example_id", "lang", pl.col("messages").hash().alias("original")),
            on="example_id",
            how="left",
            maintain_order="left",
        )
        if known["lang"].null_count() < known.height:
            often = known.group_by("lang").len().drop_nulls().sort("len", "lang", descending=[True, False])
            named = often["lang"].head(LANGUAGES).sort().to_list()
            columns |= {f"lang_{code}": known["lang"].eq_missing(code) for code in named}
            columns["lang_rest"] = ~known["lang"].is_in(named).fill_null(False)
        columns["changed"] = known["text"] != known["original"]
    if leaks is not None:
        columns["leaks"] = distinct["example_id"].is_in(leaks["example_id"].unique().to_list())
    return pl.DataFrame(columns) if columns else pl.DataFrame(height=distinct.height)


def error_of(labelled: pl.DataFrame, label_error: Mapping[str, float] | None) -> pl.DataFrame:
    """label_error: how likely an example's label is wrong, by the audit's rate of its label, else by its confidence."""
    if label_error is not None:
        error = pl.col("label").replace_strict(dict(label_error), default=None, return_dtype=pl.Float64)
    else:
        error = 1 - pl.col("confidence") if "confidence" in labelled.columns else pl.lit(None, pl.Float64)
    return labelled.select("example_id", label_error=error)
