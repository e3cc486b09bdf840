"""Draws and a tokenizer -> how much of each arm is cut off by the longest length, before anything is trained."""

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import CodedoseError, StudyError
from codedose.prompt import Encoded

NO_LIMIT = 1 << 60  # tokens
COUNTED = ("tokens", "tokens_cut", "loss_tokens", "loss_tokens_cut")
Encode = Callable[..., Encoded]  # messages and max_length -> the example as it is trained on


def lengths(draws: pl.DataFrame, encode: Encode, *, backbone: str, max_length: int) -> pl.DataFrame:
    """Per arm and draw: examples, those that are cut, tokens and loss-bearing tokens and how many of them are lost.

    `encode(messages, max_length=...)` is the training's own. Returns tables.LENGTHS; raises what `encode` raises for
    an example that cannot be trained on, naming arm, draw and slot.
    """

    @cache
    def counted(messages: str) -> tuple[int, ...]:
        return counts(json.loads(messages), encode, max_length)

    rows = []
    for arm, draw, slot, messages in draws.select("arm", "draw", "slot", "messages").iter_rows():
        try:
            found = counted(json.dumps(messages))
        except CodedoseError as problem:
            raise type(problem)(f"arm {arm!r}, draw {draw}, slot {slot}: {problem}") from problem
        rows.append({"arm": arm, "draw": draw, "cut": found[1] > 0, **dict(zip(COUNTED, found, strict=True))})
    if not rows:
        return tables.LENGTHS.frame([])
    sums = [pl.col(name).sum().cast(pl.Int64) for name in ("cut", *COUNTED)]
    each = pl.DataFrame(rows).group_by("arm", "draw").agg(pl.len().cast(pl.Int64).alias("examples"), *sums)
    return tables.check(each.with_columns(backbone=pl.lit(backbone)).sort("draw", "arm"), tables.LENGTHS)


def counts(messages: Sequence[Any], encode: Encode, max_length: int) -> tuple[int, ...]:
    """Tokens of a whole conversation, those cut off, and the same of the tokens that bear loss."""
    kept = encode(messages, max_length=max_length)
    if not kept.cut:
        return len(kept.tokens), 0, kept.loss_tokens, 0
    whole = encode(messages, max_length=NO_LIMIT)
    lost = len(whole.tokens) - len(kept.tokens), whole.loss_tokens - kept.loss_tokens
    return len(whole.tokens), lost[0], whole.loss_tokens, lost[1]


def refuse_unequal(found: pl.DataFrame, *, most: float, max_length: int) -> None:
    """StudyError where two arms of a draw differ by more than `most` in the share of their tokens that is cut off."""
    shares = found.with_columns(share=pl.col("tokens_cut") / pl.col("tokens")).sort("draw", "share")
    for (backbone, draw), arms in shares.group_by("backbone", "draw", maintain_order=True):
        least, worst = arms.row(0, named=True), arms.row(-1, named=True)
        if worst["share"] - least["share"] > most:
            raise StudyError(
                f"tune.max_length ({max_length} tokens of {backbone}) cuts off {worst['share']:.1%} of the arm "
                f"{worst['arm']!r} and {least['share']:.1%} of {least['arm']!r} in draw {draw}: more than "
                f"tune.shrinkage ({most:.1%}) apart; raise max_length, choose over_long: redraw, stratify the mix on "
                "reply_length, or raise shrinkage"
            )
