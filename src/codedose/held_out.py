"""Whether the treatment took: examples that no arm trains on, and what a model's loss on them is.

Which examples are set aside depends on the pool and its labels only, so that another arm, draw or
backbone leaves them, and all that was trained beside them, as they are.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl

from codedose.errors import DataError, MachineError
from codedose.prompt import Encoded, Message
from codedose.tables import HELD_OUT, LABELS, check

Progress = Callable[[int, int, str], None]


def rank(example_id: str) -> str:
    """A fixed place in line for each example, of its own: the lines of the draws tell nothing of it."""
    return hashlib.sha256(f"held out/{example_id}".encode()).hexdigest()


def set_aside(labelled: pl.DataFrame, count: int, *, needed: Sequence[str]) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """`count` examples of each label (tables.HELD_OUT), and sentences on labels that have fewer.

    `labelled` has example_id, label and messages. A label that the pool does not have at all is not
    measured, and of one that no arm needs (it is not in `needed`) all examples are taken where there
    are fewer. Raises DataError for a needed label with too few, with what is missing.
    """
    found = {label: labelled.filter(pl.col("label") == label)["example_id"].to_list() for label in LABELS}
    few = {label: len(ids) for label, ids in found.items() if len(ids) < count}
    short = [lacking(label, count, few[label]) for label in needed if few.get(label)]
    if short:
        raise DataError(f"mix.held_out wants {'; '.join(short)}; lower it, or add examples of that label")
    taken = [name for ids in found.values() for name in sorted(ids, key=rank)[:count]]
    chosen = check(labelled.filter(pl.col("example_id").is_in(taken)).sort("label", "example_id"), HELD_OUT)
    return chosen, tuple(shortage(label, has, count) for label, has in few.items())


def lacking(label: str, count: int, has: int) -> str:
    return f"{count:,} {label}, the pool has {has:,}: {count - has:,} too few"


def shortage(label: str, has: int, count: int) -> str:
    if not has:
        return f"the pool has no {label} examples, so the loss on {label} text is not measured"
    return f"the loss on {label} text is measured on {has:,} examples, not {count:,}: the pool has no more"


def measure(
    model: Any, held_out: pl.DataFrame, encode: Callable[[Sequence[Message]], Encoded], progress: Progress
) -> list[dict[str, Any]]:
    """The model's loss on the examples of each label: rows of tables.LOSSES without their cell.

    `held_out` is a tables.HELD_OUT; `encode` is prompt.encode as the arms are trained. Each token that
    bears loss weighs the same. Raises MachineError when a loss is not a number.
    """
    rows = []
    for label in held_out["label"].unique().sort():
        told = held_out.filter(pl.col("label") == label)["messages"].to_list()
        examples = [example for example in (room_for(messages, encode) for messages in told) if example]
        total = 0.0
        for number, example in enumerate(examples, 1):
            total += loss(model, example)
            progress(number, len(examples), f"loss on {label} text")
        rows.append({"label": label, "left_out": len(told) - len(examples), **mean(examples, total)})
        if not math.isfinite(total):
            raise MachineError(f"the loss on {label} text is {total}, not a number; look at the checkpoint's training")
    return rows


def room_for(messages: Sequence[Message], encode: Callable[[Sequence[Message]], Encoded]) -> Encoded | None:
    """The conversation as tokens; None where its request leaves no room for a reply."""
    try:
        return encode(messages)
    except DataError:
        return None


def mean(examples: Sequence[Encoded], total: float) -> Mapping[str, Any]:
    tokens = sum(example.loss_tokens for example in examples)
    return {
        "examples": len(examples),
        "cut": sum(bool(example.cut) for example in examples),
        "tokens": tokens,
        "loss": total / tokens if tokens else None,
    }


def loss(model: Any, example: Encoded) -> float:
    """The sum of the losses of an example's loss-bearing tokens, in nats.

    The logits are the model's own, computed where loss is borne only. One example at a time: nothing
    is padded, so what is measured does not depend on what stands beside it.
    """
    import torch

    device = next(model.parameters()).device
    tokens = torch.tensor(example.tokens, device=device)
    at = torch.tensor([place for place, bears in enumerate(example.loss[1:]) if bears], device=device)
    with torch.inference_mode():
        logits = model(input_ids=tokens[None], logits_to_keep=at, use_cache=False).logits[0]
        return float(torch.nn.functional.cross_entropy(logits.float(), tokens[at + 1], reduction="sum"))
