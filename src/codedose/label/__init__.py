"""Examples -> the class of each: coding, math or other, and how much of it is code.

Labellers with one result (example_id, label, confidence): `stated` takes the source's own word, `rules` sees
whether code is there, `model` what the conversation is about; llm.py asks a model behind an endpoint.
`complete` makes the table of labels of whatever they found.
"""

from typing import Literal

import polars as pl

from codedose import tables
from codedose.code.share import code_shares
from codedose.errors import DataError
from codedose.label.model import label_model
from codedose.label.rules import label_rules


def label(examples: pl.DataFrame, *, by: Literal["stated", "rules", "model"]) -> pl.DataFrame:
    """One row per example, in their order (tables.LABELLED).

    Raises DataError when the source's word is asked for and some examples have none.
    """
    shares = code_shares(examples["messages"])
    match by:
        case "stated":
            found = label_stated(examples)
        case "rules":
            found = label_rules(examples, shares)
        case "model":
            found = label_model(examples)
    return complete(found, shares, by=by)


def complete(found: pl.DataFrame, shares: pl.Series, *, by: str) -> pl.DataFrame:
    """The table of labels (tables.LABELLED): what a labeller found, and the share of each example that is code
    (code_shares of the same examples in the same order)."""
    labels = found.select("example_id", "label", pl.lit(by).alias("by"), "confidence", shares.alias("code_share"))
    return tables.check(labels, tables.LABELLED)


def label_stated(examples: pl.DataFrame) -> pl.DataFrame:
    """The source's own label of each example; DataError says how many have none, and in which sources."""
    lacking = examples.filter(pl.col("stated_label").is_null())
    if lacking.height:
        sources = ", ".join(lacking["source"].unique().sort().head(3))
        raise DataError(
            f"{lacking.height} of {examples.height} examples have no label of their own (from {sources}); "
            "label by rules or by model, or give every record the field label: coding, math or other"
        )
    return examples.select("example_id", label="stated_label", confidence=pl.lit(None, pl.Float64))
