"""What the page's figures and its reply browser are drawn from: tables in, plain JSON values out.

A table travels by column. A text column becomes its sorted distinct texts and one number a row, so
that twenty thousand replies, of which many are equal, stay small.
"""

import json

import polars as pl

MOST_REPLIES = 20_000  # in the page; beside it the tables hold all of them
MOST_STEPS = 200  # points of one training curve


def packed(frame: pl.DataFrame) -> dict[str, object]:
    """`frame` by column: {"height": rows, "columns": {name: values, or {levels, codes} for text}}."""
    return {"height": frame.height, "columns": {column.name: packed_column(column) for column in frame}}


def packed_column(column: pl.Series) -> object:
    if column.dtype == pl.String:
        levels = column.drop_nulls().unique().sort()
        return {"levels": levels.to_list(), "codes": (column.rank("dense") - 1).to_list()}
    if column.dtype.is_float():
        return [tidy(value) for value in column.to_list()]
    return column.to_list()


def tidy(value: float | None) -> float | None:
    """Six significant digits are more than a screen shows; what is no finite number is nothing."""
    if value is None or value != value or abs(value) == float("inf"):
        return None
    return float(f"{value:.6g}")


def inert_json(value: object) -> str:
    """`value` as JSON that no HTML parser and no JavaScript line can mistake for something else."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, sort_keys=True)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def runs(scores: pl.DataFrame) -> pl.DataFrame:
    """One row per cell: (cell, backbone, arm, draw, seed)."""
    return scores.select("cell", "backbone", "arm", "draw", "seed").unique().sort("cell")


def curves(training: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """(cell, backbone, arm, draw, seed, step, loss), with at most MOST_STEPS points a cell, each the
    mean of neighbouring steps."""
    stride = (pl.col("step").max().over("cell") - 1) // MOST_STEPS + 1
    thinned = (
        training.with_columns(bin=(pl.col("step") - 1) // stride)
        .group_by("cell", "bin")
        .agg(pl.col("step").max(), pl.col("loss").mean())
    )
    return thinned.join(runs(scores), on="cell", how="inner").drop("bin").sort("cell", "step")


def shown_items(items: pl.DataFrame, completions: pl.DataFrame) -> pl.DataFrame:
    """The items whose replies the page holds: all, or as many of each task as MOST_REPLIES allows.

    Item ids are hashes, so the first of a task in their order are no special ones.
    """
    asked = items.join(completions.select("item_id").unique(), on="item_id", how="semi").sort("task", "item_id")
    if completions.height <= MOST_REPLIES:
        return asked
    replies_an_item = completions.height / asked.height
    each = max(1, int(MOST_REPLIES / replies_an_item / asked["task"].n_unique()))
    return asked.filter(pl.int_range(pl.len()).over("task") < each)


def replies(items: pl.DataFrame, completions: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """One row per reply to one of `items`, with its outcome under every reading as a column."""
    keys = ["cell", "item_id", "sample"]
    verdicts = scores.join(items, on="item_id", how="semi")
    outcomes = verdicts.group_by(keys).agg(
        pl.col("in_code").any(),
        *(
            pl.col("outcome").filter(pl.col("reading") == reading).first().alias(reading)
            for reading in scores["reading"].unique().sort()
        ),
    )
    texts = completions.select(*keys, "text", "forced_text", "finish", "n_tokens")
    return texts.join(outcomes, on=keys, how="inner").sort(keys)
