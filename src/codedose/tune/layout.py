"""A step's examples -> micro-batches of tensors. How they are laid out decides speed and memory, never the loss.

Packed, the examples of a micro-batch stand one behind the other in one row without padding, each a document that sees
only itself (attend.py). Padded, each has a row of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from codedose.prompt import Encoded


@dataclass(frozen=True)
class Batch:
    """One micro-batch on its device."""

    tokens: Any  # rows x width
    positions: Any  # rows x width, within its own example
    lengths: tuple[int, ...]  # of the examples
    is_packed: bool
    at: Any  # places in the flattened rows whose next token bears loss
    targets: Any  # those next tokens
    scale: Any  # float32: what each weighs in the step's loss

    @property
    def documents(self) -> tuple[int, ...] | None:
        """The lengths of the documents of one row; None where every example has its own row."""
        return self.lengths if self.is_packed else None


def weights_of(step: Sequence[Encoded], kind: str) -> list[float]:
    """What one loss-bearing token of each example weighs in the step's loss (study.Tune.loss)."""
    if kind == "token_mean":
        return [1 / sum(example.loss_tokens for example in step)] * len(step)
    return [1 / (len(step) * example.loss_tokens) for example in step]


def micro_batches(lengths: Sequence[int], most: int, *, packed: bool) -> Iterator[list[int]]:
    """Places in a step, shortest first, gathered while they take at most `most` tokens, padding included."""
    gathered: list[int] = []
    taken = 0
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        grown = taken + lengths[place] if packed else lengths[place] * (len(gathered) + 1)
        if gathered and grown > most:
            yield gathered
            gathered, grown = [], lengths[place]
        gathered.append(place)
        taken = grown
    if gathered:
        yield gathered


def in_turn(lengths: Sequence[int], most: int) -> Iterator[slice]:
    """Stretches of a line of examples, each of at most `most` tokens or of one example."""
    start = taken = 0
    for place, length in enumerate(lengths):
        if place > start and taken + length > most:
            yield slice(start, place)
            start, taken = place, 0
        taken += length
    yield slice(start, len(lengths))


def laid_out(examples: Sequence[Encoded], weights: Sequence[float], *, packed: bool, device: Any) -> Batch:
    """The tensors of a micro-batch. Place t predicts token t + 1 of the same example."""
    import torch

    lengths = [len(example.tokens) for example in examples]
    width = sum(lengths) if packed else max(lengths)
    starts = np.cumsum([0, *lengths[:-1]]) if packed else np.arange(len(examples)) * width
    rows = 1 if packed else len(examples)
    tokens, positions = np.zeros(rows * width, np.int64), np.tile(np.arange(width), rows)
    at, scale = [], []
    for start, length, example, weight in zip(starts, lengths, examples, weights, strict=True):
        tokens[start : start + length] = example.tokens
        positions[start : start + length] = np.arange(length)
        predicting = np.flatnonzero(example.loss[1:]) + start
        at.append(predicting)
        scale.append(np.full(len(predicting), weight, np.float32))
    places = np.concatenate(at)

    def moved(values: Any) -> Any:
        return torch.from_numpy(values).to(device)

    return Batch(
        tokens=moved(tokens.reshape(rows, width)),
        positions=moved(positions.reshape(rows, width)),
        lengths=tuple(lengths),
        is_packed=packed,
        at=moved(places),
        targets=moved(tokens[places + 1]),
        scale=moved(np.concatenate(scale)),
    )
