"""Conversations as they were found -> conversations fit to learn from, and a reason for each that is not.

Each rule is a pure function on the turns of one conversation; `apply_rules` is their order.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.pool import starter
from codedose.pool.read import Message, measured, read
from codedose.study import Source

DUPLICATE = "exact duplicate of another conversation"


def pool(sources: Sequence[Source], *, longest: int, folder: Path = Path()) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The pool (tables.EXAMPLES, by example_id, each once) and what left it (tables.DROPS).

    `folder` is where relative paths start. Rows in = examples + drops; the order of the sources and of
    their records changes nothing but positions. Raises DataError when a source cannot be read, or
    nothing is left.
    """
    found, unread = zip(*(read(place(s, folder), licence=s.licence, name=s.path) for s in sources), strict=True)
    kept, unfit = clean(pl.concat(found), longest=longest)
    examples, repeated = first_of_each(kept)
    drops = pl.concat([*unread, unfit, repeated])
    if examples.is_empty():
        raise DataError(f"the pool is empty: {reasons(drops)}; add a source, or raise pool.longest")
    return examples.sort("example_id"), drops.sort(drops.columns)


def place(source: Source, folder: Path) -> str | Path:
    return source.path if source.path == starter.NAME else folder / source.path


def reasons(drops: pl.DataFrame) -> str:
    """How many conversations left for which reason, the most frequent first."""
    counts = drops.group_by("reason").len().sort(pl.col("len"), "reason", descending=[True, False])
    return "; ".join(f"{count} {reason}" for reason, count in counts.head(8).iter_rows())


def clean(examples: pl.DataFrame, *, longest: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The examples after every rule (tables.EXAMPLES), measured anew, and those that a rule took out (tables.DROPS)."""
    kept, dropped = [], []
    for row in examples.iter_rows(named=True):
        messages, reason = apply_rules(row["messages"], longest=longest)
        if reason:
            dropped.append({"source": row["source"], "reference": row["conversation_id"], "reason": reason})
        else:
            kept.append(row | measured(messages))
    return tables.EXAMPLES.frame(kept), tables.DROPS.frame(dropped)


def apply_rules(messages: Sequence[Message], *, longest: int) -> tuple[list[Message], str]:
    """What the rules leave of a conversation, or nothing and the reason in plain words."""
    left = until_last_reply(from_first_request(until_first_empty(messages)))
    if not has_both_sides(left):
        return [], "empty or one-sided: no request with a reply"
    if not alternates(left):
        return [], "user and assistant do not take turns"
    left = cut_to(left, longest)
    if not left:
        return [], f"its first exchange is longer than {longest:,} characters"
    return left, ""


def until_first_empty(messages: Iterable[Message]) -> list[Message]:
    """The turns before the first empty one, since what follows answers something that is not there.

    An empty system message is only left out.
    """
    left = []
    for message in messages:
        if message["content"].strip():
            left.append(message)
        elif message["role"] != "system":
            break
    return left


def has_both_sides(messages: Iterable[Message]) -> bool:
    """Whether somebody asks and somebody replies."""
    return {"user", "assistant"} <= {message["role"] for message in messages}


def from_first_request(messages: Sequence[Message]) -> list[Message]:
    """The system message, if there is one, and everything from the first request on: leading replies answer nothing."""
    system = [message for message in messages[:1] if message["role"] == "system"]
    turns = messages[len(system) :]
    start = next((n for n, message in enumerate(turns) if message["role"] != "assistant"), len(turns))
    return [*system, *turns[start:]]


def until_last_reply(messages: Sequence[Message]) -> list[Message]:
    """Without the requests at the end that nobody answered."""
    end = max((n for n, message in enumerate(messages, 1) if message["role"] == "assistant"), default=0)
    return list(messages[:end])


def alternates(messages: Sequence[Message]) -> bool:
    """Whether user and assistant take turns, the user first, after at most one system message."""
    turns = messages[messages[0]["role"] == "system" :]
    return all(turn["role"] == ("user", "assistant")[n % 2] for n, turn in enumerate(turns))


def cut_to(messages: Sequence[Message], longest: int) -> list[Message]:
    """The longest run of whole exchanges from the start that has at most `longest` characters."""
    total, end = 0, 0
    for number, message in enumerate(messages, 1):
        total += len(message["content"])
        if total > longest:
            break
        if message["role"] == "assistant":
            end = number
    return list(messages[:end])


def first_of_each(examples: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """One row per example_id (tables.EXAMPLES), and the others (tables.DROPS).

    A row that states its label goes before one that does not; then the text itself, source and id decide,
    so that the row that stays does not depend on the order of the input.
    """
    text = pl.col("messages").list.eval(pl.element().struct.field("content")).list.join("\n")
    order = [pl.col("stated_label"), text, pl.col("source"), pl.col("conversation_id"), pl.col("position")]
    line = examples.sort(pl.col("example_id"), *order, nulls_last=True)
    first = line["example_id"].is_first_distinct()
    repeated = line.filter(~first).select(
        "source", pl.col("conversation_id").alias("reference"), pl.lit(DUPLICATE).alias("reason")
    )
    return tables.check(line.filter(first), tables.EXAMPLES), tables.check(repeated, tables.DROPS)
