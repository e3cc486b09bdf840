"""How much of each label an arm holds, and the line from whose front it takes its examples.

For each label and draw all examples stand in one line, ranked by a hash. Every arm takes from the
front of these lines and puts what it takes into slots, so that two arms hold the same example in
the same slot except where the one has coding and the other has other.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal

from codedose.errors import DataError

SEGMENTS = 16  # parts of the training over which whatever is given away together is spread


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `total`, each within one of its exact share.

    Largest remainder; ties go to the name that sorts first, so the answer does
    not depend on the order in which a study file lists its labels.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares sum to {sum(shares.values())}, not 1")
    exact = {label: total * shares[label] for label in sorted(shares)}
    counts = {label: int(amount) for label, amount in exact.items()}
    by_remainder = sorted(exact, key=lambda label: counts[label] - exact[label])
    for label in by_remainder[: total - sum(counts.values())]:
        counts[label] += 1
    return counts


def composition(
    *, budget: int, math: int, share: float, design: Literal["fixed", "additive"] = "fixed"
) -> dict[str, int]:
    """How much of each label an arm holds, in the unit of the budget: `math` apart, the rest by the share of coding.

    fixed: coding takes the place of other, and all sums to `budget`. additive: other fills the budget
    in every arm, and coding comes on top, other * share / (1 - share).
    """
    if not 0 <= math <= budget:
        raise DataError(f"{math} of math does not fit into a budget of {budget}")
    if design == "fixed":
        return apportion(budget - math, {"coding": share, "other": 1 - share}) | {"math": math}
    if share == 1:
        raise DataError("with coding on top of other no arm can be all coding; use a share below 1")
    other = budget - math
    return {"coding": round(other * share / (1 - share)), "other": other, "math": math}


def rank(example_id: str, draw: int) -> str:
    """A fixed place in line for each example: the same in every arm, whatever the pool's order."""
    return hashlib.sha256(f"mix/{draw}/{example_id}".encode()).hexdigest()


def slots_in_order(count: int, draw: int) -> list[int]:
    """The slots in the order in which they are given away: one of each sixteenth of the training, then again.

    So no label gathers at one end, and the copies of a repeated example, given away together, lie apart.
    """

    def place(*names: object) -> str:
        return hashlib.sha256("/".join(map(str, ("mix", draw, *names))).encode()).hexdigest()

    parts: list[list[int]] = [[] for _ in range(SEGMENTS)]
    for slot in sorted(range(count), key=lambda slot: place("slot", slot)):
        parts[slot * SEGMENTS // count].append(slot)
    turns = range(max(map(len, parts), default=0))
    return [
        parts[part][turn]
        for turn in turns
        for part in sorted(range(SEGMENTS), key=lambda part, turn=turn: place("part", part, turn))  # type: ignore[misc]
        if turn < len(parts[part])
    ]


def in_slots(taken: Mapping[str, Sequence[tuple[int, int]]], draw: int) -> list[tuple[int, str, int, int]]:
    """(slot, label, row, copy) of every taken (row, copy), by slot.

    Math comes first in the order of slots and coding grows from there, while other fills from the far end:
    a larger share replaces, slot by slot, the last of the other line by the next of the coding line.
    """
    near = [(label, *entry) for label in ("math", "coding") for entry in taken[label]]
    far = [("other", *entry) for entry in reversed(taken["other"])]
    order = slots_in_order(len(near) + len(far), draw)
    return sorted((slot, *entry) for slot, entry in zip(order, near + far, strict=True))


def copies(rows: Sequence[int], factor: int) -> list[tuple[int, int]]:
    """Each row `factor` times as (row, copy), copies together."""
    return [(row, copy) for row in rows for copy in range(factor)]
