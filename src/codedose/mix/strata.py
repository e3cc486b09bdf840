"""Lines in which coding and other stand in one profile of reply length and turns.

The pool is cut into cells by quantiles. A cell's weight is the smaller of its numbers of coding and
of other examples: the profile that the most examples of both labels can share. Within a cell
examples stand by their hash; the k-th of a cell with the weight w has the place (k + u) / w in the
line, u being the cell's own number between 0 and 1 in this draw. So the front of a line, however long,
holds every cell in proportion, both labels hold them in the same order, and arms stay nested.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Places = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

GRIDS = (4, 8, 16, 32, 64)  # quantile cells of each quantity; finer ones match better and leave fewer examples
CLOSE = 0.03  # expected |SMD| at which a grid is fine enough: the rest of 0.1 is for chance in the draw

TEXT = pl.element().struct.field("content")
REPLY = pl.element().struct.field("role") == "assistant"


def features() -> dict[str, pl.Expr]:
    """What can be matched: the length of all replies, in words and signs, and the number of replies.

    Words and signs stay within 5 % of a tokenizer's count in code as in prose, where words alone are
    a third and characters a sixth apart (ShareGPT, the tokenizer of SmolLM2).
    """
    messages = pl.col("messages")
    return {
        "reply_length": messages.list.eval(TEXT.str.count_matches(r"\w+|[^\w\s]").filter(REPLY)).list.sum(),
        "turns": messages.list.eval(REPLY).list.sum().cast(pl.Int64),
    }


@dataclass(frozen=True)
class Strata:
    """Cells of the pool: the cell of each example of the two labels, the weight of each cell (they sum to the
    number of examples of either label that can be matched), and the |SMD| that is left between the labels."""

    cells: Mapping[str, Places]
    weights: Numbers
    bins: int
    left: Mapping[str, float]

    @property
    def usable(self) -> int:
        return int(self.weights.sum())


def stratify(values: Mapping[str, Mapping[str, Numbers]]) -> Strata:
    """The coarsest grid whose expected |SMD| is small in every quantity; else the one with the smallest.

    `values` maps label (coding, other) and quantity to one number an example.
    """
    tried = [grid(values, bins) for bins in GRIDS]
    for strata in tried:
        if max(strata.left.values()) <= CLOSE:
            return strata
    return min(tried, key=lambda strata: max(strata.left.values()))


def grid(values: Mapping[str, Mapping[str, Numbers]], bins: int) -> Strata:
    """The pool in cells of `bins` quantiles of each quantity, taken together."""
    cells = {label: np.zeros(len(next(iter(found.values()))), np.int64) for label, found in values.items()}
    for quantity in next(iter(values.values())):
        edges = quantiles(np.concatenate([values[label][quantity] for label in sorted(values)]), bins)
        for label, found in values.items():
            cells[label] = cells[label] * (bins + 1) + np.searchsorted(edges, found[quantity], side="right")
    known = {name: number for number, name in enumerate(np.unique(np.concatenate(list(cells.values()))).tolist())}
    cells = {
        label: np.array([known[name] for name in found.tolist()], np.int64).reshape(-1)
        for label, found in cells.items()
    }
    counts = [np.bincount(found, minlength=len(known)) for found in cells.values()]
    weights = np.minimum.reduce(counts).astype(np.float64)
    return Strata(cells, weights, bins, differences(values, cells, weights))


def quantiles(numbers: Numbers, bins: int) -> Numbers:
    """The inner edges of `bins` parts of equal size; values that repeat make fewer."""
    ordered = np.sort(numbers)
    return np.unique(ordered[[len(ordered) * part // bins for part in range(1, bins)]]) if len(ordered) else ordered


def differences(
    values: Mapping[str, Mapping[str, Numbers]], cells: Mapping[str, Places], weights: Numbers
) -> dict[str, float]:
    """The |SMD| of each quantity between the labels when every cell has its weight."""
    if not weights.any():
        return dict.fromkeys(next(iter(values.values())), float("inf"))
    left = {}
    for quantity in next(iter(values.values())):
        moments = []
        for label, found in values.items():
            share = (weights / np.maximum(np.bincount(cells[label], minlength=len(weights)), 1))[cells[label]]
            mean = float((share * found[quantity]).sum() / weights.sum())
            moments.append((mean, float((share * (found[quantity] - mean) ** 2).sum() / weights.sum())))
        (one, spread), (two, other) = moments
        left[quantity] = abs(one - two) / max(((spread + other) / 2) ** 0.5, 1e-12)
    return left


def stratified_line(order: Sequence[int], cells: Mapping[int, int], weights: Numbers, draw: int) -> list[int]:
    """The rows of `order` (by hash) with every cell in proportion, up to where the first cell runs out.

    `cells` maps a row to its cell. Cells without weight stay out.
    """
    offsets = [offset(cell, draw) for cell in range(len(weights))]
    seen = [0] * len(weights)
    placed: list[tuple[float, int]] = []
    for row in order:
        cell = cells[row]
        if weights[cell]:
            placed.append(((seen[cell] + offsets[cell]) / float(weights[cell]), row))
            seen[cell] += 1
    ends = [(seen[cell] + offsets[cell]) / weights[cell] for cell in range(len(weights)) if weights[cell]]
    end = min(ends, default=0.0)
    turn = {row: number for number, row in enumerate(order)}
    return [row for place, row in sorted(placed, key=lambda entry: (entry[0], turn[entry[1]])) if place < end]


def offset(cell: int, draw: int) -> float:
    """A number in (0, 1) that belongs to a cell in a draw: without it small cells would come last in every line."""
    return (int(hashlib.sha256(f"mix/{draw}/cell/{cell}".encode()).hexdigest()[:8], 16) + 0.5) / 2**32
